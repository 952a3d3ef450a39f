"""Attributes, prior, traversal and preview of latents in a real ComfyUI."""

import json
from typing import Any

import pytest
import torch
from prompts import Graph
from safetensors.torch import load_file
from small_gans import refusal
from vae_numbers import image, latent, random_vae, results, text


def pictures(n: int, height: int = 32, width: int = 48, seed: int = 4) -> torch.Tensor:
    """Slow changes of colour."""
    slow = torch.rand(n, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(slow, (height, width), mode="bilinear")
    return large.movedim(1, -1).contiguous()


def draws(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def encoded(graph: Graph, vae: list[Any], pixels: list[Any]) -> list[Any]:
    return graph.node("VAEEncode", vae=vae, pixels=pixels)


def vector(graph: Graph, vae: list[Any], having: list[Any], lacking: list[Any], places: str) -> Any:
    wired = {"vae": vae, "having": having, "lacking": lacking}
    return graph.node("GenartAttributeVector", places=places, **wired)


def changed(graph: Graph, samples: list[Any], direction: list[Any], **more: Any) -> list[Any]:
    values = {"strength": 1.0, "steps": 1} | more
    return graph.node("GenartApplyAttribute", samples=samples, direction=direction, **values)


def test_an_attribute_moves_one_set_onto_the_other(server):
    graph = Graph()
    vae = random_vae(graph)
    bright, dark = pictures(5) * 0.5 + 0.5, pictures(4, seed=5) * 0.5
    sets = [image(server, graph, each) for each in (bright, dark)]
    direction = vector(graph, vae, *sets, "each place its own")
    having, lacking = (encoded(graph, vae, each) for each in sets)
    made = results(
        server,
        graph,
        latent_having=having,
        latent_none=changed(graph, lacking, direction, strength=0.0),
        latent_lacking=lacking,
        latent_moved=changed(graph, lacking, direction),
        latent_steps=changed(graph, lacking, direction, strength=2.0, steps=3),
    )
    assert torch.equal(made["latent_none"], made["latent_lacking"])
    wanted = made["latent_having"].mean(0)
    assert torch.allclose(made["latent_moved"].mean(0), wanted, atol=1e-4)
    steps = made["latent_steps"].unflatten(0, (4, 3))
    assert torch.equal(steps[:, 0], made["latent_lacking"])
    assert torch.allclose(steps[:, 1], made["latent_moved"], atol=1e-5)
    report = text(server, graph, [direction[0], 1])
    assert "9 of 9 pictures" in report


def test_sets_of_two_sizes_need_the_same_everywhere(server):
    graph = Graph()
    vae = random_vae(graph)
    sets = [image(server, graph, pictures(2)), image(server, graph, pictures(3, 64, 64))]
    refused = refusal(server, graph, vector(graph, vae, *sets, "each place its own"))
    assert "6x4 places" in refused.message and "8x8" in refused.message
    graph = Graph()
    vae = random_vae(graph)
    sets = [image(server, graph, pictures(2)), image(server, graph, pictures(3, 64, 64))]
    direction = vector(graph, vae, *sets, "same everywhere")
    samples = latent(server, graph, draws(1, 4, 9, 5))
    made = results(
        server, graph, latent_step=direction, latent_moved=changed(graph, samples, direction)
    )
    assert made["latent_step"].shape == (1, 4, 1, 1)
    assert torch.allclose(made["latent_moved"], draws(1, 4, 9, 5) + made["latent_step"], atol=1e-5)


def test_what_a_latent_carries_stays(server):
    graph = Graph()
    vae, pixels = random_vae(graph), image(server, graph, pictures(1))
    mask = graph.node("SolidMask", value=1.0, width=48, height=32)
    masked = graph.node("SetLatentNoiseMask", samples=encoded(graph, vae, pixels), mask=mask)
    many = changed(graph, masked, latent(server, graph, torch.ones(1, 4, 1, 1)), steps=3)
    name = "vae_masked.safetensors"
    graph.node("GenartTestWriteNumbers", name=name, latent=many)
    graph.run(server)
    kept = load_file(server.base / "output" / name)
    assert kept["samples"].shape[0] == 3 and kept["noise_mask"].shape[0] == 3


def test_a_direction_of_another_vae_is_refused(server):
    graph = Graph()
    made = changed(
        graph, latent(server, graph, draws(1, 4, 4, 4)), latent(server, graph, draws(1, 16, 4, 4))
    )
    message = refusal(server, graph, made).message
    assert "16 channels" in message and "4 channels" in message


def prior(graph: Graph, vae: list[Any], **more: Any) -> list[Any]:
    values = {"seed": 3, "batch_size": 3, "width": 128, "height": 64, "temperature": 1.0} | more
    return graph.node("GenartSampleVAEPrior", vae=vae, **values)


def test_the_prior_is_that_of_latents_wired_in(server):
    graph = Graph()
    vae = random_vae(graph)
    like = latent(server, graph, draws(2, 4, 16, 16) * torch.tensor([1, 2, 3, 4]).view(1, 4, 1, 1))
    many = prior(graph, vae, like=like, batch_size=16, width=256, height=256)
    made = results(
        server,
        graph,
        latent=many,
        latent_one=prior(graph, vae, seed=5, batch_size=1),
        latent_three=prior(graph, vae),
    )
    assert made["latent"].shape == (16, 4, 32, 32)
    spread = made["latent"].std((0, 2, 3))
    assert torch.allclose(spread, torch.tensor([1.0, 2, 3, 4]), rtol=0.1)
    assert made["latent_three"].shape == (3, 4, 8, 16)
    assert torch.equal(made["latent_three"][2:], made["latent_one"])
    assert "wired in" in text(server, graph, [many[0], 1])


@pytest.mark.parametrize(
    ("kind", "says", "shape"),
    [
        ("tiny", "scale and shift", (3, 4, 8, 16)),
        ("sd", "nothing is known", (3, 4, 8, 16)),
        ("pixels", "nothing is known", (3, 3, 64, 128)),
    ],
)
def test_the_prior_says_where_it_is_from(server, kind, says, shape):
    graph = Graph()
    vae = random_vae(graph, kind)
    drawn = prior(graph, vae)
    made = results(
        server, graph, latent=drawn, back=graph.node("VAEDecode", vae=vae, samples=drawn)
    )
    assert tuple(made["latent"].shape) == shape and made["back"].shape == (3, 64, 128, 3)
    assert says in text(server, graph, [drawn[0], 1])


def traversal(graph: Graph, vae: list[Any], samples: list[Any], **more: Any) -> list[Any]:
    values = {"dimensions": 3, "each_side": 2, "reach": 3.0} | more
    return graph.node("GenartLatentTraversal", vae=vae, samples=samples, **values)


def test_the_middle_of_every_row_is_the_picture(server):
    graph = Graph()
    vae, start = (
        random_vae(graph),
        draws(4, 4, 12, 12) * torch.tensor([1, 9, 3, 5]).view(1, 4, 1, 1),
    )
    samples = latent(server, graph, start)
    sheet = traversal(graph, vae, samples)
    first = graph.node("LatentFromBatch", samples=samples, batch_index=0, length=1)
    made = results(
        server,
        graph,
        sheet=sheet,
        latent=[sheet[0], 1],
        start=graph.node("VAEDecode", vae=vae, samples=first),
    )
    rows = made["latent"].unflatten(0, (3, 5))
    assert torch.equal(rows[:, 2], start[:1].expand(3, -1, -1, -1))
    moved = (rows[:, 0] - start[0]).flatten(2).abs().mean(2)  # [row, channel]
    assert moved.argmax(1).tolist() == [1, 3, 2]  # what varies most is first
    side = 96
    drawn = made["sheet"][0]
    left, top = drawn.shape[1] - 5 * (side + 4), drawn.shape[0] - 3 * (side + 4)
    for row in range(3):
        y, x = top + row * (side + 4), left + 2 * (side + 4)
        cell = drawn[y : y + side, x : x + side]
        assert (cell - made["start"][0]).abs().max() < 1 / 255
    assert "wired in" in text(server, graph, [sheet[0], 2])


def test_a_traversal_needs_latents_of_its_vae_and_of_pictures(server):
    for shape, says in (
        ((1, 16, 4, 4), "16 channels"),
        ((1, 2, 4, 4), "2 channels"),
        ((1, 4, 3, 4, 4), "films"),
    ):
        graph = Graph()
        sheet = traversal(graph, random_vae(graph), latent(server, graph, draws(*shape)))
        assert says in refusal(server, graph, sheet).message


def test_preview_factors_of_a_vae_that_is_known_are_found(server):
    """pixel_space's latents are the pictures."""
    graph, real = Graph(), pictures(2)
    vae, pixels = random_vae(graph, "pixels"), image(server, graph, real)
    factors = graph.node("GenartFitLatentPreview", vae=vae, images=pixels)
    shown = graph.node(
        "GenartLatentPreview", samples=encoded(graph, vae, pixels), factors=factors, scale=2
    )
    made = results(server, graph, shown=shown)
    assert torch.allclose(made["shown"][:, ::2, ::2], real, atol=1e-4)
    assert made["shown"].shape == (2, 64, 96, 3)
    found = json.loads(text(server, graph, factors))
    assert torch.allclose(torch.tensor(found["latent_rgb_factors"]), torch.eye(3), atol=1e-4)
    assert float(text(server, graph, [factors[0], 1])) == pytest.approx(1, abs=1e-6)


def test_a_preview_of_any_vae_is_near_to_its_pictures(server):
    graph, real = Graph(), pictures(6, 64, 64)
    vae, pixels = random_vae(graph), image(server, graph, real)
    factors = graph.node("GenartFitLatentPreview", vae=vae, images=pixels)
    shown = graph.node(
        "GenartLatentPreview", samples=encoded(graph, vae, pixels), factors=factors, scale=8
    )
    made = results(server, graph, shown=shown)
    explained = float(text(server, graph, [factors[0], 1]))
    small = real.unflatten(1, (8, 8)).unflatten(3, (8, 8)).mean((2, 4))
    off = (made["shown"][:, ::8, ::8] - small).square().sum()
    spread = (small - small.mean((0, 1, 2))).square().sum()
    assert 0.02 < explained <= 1
    assert float(1 - off / spread) >= explained - 0.01  # clipping to 0..1 only helps


@pytest.mark.parametrize(
    ("factors", "says"), [("nonsense", "holds no preview factors"), (None, "of 3 channels")]
)
def test_factors_that_do_not_fit_are_refused(server, factors, says):
    graph = Graph()
    if factors is None:
        factors = json.dumps({"latent_rgb_factors": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]})
    samples = latent(server, graph, draws(1, 4, 4, 4))
    shown = graph.node("GenartLatentPreview", samples=samples, factors=factors, scale=8)
    assert says in refusal(server, graph, shown).message
