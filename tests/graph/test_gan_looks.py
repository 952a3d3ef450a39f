"""What decides a picture beside its seed, in a real ComfyUI: classes, styles, centres, noise."""

import os
import time
from typing import Any

import numpy as np
import pytest
from prompts import Graph, NodeError, forget, wait
from small_gans import latents, pictures, refusal, sampled


def of_class(server: Any, classes: str, count: int = 3, seed: int = 0) -> np.ndarray:
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_classes.safetensors")
    batch = latents(graph, gan, seed, count, class_index=1)
    chosen = graph.node("GenartSetGANClass", gan=gan, latents=batch, classes=classes)
    return graph.pictures(server, sampled(graph, gan, chosen))


def test_classes_in_words_are_the_classes_of_the_latents(server, gans):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_classes.safetensors")
    drawn = [sampled(graph, gan, latents(graph, gan, 0, 3, class_index=i)) for i in range(3)]
    plain = [Graph(dict(graph.nodes)).pictures(server, each) for each in drawn]
    assert np.array_equal(of_class(server, "2"), plain[2])
    assert np.array_equal(
        of_class(server, "0, 2, 1"), np.stack([plain[i][n] for n, i in enumerate((0, 2, 1))])
    )
    blend = of_class(server, "0:0.5 + 2:0.5")
    assert np.array_equal(blend, of_class(server, "2 + 0"))
    assert all(not np.array_equal(blend, each) for each in plain)


@pytest.mark.parametrize("classes", ["", "3", "0, 1", "cat", "0:0 + 1:0"])
def test_classes_that_do_not_fit_are_refused(server, gans, classes):
    with pytest.raises(NodeError) as caught:
        of_class(server, classes)
    assert caught.value.node == "GenartSetGANClass" and caught.value.message.endswith(".")


def mixed(server: Any, layers: str, amount: float = 1.0, styles: int = 4) -> np.ndarray:
    """Seeds 0 to 3 with layers of the seeds from 10 on."""
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    both = latents(graph, gan, 0, 4), latents(graph, gan, 10, styles)
    made = graph.node(
        "GenartMixGANLatents",
        gan=gan,
        latents=both[0],
        styles=both[1],
        layers=layers,
        amount=amount,
    )
    return graph.pictures(server, sampled(graph, gan, made, psi=0.7))


def test_mixing_no_layer_or_every_layer_is_one_of_both(server, gans):
    ours, theirs = pictures(server, psi=0.7), pictures(server, seed=10, psi=0.7)
    assert np.array_equal(mixed(server, "0-", amount=0.0), ours)
    assert np.abs(mixed(server, "0-").astype(int) - theirs).max() <= 1
    assert np.abs(mixed(server, "0-", styles=1).astype(int) - theirs[0]).max() <= 1
    coarse, fine = mixed(server, "0-3"), mixed(server, "4-")
    assert not np.array_equal(coarse, fine)
    assert all(
        not np.array_equal(each, whole) for each in (coarse, fine) for whole in (ours, theirs)
    )


@pytest.mark.parametrize(("layers", "styles"), [("8", 4), ("", 4), ("x", 4), ("0", 3)])
def test_a_mixture_that_does_not_fit_is_refused(server, gans, layers, styles):
    with pytest.raises(NodeError) as caught:
        mixed(server, layers, styles=styles)
    assert caught.value.node == "GenartMixGANLatents" and caught.value.message.endswith(".")
    assert layers != "8" or "There is no layer 8" in caught.value.message


def centred(graph: Graph, **more: Any) -> tuple[list[Any], list[Any]]:
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    values = {"count": 5, "samples": 2000, "seed": 0} | more
    return gan, graph.node("GenartFindGANCentres", gan=gan, **values)


def test_without_psi_every_picture_is_that_of_a_centre(server, gans):
    graph = Graph()
    gan, centres = centred(graph)
    averages = graph.pictures(server, sampled(graph, gan, centres))
    assert len({picture.tobytes() for picture in averages}) == 5
    graph = Graph()
    gan, centres = centred(graph)
    batch = latents(graph, gan, 0, 12)
    made = graph.pictures(server, sampled(graph, gan, batch, psi=0.0, centres=centres))
    difference = np.abs(made[:, None].astype(int) - averages[None]).max(axis=(2, 3, 4))
    assert difference.min(axis=1).max() <= 1
    assert len(set(difference.argmin(axis=1))) > 1


def test_latents_that_are_no_centres_are_refused(server, gans):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    batch = latents(graph, gan, 0, 2)
    assert "centres" in refusal(server, graph, sampled(graph, gan, batch, centres=batch)).message


def test_the_search_for_centres_can_be_cancelled(server, gans):
    graph = Graph()
    _, centres = centred(graph, samples=200_000, count=256)
    graph.node("PreviewAny", source=centres)
    prompt = graph.queue(server)
    while not server.get("/queue")["queue_running"]:
        time.sleep(0.05)
    time.sleep(1)
    server.interrupt(prompt)
    start = time.monotonic()
    with pytest.raises(InterruptedError):
        wait(server, prompt)
    assert time.monotonic() - start < 10  # cores may be shared


def test_noise_strength_runs_from_none_through_as_trained(server, gans):
    assert np.array_equal(pictures(server, noise_strength=1.0), pictures(server))
    smooth = pictures(server, noise_mode="none").astype(int)
    assert np.array_equal(pictures(server, noise_strength=0.0), smooth)
    away = [np.abs(pictures(server, noise_strength=s) - smooth).mean() for s in (0.5, 1.0, 2.0)]
    assert 0 < away[0] < away[1] < away[2]


def test_a_file_is_known_by_its_content(server, gans):
    """What ComfyUI writes into a picture about its making must not hold a time of this machine."""

    def saved() -> bytes:
        forget(server)
        graph = Graph()
        gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
        images = sampled(graph, gan, latents(graph, gan, 0, 1))
        file = graph.node("SaveImage", images=images, filename_prefix="by_content")
        name = graph.run(server)[file[0]]["images"][0]["filename"]
        return (server.base / "output" / name).read_bytes()

    before = saved()
    os.utime(gans / "test_a.safetensors", (1, 1))
    assert saved() == before
