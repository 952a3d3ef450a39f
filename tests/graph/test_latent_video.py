"""Decode Latents to Video in a real ComfyUI: the frames, Cancel and what follows it."""

import shutil
from typing import Any

import av
import numpy as np
import torch
from prompts import Graph
from small_gans import refusal
from tiny_vaes import save
from vae_numbers import latent, random_vae, results
from videos import PARTS, cancelled, decode, files, fresh, made, packets


def draws(*shape: int) -> torch.Tensor:
    """Slow changes about a grey, which no codec spoils where they are pictures."""
    slow = 0.3 * torch.randn(*shape[:-2], 2, 2, generator=torch.Generator().manual_seed(1))
    flat = slow.flatten(0, -4) if slow.ndim == 5 else slow
    return torch.nn.functional.interpolate(flat, shape[-2:], mode="bilinear").reshape(shape)


def video(graph: Graph, vae: list[Any], samples: list[Any], prefix: str = "") -> list[Any]:
    named = {"fps": 30.0, "filename_prefix": prefix or fresh("latents")}
    return graph.node("GenartDecodeLatentsToVideo", vae=vae, samples=samples, **named)


def difference(shown: np.ndarray, exact: torch.Tensor) -> float:
    return float(np.abs(shown - exact.numpy() * 255).mean())


def test_the_file_holds_what_the_vae_makes_of_every_latent(server):
    graph = Graph()
    vae, samples = random_vae(graph, "pixels"), latent(server, graph, draws(70, 3, 48, 64))
    node = video(graph, vae, samples)
    path = made(server, graph, node)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.average_rate) == (70, 30)
        seen = [frame.pts for frame in container.decode(video=0)]
        assert np.unique(np.diff(seen)).size == 1  # no step where parts meet
    pictures = results(server, graph, image=graph.node("VAEDecode", vae=vae, samples=samples))
    assert difference(decode(path), pictures["image"]) < 3  # what h264 loses
    assert pictures["image"].std() > 0.05


def test_core_nodes_take_the_video(server):
    graph = Graph()
    node = video(graph, random_vae(graph), latent(server, graph, draws(3, 4, 4, 4)))
    parts = graph.node("GetVideoComponents", video=node)
    assert graph.pictures(server, parts).shape == (3, 32, 32, 3)


def test_the_time_of_latents_with_one_is_that_of_the_video(server):
    graph, numbers = Graph(), draws(2, 3, 5, 32, 32)
    vae = random_vae(graph, "pixels")
    film = made(server, graph, video(graph, vae, latent(server, graph, numbers)))
    flat = latent(server, graph, numbers.movedim(2, 1).flatten(0, 1).contiguous())
    pictures = results(server, graph, image=graph.node("VAEDecode", vae=vae, samples=flat))
    shown = decode(film)
    assert shown.shape == (10, 32, 32, 3) and difference(shown, pictures["image"]) < 3


def test_films_are_decoded_whole_one_after_the_other(server):
    folder = server.base / "models" / "vae" / "video_films"
    save(folder, "AutoencoderKLWan", seed=1)
    graph = Graph()
    vae = graph.node("GenartLoadDiffusersVAE", vae_name="vae/video_films")
    samples = latent(server, graph, draws(2, 4, 3, 4, 4))
    shown = decode(made(server, graph, video(graph, vae, samples)))
    films = results(server, graph, image=graph.node("VAEDecode", vae=vae, samples=samples))
    shutil.rmtree(folder)
    assert len(films["image"]) == len(shown) > 6
    exact = films["image"].mean(3).numpy() * 255
    apart = np.abs(shown.mean(3)[:, None] - exact[None]).mean((2, 3))  # colours of noise are spoilt
    assert apart.argmin(1).tolist() == list(range(18))


def test_one_that_was_cancelled_ends_as_one_that_was_not(server):
    before = files(server.base / "output")
    graph = Graph()
    samples = graph.node("GenartTestRandomLatents", shape="300,4,4,4")
    vae = random_vae(graph)
    node = video(graph, vae, samples)
    parts = cancelled(server, graph, 2)
    assert files(server.base / "output") - before == set(parts)
    gone_on = made(server, graph, node)
    del graph.nodes[node[0]]
    whole = made(server, graph, video(graph, vae, samples))
    assert whole != gone_on and packets(whole) == packets(gone_on)
    assert not list((server.base / "output" / PARTS).iterdir())


def test_what_decides_pictures_decides_whose_parts_they_are(server):
    """Other weights, and the same weights whose latents are another model's."""
    base = server.base / "models" / "vae"
    for seed in (1, 2):
        save(base / f"video_tiny_{seed}", "AutoencoderTiny", seed=seed)
    prefix, left = fresh("several"), set()
    for seed, of in ((1, "the VAE itself"), (2, "the VAE itself"), (1, "SD 1.5")):
        graph = Graph()
        samples = graph.node("GenartTestRandomLatents", shape="300,4,4,4")
        name = f"vae/video_tiny_{seed}"
        vae = graph.node("GenartLoadDiffusersVAE", vae_name=name, latents_of=of)
        video(graph, vae, samples, prefix)
        parts = cancelled(server, graph, len(left) + 1)
        assert left < set(parts)
        left = set(parts)
    assert len({part.parent for part in left}) == 3
    for seed in (1, 2):
        shutil.rmtree(base / f"video_tiny_{seed}")
    for folder in (server.base / "output" / PARTS).iterdir():
        shutil.rmtree(folder)


def test_latents_of_another_vae_are_refused(server):
    graph = Graph()
    node = video(graph, random_vae(graph), latent(server, graph, draws(1, 16, 4, 4)))
    assert "16 channels" in refusal(server, graph, node).message
