"""Even GAN Path and Even Latent Path in a real ComfyUI: steps as an eye sees them."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from prompts import Graph, NodeError, wait
from small_gans import latents, refusal, sampled
from test_latent_nodes import masked, whole
from vae_numbers import latent, random_vae, results, text

from comfy_genart_nodes.latent.speed import steps, unevenness
from comfy_genart_nodes.training.sight import Measure, Sight

SHIPPED = "emoji_people_64.safetensors"
VAE = "emoji.safetensors"
BOUND = 0.15
PSI = 0.7


def walk(graph: Graph, gan: list[Any], keys: int, frames: int, **more: Any) -> list[Any]:
    values = {"mode": "slerp z", "loop": True} | more
    seen = latents(graph, gan, 1, keys)
    return graph.node("GenartWalkGANLatents", keys=seen, frames=frames, gan=gan, **values)


def even(graph: Graph, gan: list[Any], path: list[Any], **more: Any) -> list[Any]:
    values = {"frames": 0, "loop": True, "measure": "features", "psi": PSI, "cutoff": -1} | more
    return graph.node("GenartEvenGANPath", gan=gan, path=path, **values)


def even_latents(graph: Graph, vae: list[Any], path: list[Any], **more: Any) -> list[Any]:
    values = {"frames": 0, "loop": True, "measure": "features", "between": "straight"} | more
    return graph.node("GenartEvenLatentPath", vae=vae, samples=path, **values)


def variation(images: torch.Tensor, measure: Measure, around: bool) -> float:
    """The coefficient of variation of an animation's steps."""
    look = Sight(measure)
    seen = (look(part) for part in (images.movedim(-1, 1) * 2 - 1).split(16))
    return unevenness(steps(seen, around))


def said(about: str) -> tuple[float, float]:
    before, after = (float(each) / 100 for each in re.findall(r"([\d.]+)%", about))
    return before, after


@pytest.mark.parametrize(
    ("measure", "mode", "loop"),
    [
        ("features", "slerp z", True),
        ("features", "lerp w", False),
        ("pixels", "slerp z", False),
        ("pixels", "lerp w", True),
    ],
)
def test_steps_of_the_shipped_gan_are_even(server, capsys, measure, mode, loop):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name=SHIPPED)
    path = walk(graph, gan, 4, 48, mode=mode, loop=loop)
    node = even(graph, gan, path, measure=measure, loop=loop)
    pair = {"before": path, "after": node}
    made = results(
        server,
        graph,
        **{name: sampled(graph, gan, link, psi=PSI) for name, link in pair.items()},
    )
    before, after = (variation(made[name], measure, loop) for name in pair)
    with capsys.disabled():
        print(f"\n{mode}, {measure}, loop {loop}: {before:.3f}, at even speed {after:.3f}")
    assert after <= BOUND < before and before > 2 * after
    assert said(text(server, graph, [node[0], 1])) == pytest.approx((before, after), abs=0.002)
    assert made["after"][0].equal(made["before"][0])
    if not loop:
        assert made["after"][-1].equal(made["before"][-1])


def test_steps_of_latents_are_even_and_what_they_carry_goes_along(server, capsys):
    graph = Graph()
    vae, gan = graph.node("VAELoader", vae_name=VAE), graph.node("GenartLoadGAN", gan_name=SHIPPED)
    pictures = sampled(graph, gan, latents(graph, gan, 1, 3), psi=PSI)
    keys = masked(graph, graph.node("VAEEncode", vae=vae, pixels=pictures), 1.0)
    values = {"mode": "auto", "smooth": False, "easing": "in and out", "times": ""}
    path = graph.node(
        "GenartWalkLatents", keys=keys, frames=36, loop=True, sizes="refuse", **values
    )
    node = even_latents(graph, vae, path, frames=30)
    pair = {"before": path, "after": node}
    made = results(
        server,
        graph,
        **{n: graph.node("VAEDecode", vae=vae, samples=link) for n, link in pair.items()},
    )
    before, after = (variation(made[name], "features", True) for name in pair)
    with capsys.disabled():
        print(f"\nlatents with a rest at each key: {before:.3f}, at even speed {after:.3f}")
    assert len(made["after"]) == 30 and after <= BOUND < before
    kept = whole(server, graph, node)
    assert kept["batch_index"].tolist() == [0] * 30 and kept["noise_mask"].shape[-1] == 64
    assert "features" in text(server, graph, [node[0], 1])


def test_a_film_is_a_path(server):
    graph = Graph()
    slow = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(1)) - 0.5
    vae = random_vae(graph, "pixels")
    film = latent(server, graph, slow.movedim(0, 1)[None].contiguous())
    batch = latent(server, graph, slow)
    options = {"measure": "pixels", "loop": False, "frames": 20}
    made = results(
        server,
        graph,
        latent_film=even_latents(graph, vae, film, **options),
        latent_batch=even_latents(graph, vae, batch, **options),
        latent_sphere=even_latents(graph, vae, batch, **options, between="sphere"),
    )
    assert made["latent_batch"].shape == (20, 3, 8, 8)
    assert made["latent_film"][0].movedim(1, 0).equal(made["latent_batch"])
    assert not made["latent_sphere"].equal(made["latent_batch"])
    for name in ("batch", "sphere"):
        assert made[f"latent_{name}"][[0, -1]].equal(slow[[0, -1]])


@pytest.mark.parametrize(
    ("frames", "says"), [(1, "two frames"), (10**6, "frames cannot be"), (-1, "frames cannot be")]
)
def test_what_cannot_be_even_is_refused(server, gans, frames, says):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    wired = graph.node("PrimitiveInt", value=frames)
    node = even(graph, gan, latents(graph, gan, 0, 2), frames=wired)
    assert says in refusal(server, graph, node).message


def test_an_unknown_measure_is_refused(server, gans):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    graph.node("PreviewAny", source=even(graph, gan, latents(graph, gan, 0, 2), measure="taste"))
    with pytest.raises(NodeError, match="taste"):
        graph.run(server)


def test_one_frame_other_films_and_another_vae_are_refused(server):
    for shape, says in (
        ((1, 3, 8, 8), "two frames"),
        ((2, 3, 4, 8, 8), "films"),
        ((4, 16, 8, 8), "16 channels"),
    ):
        graph = Graph()
        samples = latent(server, graph, torch.rand(shape))
        node = even_latents(graph, random_vae(graph, "pixels"), samples, measure="pixels")
        assert says in refusal(server, graph, node).message


def test_cancel_is_heeded(server):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name=SHIPPED)
    node = even(graph, gan, walk(graph, gan, 4, 5000), loop=True)
    name = "never.safetensors"
    graph.node("GenartTestWriteNumbers", name=name, image=sampled(graph, gan, node))
    prompt = graph.queue(server)
    while not server.get("/queue")["queue_running"]:
        time.sleep(0.05)
    time.sleep(3)
    server.interrupt(prompt)
    start = time.monotonic()
    with pytest.raises(InterruptedError, match="GenartEvenGANPath"):
        wait(server, prompt)
    assert time.monotonic() - start < 10  # cores may be shared
    assert not Path(server.base / "output" / name).exists()
