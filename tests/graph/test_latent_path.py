"""Latent Path in a real ComfyUI: keys, loops, laws, what latents carry, what is refused."""

from typing import Any

import pytest
import torch
from latent_samples import noise, pictures
from prompts import Graph, NodeError
from small_gans import refusal
from test_latent_nodes import masked, whole
from vae_numbers import latent, results, text

from comfy_genart_nodes.latent.sphere import lerp, slerp
from comfy_genart_nodes.latent.statistics import moments


def path(graph: Graph, keys: list[Any], **more: Any) -> list[Any]:
    values = {"frames": 12, "mode": "auto", "loop": True, "smooth": False} | more
    values = {"easing": "linear", "times": "", "sizes": "refuse"} | values
    return graph.node("GenartWalkLatents", keys=keys, **values)


def test_a_loop_of_noise_passes_its_keys_on_great_circles(server):
    graph, x = Graph(), noise(3, 4, 32, 32)
    one, two = latent(server, graph, x[:2]), latent(server, graph, x[2:])
    node = path(graph, one, second=two)
    made = results(
        server,
        graph,
        latent=node,
        latent_smooth=path(graph, one, second=two, smooth=True, easing="sine"),
        latent_twice=path(graph, one, second=two, frames=24),
        latent_timed=path(graph, one, second=two, loop=False, frames=9, times="0, 1, 4"),
    )
    assert made["latent"][::4].equal(x) and made["latent_smooth"][::4].equal(x)
    assert made["latent_twice"][::2].equal(made["latent"])
    assert torch.allclose(made["latent"][2], slerp(x[:1], x[1:2], 0.5)[0], atol=1e-6)
    assert torch.allclose(made["latent"][10], slerp(x[2:], x[:1], 0.5)[0], atol=1e-6)
    assert made["latent_timed"][[0, 2, 8]].equal(x)
    # 4,096 numbers: five standard errors of a deviation are .055
    assert ((made["latent_smooth"].flatten(1).std(1) - 1).abs() < 0.055).all()
    assert "noise" in text(server, graph, [node[0], 1])


def test_pictures_keep_their_contrast_on_the_way(server):
    graph, x = Graph(), pictures(3, 16, 32, 32, std=2.5)
    keys = latent(server, graph, x)
    made = results(
        server,
        graph,
        latent=path(graph, keys),
        latent_plain=path(graph, keys, mode="straight"),
        latent_held=path(graph, keys, easing="hold"),
    )
    known = moments(x).std
    halfway = moments(made["latent"][2::4]).std
    assert torch.allclose(halfway, (known + known.roll(-1, 0)) / 2, rtol=1e-4)
    assert (moments(made["latent_plain"][2::4]).std.mean(1) < 0.85 * halfway.mean(1)).all()
    assert torch.allclose(made["latent_plain"][1], lerp(x[:1], x[1:2], 0.25)[0], atol=1e-6)
    assert made["latent"][::4].equal(x)
    assert made["latent_held"].equal(x.repeat_interleave(4, 0))


def test_films_go_too_and_more_inputs_follow_in_their_order(server):
    graph, x = Graph(), noise(4, 16, 3, 8, 8)
    inputs = [latent(server, graph, each[None]) for each in x]
    names = dict(zip(("fourth", "third", "second"), inputs[:0:-1], strict=True))
    made = results(server, graph, latent=path(graph, inputs[0], **names, loop=False, frames=7))
    assert made["latent"].shape == (7, 16, 3, 8, 8) and made["latent"][::2].equal(x)


def test_what_latents_carry_goes_along(server):
    graph, x = Graph(), noise(2, 4, 8, 8)
    keys = graph.node("GenartTestCarryMore", latent=latent(server, graph, x), first=5)
    kept = whole(server, graph, path(graph, keys, frames=6))
    assert kept["batch_index"].tolist() == [5] * 6  # one noise for the whole animation
    assert kept["something"].tolist() == [5] and "noise_mask" not in kept
    plain = [latent(server, graph, each[None]) for each in x]
    a, b = masked(graph, plain[0], 1.0), masked(graph, plain[1], 0.0)
    kept = whole(server, graph, path(graph, a, second=b, frames=8, smooth=True))["noise_mask"]
    assert kept.mean((1, 2, 3)).tolist() == [1, 0.75, 0.5, 0.25, 0, 0.25, 0.5, 0.75]
    alone = whole(server, graph, path(graph, a, second=a, frames=8))["noise_mask"]
    assert bool((alone == 1).all())


@pytest.mark.parametrize(
    ("count", "more", "says"),
    [
        (1, {}, "at least two keys"),
        (3, {"times": "0, 2, 1, 3"}, "must rise"),
        (3, {"times": "0, 1, 2"}, "one for the return"),
        (3, {"times": "0, nan, 2, 3"}, "times"),
        (3, {"times": "soon"}, "times"),
    ],
)
def test_what_is_no_path_is_refused(server, count, more, says):
    graph = Graph()
    keys = latent(server, graph, noise(count, 4, 8, 8))
    assert says in refusal(server, graph, path(graph, keys, **more)).message


def test_latents_that_do_not_fit_are_refused(server):
    graph, bad = Graph(), noise(2, 4, 8, 8)
    bad[0, 0, 0, 0] = float("nan")
    message = refusal(server, graph, path(graph, latent(server, graph, bad))).message
    assert "Input keys holds numbers that are NaN" in message
    graph = Graph()
    keys, other = (latent(server, graph, noise(1, n, 8, 8)) for n in (4, 16))
    message = refusal(server, graph, path(graph, keys, third=other)).message
    assert "input third 16 channels" in message
    graph = Graph()
    large = latent(server, graph, noise(2, 16, 256, 256))
    message = refusal(server, graph, path(graph, large, frames=100_000)).message
    assert "100,000 latents" in message and "419.4 GB" in message


@pytest.mark.parametrize(("setting", "value"), [("mode", "cubic"), ("easing", "bouncing")])
def test_unknown_choices_are_refused(server, setting, value):
    graph = Graph()
    keys = latent(server, graph, noise(2, 4, 8, 8))
    with pytest.raises(NodeError, match=value):
        graph.node("PreviewAny", source=path(graph, keys, **{setting: value}))
        graph.run(server)
