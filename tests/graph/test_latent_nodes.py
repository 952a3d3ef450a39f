"""Latents interpolated, blended, laid out, matched and examined in a real ComfyUI."""

import itertools
from typing import Any

import pytest
import torch
from latent_samples import is_noise, noise, pictures
from prompts import Graph, NodeError
from safetensors.torch import load_file
from small_gans import refusal
from vae_numbers import latent, results, text

from comfy_genart_nodes.latent.sphere import slerp
from comfy_genart_nodes.latent.statistics import moments

FILES = itertools.count()


def between(graph: Graph, a: list[Any], b: list[Any], **more: Any) -> list[Any]:
    values = {"frames": 1, "t": 0.5, "mode": "auto", "sizes": "refuse"} | more
    return graph.node("GenartInterpolateLatents", a=a, b=b, **values)


def blended(graph: Graph, first: list[Any], **more: Any) -> list[Any]:
    values = {"weights": "1", "mode": "auto", "sizes": "refuse"} | more
    return graph.node("GenartBlendLatents", first=first, **values)


def sheet(graph: Graph, first: list[Any], **more: Any) -> list[Any]:
    values = {"rows": 3, "columns": 4, "mode": "auto", "sizes": "refuse"} | more
    return graph.node("GenartGridLatents", first=first, **values)


def one_by_one(graph: Graph, samples: list[Any]) -> list[Any]:
    return graph.node("RebatchLatents", latents=samples, batch_size=1)


def joined(graph: Graph, samples: list[Any]) -> list[Any]:
    return graph.node("GenartTestJoinLatents", latents=samples)


def masked(graph: Graph, samples: list[Any], value: float, side: int = 64) -> list[Any]:
    mask = graph.node("SolidMask", value=value, width=side, height=side)
    return graph.node("SetLatentNoiseMask", samples=samples, mask=mask)


def whole(server: Any, graph: Graph, link: list[Any]) -> dict[str, torch.Tensor]:
    """All that a LATENT holds."""
    name = f"latent_{next(FILES)}.safetensors"
    graph.node("GenartTestWriteNumbers", name=name, latent=link)
    graph.run(server)
    return load_file(server.base / "output" / name)


@pytest.mark.parametrize(("channels", "count"), [(4, 200), (16, 60)])
def test_midpoints_of_noises_are_noise_and_those_of_core_are_not(server, channels, count):
    """All pairs at once, and through core's node one by one, for it takes no batch."""
    graph = Graph()
    a, b = (latent(server, graph, noise(count, channels, 64, 64, seed=s)) for s in (1, 2))
    singles = [one_by_one(graph, each) for each in (a, b)]
    cores = graph.node("LatentInterpolate", samples1=singles[0], samples2=singles[1], ratio=0.5)
    made = results(
        server, graph, latent_ours=between(graph, a, b), latent_core=joined(graph, cores)
    )
    assert is_noise(made["latent_ours"])
    assert made["latent_core"].shape == (count, channels, 64, 64)
    assert not is_noise(made["latent_core"])


def test_a_batch_is_its_pairs_one_by_one(server):
    """Noise and pictures side by side; as many as channels among them, where core goes wrong."""
    graph, links = Graph(), {}
    for count in range(1, 9):
        a, b = (
            latent(
                server,
                graph,
                torch.cat([noise(count, 4, 16, 16, seed=s), pictures(count, 4, 16, 16, seed=s)])[
                    count // 2 :
                ][:count],
            )
            for s in (1, 2)
        )
        alone = between(graph, one_by_one(graph, a), one_by_one(graph, b), frames=3)
        links[f"latent_{count}"] = between(graph, a, b, frames=3)
        links[f"latent_alone_{count}"] = joined(graph, alone)
    made = results(server, graph, **links)
    for count in range(1, 9):
        assert len(made[f"latent_{count}"]) == 3 * count
        assert made[f"latent_{count}"].equal(made[f"latent_alone_{count}"]), count


def test_frames_go_pair_by_pair_from_a_to_b(server):
    graph = Graph()
    x, y = noise(2, 4, 16, 16), noise(1, 4, 16, 16, seed=3)
    frames = between(graph, latent(server, graph, x), latent(server, graph, y), frames=5)
    made = results(server, graph, latent=frames)["latent"].unflatten(0, (2, 5))
    assert made[:, 0].equal(x) and made[:, -1].equal(y.expand(2, -1, -1, -1))
    assert torch.allclose(made[:, 2], slerp(x, y.expand_as(x), 0.5), atol=1e-6)
    assert "noise" in text(server, graph, [frames[0], 1])


def test_pictures_keep_their_contrast_and_may_be_exaggerated(server):
    graph = Graph()
    x = pictures(2, 4, 32, 32, std=5.5)
    a, b = (latent(server, graph, each[None]) for each in x)
    made = results(
        server,
        graph,
        latent=between(graph, a, b),
        latent_plain=between(graph, a, b, mode="straight"),
        latent_beyond=between(graph, a, b, t=1.5, mode="straight"),
        latent_back=between(graph, a, b, t=0.0),
    )
    wanted = moments(x).std.mean(0)
    assert torch.allclose(moments(made["latent"]).std[0], wanted)
    assert (moments(made["latent_plain"]).std[0] < 0.8 * wanted).all()
    assert torch.allclose(made["latent_beyond"][0], 1.5 * x[1] - 0.5 * x[0], atol=1e-5)
    assert made["latent_back"][0].equal(x[0])


@pytest.mark.parametrize("mode", ["auto", "noise", "picture", "straight"])
def test_identical_opposite_and_empty_latents_have_a_way(server, mode):
    graph = Graph()
    x = torch.cat([noise(1, 4, 16, 16), pictures(1, 4, 16, 16)])
    ends = {"same": x, "opposite": -x, "empty": torch.zeros_like(x)}
    a = latent(server, graph, x)
    links = {}
    for name, other in ends.items():
        b = latent(server, graph, other)
        links[f"latent_{name}"] = between(graph, a, b, frames=5, mode=mode)
        links[f"latent_{name}_back"] = between(graph, b, a, t=-1.0, mode=mode)
    made = results(server, graph, **links)
    assert all(each.isfinite().all() for each in made.values())
    assert torch.allclose(made["latent_same"].unflatten(0, (2, 5)), x[:, None], atol=1e-5)


def test_films_go_too(server):
    graph = Graph()
    x, y = noise(2, 16, 3, 8, 8), noise(2, 16, 3, 8, 8, seed=3)
    a, b = latent(server, graph, x), latent(server, graph, y)
    made = results(
        server,
        graph,
        latent=between(graph, a, b),
        latent_blend=blended(graph, a, second=b, weights="1\n0, 0, 1, 0"),
        latent_sheet=sheet(graph, a, second=b, rows=2, columns=2),
    )
    assert torch.allclose(made["latent"], slerp(x, y, 0.5), atol=1e-6)
    assert made["latent_blend"].shape == (2, 16, 3, 8, 8)
    assert made["latent_blend"][1].equal(y[0])
    assert made["latent_sheet"].equal(torch.cat([x, y]))


def test_what_a_latent_carries_goes_with_it(server):
    graph = Graph()
    x, y = noise(2, 4, 8, 8), noise(2, 4, 8, 8, seed=3)
    a = graph.node("GenartTestCarryMore", latent=latent(server, graph, x), first=5)
    b = graph.node("GenartTestCarryMore", latent=latent(server, graph, y), first=9)
    kept = whole(server, graph, between(graph, a, b, frames=3))
    assert kept["batch_index"].tolist() == [5, 5, 5, 6, 6, 6]  # the same noise for a pair's frames
    assert kept["something"].tolist() == [5] and "noise_mask" not in kept
    plain = between(graph, latent(server, graph, x), b, frames=2)
    kept = whole(server, graph, plain)
    assert kept["batch_index"].tolist() == [0, 0, 1, 1] and "something" not in kept
    kept = whole(server, graph, blended(graph, a, second=b, weights="1\n1, 2, 3, 4"))
    assert kept["batch_index"].tolist() == [5, 5] and kept["something"].tolist() == [5]


def test_masks_are_blended_and_one_alone_stays(server):
    graph = Graph()
    plain = [latent(server, graph, noise(1, 4, 8, 8, seed=seed)) for seed in (1, 2)]
    a, b = masked(graph, plain[0], 1.0), masked(graph, plain[1], 0.0, side=96)
    kept = whole(server, graph, between(graph, a, b, frames=3))["noise_mask"]
    assert kept.shape == (3, 1, 64, 64)
    assert kept.mean((1, 2, 3)).tolist() == [1.0, 0.5, 0.0]
    for first, second, side in ((a, plain[1], 64), (plain[0], b, 96)):
        alone = whole(server, graph, between(graph, first, second, frames=3))["noise_mask"]
        assert alone.shape == (1, 1, side, side)
    kept = whole(server, graph, blended(graph, a, second=b, weights="3, 1"))["noise_mask"]
    assert kept.mean() == 0.75
    four = sheet(graph, a, second=b, third=plain[0], fourth=plain[1], rows=2, columns=2)
    kept = whole(server, graph, four)["noise_mask"]
    assert kept.mean((1, 2, 3)).tolist() == [1, 0, 1, 1]  # without a mask it is everywhere


def test_other_sides_are_scaled_where_that_is_asked_for(server):
    graph = Graph()
    x, y = pictures(1, 4, 16, 16), pictures(1, 4, 24, 32)
    a, b = latent(server, graph, x), latent(server, graph, y)
    fitted = graph.node(
        "LatentUpscale",
        samples=b,
        upscale_method="bilinear",
        width=128,
        height=128,
        crop="center",
    )
    made = results(
        server,
        graph,
        latent=between(graph, a, b, sizes="scale to the first", mode="straight"),
        latent_fitted=between(graph, a, fitted, mode="straight"),
    )
    assert made["latent"].equal(made["latent_fitted"])
    refused = refusal(server, graph, between(graph, a, b)).message
    assert "16x16 places" in refused and "32x24" in refused and "scale to the first" in refused


def test_a_mask_is_cut_as_its_latent_is(server):
    graph = Graph()
    wide = latent(server, graph, pictures(1, 4, 16, 32))
    square = latent(server, graph, pictures(1, 4, 16, 16, seed=7))
    middle = graph.node("SolidMask", value=1.0, width=128, height=128)
    around = graph.node("SolidMask", value=0.0, width=256, height=128)
    mask = graph.node(
        "MaskComposite", destination=around, source=middle, x=64, y=0, operation="add"
    )
    masked_wide = graph.node("SetLatentNoiseMask", samples=wide, mask=mask)
    none = masked(graph, square, 0.0, side=128)
    short = graph.node("SolidMask", value=1.0, width=64, height=128)
    lying = graph.node("SolidMask", value=0.0, width=128, height=128)
    stretched = graph.node(
        "MaskComposite", destination=lying, source=short, x=32, y=0, operation="add"
    )  # of other proportions than its latent, over which it is stretched
    other = graph.node("SetLatentNoiseMask", samples=wide, mask=stretched)
    made = between(graph, square, other, t=1.0, sizes="scale to the first")
    assert whole(server, graph, made)["noise_mask"].min() == 1
    for first in (square, none):  # alone, and blended
        made = between(graph, first, masked_wide, t=1.0, sizes="scale to the first")
        assert whole(server, graph, made)["noise_mask"].min() == 1


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ((1, 4, 8, 8), (1, 16, 8, 8), ("4 channels", "SD 1.5", "16 channels", "Flux")),
        ((3, 4, 8, 8), (2, 4, 8, 8), ("3 latents", "2")),
        ((1, 16, 8, 8), (1, 16, 3, 8, 8), ("films",)),
        ((1, 16, 2, 8, 8), (1, 16, 3, 8, 8), ("2 frames", "3 frames")),
        ((1, 4, 8), (1, 4, 8), ("not of pictures",)),
    ],
)
def test_latents_that_do_not_go_together_are_refused(server, a, b, says):
    graph = Graph()
    made = between(graph, latent(server, graph, noise(*a)), latent(server, graph, noise(*b)))
    message = refusal(server, graph, made).message
    assert all(each in message for each in says), message


@pytest.mark.parametrize("bad", ["a", "b"])
def test_nan_is_refused_by_the_name_of_its_input(server, bad):
    graph = Graph()
    ends = {name: noise(1, 4, 8, 8) for name in ("a", "b")}
    ends[bad][0, 0, 0, :2] = torch.tensor([float("nan"), float("inf")])
    made = between(graph, *(latent(server, graph, ends[name]) for name in ("a", "b")))
    assert f"Input {bad} holds numbers that are NaN or infinite (2 of 256)" in (
        refusal(server, graph, made).message
    )


def test_more_frames_than_fit_are_refused_before_any_is_made(server):
    graph = Graph()
    large = latent(server, graph, noise(1, 16, 256, 256))
    made = between(graph, large, large, frames=100_000)
    message = refusal(server, graph, made).message
    assert "100,000 latents" in message and "419.4 GB" in message and "free" in message


@pytest.mark.parametrize(("setting", "value"), [("mode", "cubic"), ("sizes", "stretch")])
def test_unknown_choices_are_refused(server, setting, value):
    graph = Graph()
    a = latent(server, graph, noise(1, 4, 8, 8))
    with pytest.raises(NodeError, match=f"{value}"):
        graph.node("PreviewAny", source=between(graph, a, a, **{setting: value}))
        graph.run(server)


def test_a_blend_is_by_weights_a_line_for_each(server):
    graph = Graph()
    x = noise(3, 4, 64, 64)
    a, b = latent(server, graph, x[:2]), latent(server, graph, x[2:])
    seen = latent(server, graph, pictures(3, 4, 32, 32, std=5.5))
    lines = "2, 1, .5\n\n0, 0, 7\n 1"
    made = results(
        server,
        graph,
        latent=blended(graph, a, second=b, weights=lines),
        latent_mean=blended(graph, a, second=b, mode="straight"),
        latent_seen=blended(graph, seen),
    )
    assert len(made["latent"]) == 3 and made["latent"][1].equal(x[2])
    for each in made["latent"]:
        assert float(each.std()) == pytest.approx(1, abs=0.028)  # five standard errors
    assert torch.allclose(made["latent_mean"][0], x.mean(0), atol=1e-6)
    wanted = moments(pictures(3, 4, 32, 32, std=5.5)).std.mean(0)
    assert torch.allclose(moments(made["latent_seen"]).std[0], wanted)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ("1, 2", "3 latents and 2 weights"),
        ("1, x, 2", "no weights"),
        ("1, nan, 2", "no weights"),
        ("", "There are no weights"),
        ("0, 0, 0", "All weights are 0"),
    ],
)
def test_weights_that_make_no_blend_are_refused(server, weights, says):
    graph = Graph()
    made = blended(graph, latent(server, graph, noise(3, 4, 16, 16)), weights=weights)
    assert says in refusal(server, graph, made).message


def test_a_grid_has_its_corners_in_a_batch_or_in_four_inputs(server):
    graph = Graph()
    x = noise(4, 4, 16, 16)
    four = latent(server, graph, x)
    each = [latent(server, graph, one[None]) for one in x]
    single = dict(zip(("second", "third", "fourth"), each[1:], strict=True))
    made = results(
        server, graph, latent=sheet(graph, four), latent_single=sheet(graph, each[0], **single)
    )
    assert made["latent"].equal(made["latent_single"])
    rows = made["latent"].unflatten(0, (3, 4))
    assert rows[[0, 0, -1, -1], [0, -1, 0, -1]].equal(x)
    assert torch.allclose(rows[1, 0], slerp(x[:1], x[2:3], 0.5)[0], atol=1e-6)
    assert "3 latents" in refusal(server, graph, sheet(graph, latent(server, graph, x[:3]))).message


def matched(graph: Graph, samples: list[Any], reference: list[Any], **more: Any) -> list[Any]:
    values = {"how": "moments", "strength": 1.0} | more
    return graph.node("GenartMatchLatentStatistics", samples=samples, reference=reference, **values)


def test_statistics_are_those_of_the_reference(server):
    graph = Graph()
    x, like = pictures(2, 4, 16, 16, std=2), pictures(2, 4, 16, 16, std=5.5, seed=9) + 1
    samples, reference = latent(server, graph, x), latent(server, graph, like)
    more = graph.node("GenartTestCarryMore", latent=masked(graph, samples, 0.5), first=5)
    one, other = latent(server, graph, x[:1]), latent(server, graph, noise(1, 4, 8, 24))
    made = results(
        server,
        graph,
        latent=matched(graph, samples, reference),
        latent_none=matched(graph, samples, reference, strength=0.0),
        latent_spectrum=matched(graph, samples, reference, how="spectrum"),
        latent_each=matched(graph, one, reference),
        latent_size=matched(graph, one, other),
    )
    for name in ("latent", "latent_spectrum", "latent_each"):
        assert torch.allclose(moments(made[name]).std, moments(like).std, rtol=1e-4)
        assert torch.allclose(moments(made[name]).mean, moments(like).mean, atol=1e-4)
    assert made["latent_none"].equal(x)
    kept = whole(server, graph, matched(graph, more, reference))
    assert kept["batch_index"].tolist() == [5, 6] and kept["noise_mask"].mean() == 0.5
    refused = refusal(server, graph, matched(graph, one, other, how="spectrum")).message
    assert "16x16" in refused and "24x8" in refused


def test_the_doctor_tells_of_noise_pictures_and_nan(server):
    graph = Graph()
    x = torch.cat([noise(2, 4, 64, 64), pictures(1, 4, 64, 64, std=5.5)])
    x[1, 2, 3, 4] = float("nan")
    seen = graph.node("GenartExamineLatent", samples=latent(server, graph, x))
    shown = graph.run(server)[seen[0]]["text"][0]
    assert "Latent 0: noise." in shown and "spread as those of SD 1.5" in shown
    assert "! Latent 1: some of its numbers are NaN" in shown
    assert text(server, graph, seen) == shown
