"""Train VAE in a real ComfyUI: its result is a VAE for ComfyUI's own nodes."""

import numpy as np
import pytest
from prompts import Graph, NodeError, fetch
from training_runs import kinds, new_name, place, record

from comfy_genart_nodes.training.vae_config import RECIPES

SMALL = {
    "recipe": "tiny",
    "resolution": 32,
    "kimg": 0.032,
    "batch_size": 4,
    "seed": 0,
    "width": 16,
    "perceptual": 0.0,
    "measure_every": 0.0,
    "precision": "fp32",
}


@pytest.fixture
def name() -> str:
    """A run that nobody else has."""
    return new_name()


def train(graph: Graph, folder: str, name: str, **more):
    """A training of 8 steps unless `more` says otherwise."""
    dataset = graph.node("GenartOpenPictureFolder", folder=folder)
    return graph.node("GenartTrainVAE", dataset=dataset, run_name=name, **SMALL | more)


def there_and_back(graph: Graph, vae, prefix="rebuilt"):
    """A picture through ComfyUI's own nodes, saved; the id of the node that saves it."""
    picture = graph.node("EmptyImage", width=64, height=32, batch_size=2, color=0xFF8000)
    latents = graph.node("VAEEncode", pixels=picture, vae=vae)
    made = graph.node("VAEDecode", samples=latents, vae=vae)
    return graph.node("SaveImage", images=made, filename_prefix=prefix)[0]


@pytest.mark.parametrize("recipe", sorted(set(RECIPES) - {"fine-tune", "beta"}))
def test_of_every_recipe_core_nodes_take_the_vae(server, folder, name, recipe):
    graph = Graph()
    more = {"width": 32, "adversarial": 0.0} if recipe == "kl" else {}
    node = train(graph, folder, name, recipe=recipe, **more)
    saved = there_and_back(graph, node)
    sheet = graph.node("SaveImage", images=[node[0], 2], filename_prefix="sheet")
    outputs = graph.run(server)
    assert fetch(server, outputs[saved]["images"]).shape == (2, 32, 64, 3)
    shown = outputs[node[0]]["images"]
    assert np.array_equal(fetch(server, shown), fetch(server, outputs[sheet[0]]["images"]))
    assert kinds(server, name)[-1] == "finished"
    assert record(server, name)["kind"] == "vae"


def test_a_vae_of_vectors_makes_pictures_of_its_side(server, folder, name):
    graph = Graph()
    vae = train(graph, folder, name, recipe="beta")
    picture = graph.node("EmptyImage", width=32, height=32, batch_size=3, color=0x4080FF)
    latents = graph.node("VAEEncode", pixels=picture, vae=vae)
    made = graph.node("VAEDecode", samples=latents, vae=vae)
    saved = graph.node("SaveImage", images=made, filename_prefix="rebuilt")[0]
    assert fetch(server, graph.run(server)[saved]["images"]).shape == (3, 32, 32, 3)


def test_a_decoder_learns_and_the_vae_it_comes_from_stays(server, folder, name):
    graph = Graph()
    parent = train(graph, folder, f"{name} parent")
    first = there_and_back(graph, parent)
    child = train(graph, folder, name, recipe="auto", base=[parent[0], 0], learning_rate=0.01)
    second = there_and_back(graph, child)
    again = there_and_back(graph, parent, "again")
    outputs = graph.run(server)
    pictures = [fetch(server, outputs[saved]["images"]) for saved in (first, second, again)]
    assert np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], pictures[1])
    assert record(server, name)["config"]["recipe"] == "fine-tune"
    assert (place(server, name) / "parent.safetensors").is_file()


def test_load_run_gives_the_vae_and_passes_over_what_is_behind_gan(server, folder, name):
    graph = Graph()
    train(graph, folder, name)
    graph.run(server)
    graph = Graph()
    run = graph.node("GenartLoadRun", run_name=name, which="newest", step=0)
    saved = there_and_back(graph, [run[0], 3])
    kept = graph.node("GenartSaveGAN", gan=[run[0], 0], filename="none of a VAE")
    outputs = graph.run(server)
    assert fetch(server, outputs[saved]["images"]).shape == (2, 32, 64, 3)
    assert kept[0] not in outputs


REFUSED = {
    "wire one into base": {"recipe": "fine-tune"},
    "multiples of 8": {"resolution": 36},
    "at least 16 pictures": {"measure_every": 0.016},  # there are eight
}


@pytest.mark.parametrize("words", REFUSED)
def test_it_refuses(server, folder, name, words):
    graph = Graph()
    train(graph, folder, name, **REFUSED[words])
    with pytest.raises(NodeError, match=words):
        graph.run(server)
    assert not place(server, name).exists()


def test_measure_run_is_for_gans(server, folder, name):
    graph = Graph()
    run = train(graph, folder, name)
    graph.node("GenartMeasureRun", run=[run[0], 1], pictures=64, seed=0)
    with pytest.raises(NodeError, match="trains a VAE, which has no KID"):
        graph.run(server)
