"""Load VAE (Genart) and Save VAE (Layouts) in a real ComfyUI, and what the pack's own VAEs tell."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from prompts import Graph
from small_gans import refusal
from trained_vaes import SPECS, network, save
from vae_numbers import image, latent, random_vae, results, text

PICTURES = torch.rand(2, 32, 32, 3, generator=torch.Generator().manual_seed(4))
X = PICTURES.movedim(-1, 1) * 2 - 1


@pytest.fixture(scope="module")
def vaes(server: Any) -> Any:
    """VAEs of this pack in the server's models/vae, under the names of their kinds."""
    folder = server.base / "models" / "vae" / "own"
    folder.mkdir(parents=True)
    for kind in SPECS:
        known = {} if kind != "vector" else {"mean": [1.0] * 6, "std": [2.0] * 6}
        kl = {"kl": [0.1, 5.0, 0.2, 3.0, 9.0, 0.3]} if known else {}
        save(folder / f"{kind}.safetensors", kind, **known, **kl)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def fresh(server: Any) -> Any:
    """A name that is not taken, of files that go again."""
    folder = server.base / "models" / "vae"
    before = set(folder.iterdir())
    yield "saved"
    for path in set(folder.iterdir()) - before:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def loaded(graph: Graph, kind: str) -> list[Any]:
    return graph.node("GenartLoadVAE", vae_name=f"own/{kind}.safetensors")


def there_and_back(server: Any, graph: Graph, vae: list[Any]) -> dict[str, torch.Tensor]:
    """Core's nodes with a VAE: latents of the pictures, and what they become."""
    z = graph.node("VAEEncode", vae=vae, pixels=image(server, graph, PICTURES))
    return results(server, graph, latent=z, image=graph.node("VAEDecode", vae=vae, samples=z))


def saved(server: Any, graph: Graph, vae: list[Any], layout: str, name: str) -> Path:
    """Where Save VAE says that it wrote."""
    node = graph.node("GenartSaveVAE", vae=vae, name=name, layout=layout)
    (said,) = graph.run(server)[node[0]]["text"]
    return Path(said.removeprefix("Saved "))


@torch.no_grad()
@pytest.mark.parametrize("kind", SPECS)
def test_cores_nodes_take_a_vae_of_any_kind(server, vaes, kind):
    graph = Graph()
    made, own = there_and_back(server, graph, loaded(graph, kind)), network(kind)
    expected = own.encode(X)
    assert torch.allclose(made["latent"], expected, atol=1e-4) and expected.std() > 0.01
    back = (own.decode(expected) / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert torch.allclose(made["image"], back, atol=1e-4) and back.std() > 0.01


def test_the_list_has_this_packs_files_alone(server, vaes):
    graph = Graph()
    graph.node("GenartTestWriteTinyDiffusion", seed=3)  # a TAESD of nobody's
    graph.run(server)
    node = server.get("/object_info/GenartLoadVAE")["GenartLoadVAE"]
    names = node["input"]["required"]["vae_name"][1]["options"]
    assert {f"own/{kind}.safetensors" for kind in SPECS} <= set(names)
    assert "tiny_sd3.safetensors" not in names
    graph = Graph()
    gone = graph.node("GenartLoadVAE", vae_name="own/gone.safetensors")
    assert "There is no VAE" in refusal(server, graph, gone).message


@pytest.mark.parametrize(
    ("kind", "layout", "loader"),
    [
        ("tiny", "stock", "VAELoader"),
        ("tiny", "stock", "GenartLoadVAE"),
        ("tiny", "diffusers", "GenartLoadDiffusersVAE"),
        ("kl", "diffusers", "GenartLoadDiffusersVAE"),
        *[(kind, "own", "GenartLoadVAE") for kind in SPECS],
    ],
)
def test_what_is_saved_loads_again(server, vaes, fresh, kind, layout, loader):
    graph = Graph()
    vae = loaded(graph, kind)
    path = saved(server, graph, vae, layout, fresh)
    before = there_and_back(server, graph, vae)
    name = f"vae/{path.name}" if layout == "diffusers" else path.name
    more = {"latents_of": "the VAE itself"} if layout == "diffusers" else {}
    graph = Graph()
    after = there_and_back(server, graph, graph.node(loader, vae_name=name, **more))
    for name, kept in before.items():
        assert torch.allclose(after[name], kept, atol=1e-4)


@pytest.mark.parametrize("layout", ["stock", "own"])
def test_a_taesd_of_comfyui_can_be_saved(server, vaes, fresh, layout):
    graph = Graph()
    vae = random_vae(graph)
    path, before = saved(server, graph, vae, layout, fresh), there_and_back(server, graph, vae)
    graph = Graph()
    loader = "VAELoader" if layout == "stock" else "GenartLoadVAE"
    after = there_and_back(server, graph, graph.node(loader, vae_name=path.name))
    assert torch.allclose(after["image"], before["image"], atol=1e-4)


def test_what_is_known_of_latents_is_kept(server, vaes, fresh):
    graph = Graph()
    path = saved(server, graph, loaded(graph, "vector"), "own", fresh)
    graph = Graph()
    vae = graph.node("GenartLoadVAE", vae_name=path.name)
    values = {"seed": 1, "batch_size": 500, "width": 512, "height": 256, "temperature": 1.0}
    drawn = graph.node("GenartSampleVAEPrior", vae=vae, **values)
    made = results(
        server, graph, latent=drawn, back=graph.node("VAEDecode", vae=vae, samples=drawn)
    )
    assert made["latent"].shape == (500, 6, 1, 1) and made["back"].shape == (500, 32, 32, 3)
    assert made["latent"].mean() == pytest.approx(1, abs=0.1)
    assert made["latent"].std() == pytest.approx(2, abs=0.1)
    assert "measured when the VAE was trained" in text(server, graph, [drawn[0], 1])


def test_dimensions_come_in_the_order_of_their_kl(server, vaes):
    graph = Graph()
    start = torch.zeros(1, 6, 1, 1)
    sheet = graph.node(
        "GenartLatentTraversal",
        vae=loaded(graph, "vector"),
        samples=latent(server, graph, start),
        dimensions=3,
        each_side=1,
        reach=2.0,
    )
    made = results(server, graph, latent=[sheet[0], 1])["latent"].flatten(1).unflatten(0, (3, 3))
    assert made[:, 2].argmax(1).tolist() == [4, 1, 3]
    assert made[0, 0, 4] == -4 and made[0, 2, 4] == 4  # twice the deviation


@torch.no_grad()
@pytest.mark.parametrize("kind", ["vq", "fsq"])
def test_draws_of_finite_codes_are_codes(server, vaes, kind):
    graph = Graph()
    values = {"seed": 1, "batch_size": 2, "width": 64, "height": 64, "temperature": 1.0}
    drawn = graph.node("GenartSampleVAEPrior", vae=loaded(graph, kind), **values)
    made = results(server, graph, latent=drawn)["latent"]
    again = network(kind).bottleneck.settle(made)
    assert torch.allclose(made, again, atol=1e-5) and made.unique().numel() > 4


def test_nothing_is_overwritten(server, vaes, fresh):
    paths = []
    for kind in ("tiny", "vector", "tiny"):
        for layout in ("own", "diffusers"):
            if kind == "vector" and layout == "diffusers":
                continue
            graph = Graph()
            paths.append(saved(server, graph, loaded(graph, kind), layout, fresh).name)
    own = [name for name in paths if name.endswith(".safetensors")]
    assert own == ["saved.safetensors", "saved_2.safetensors", "saved.safetensors"]  # an equal one
    assert [name for name in paths if name not in own] == ["saved", "saved_2"]


@pytest.mark.parametrize(
    ("kind", "layout", "name", "says"),
    [
        ("vector", "stock", "a", "layout 'own'"),
        ("vector", "diffusers", "a", "layout 'own'"),
        ("vq", "diffusers", "a", "layout 'own'"),
        ("tiny", "own", "../a", "name"),
        ("tiny", "zip", "a", "layout cannot be"),
        ("pixels", "own", "a", "no VAE that can be trained or saved"),
    ],
)
def test_what_cannot_be_saved_is_said_in_a_sentence(server, vaes, fresh, kind, layout, name, says):
    graph = Graph()
    vae = random_vae(graph, kind) if kind == "pixels" else loaded(graph, kind)
    before = set((server.base / "models" / "vae").rglob("*"))
    node = graph.node("GenartSaveVAE", vae=vae, name=name, layout=layout)
    assert says in refusal(server, graph, node).message
    assert set((server.base / "models" / "vae").rglob("*")) == before
