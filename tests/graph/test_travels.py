"""Noise and prompts that travel through a real ComfyUI and its samplers, over a tiny SD3."""

from typing import Any

import pytest
import torch
from prompts import Graph
from safetensors.torch import load_file
from small_gans import refusal
from test_diffusion_chain import TINY
from vae_numbers import latent, results


def near(a: torch.Tensor, b: torch.Tensor) -> bool:
    """The same but for rounding, .6e-5 here: batches of other sizes add in another order."""
    return bool((a - b).abs().max() < 2e-5 * b.abs().max())


@pytest.fixture(scope="module")
def tiny(server: Any) -> None:
    """The model on the server's disk."""
    graph = Graph()
    graph.node("GenartTestWriteTinyDiffusion", seed=3)
    graph.run(server)


def zeros(server: Any, graph: Graph, *shape: int) -> list[Any]:
    return latent(server, graph, torch.zeros(shape))


def seeds(graph: Graph, text: str, **more: Any) -> list[Any]:
    values = {"frames": 0, "along": "batch", "loop": False, "smooth": False}
    values |= {"easing": "linear", "times": ""}
    return graph.node("GenartTravelNoise", seeds=text, **values | more)


def loop(graph: Graph, **more: Any) -> list[Any]:
    values = {"seed": 7, "path": "circle", "frames": 0, "along": "batch"}
    return graph.node("GenartLoopNoise", **values | more)


def core(graph: Graph, seed: int) -> list[Any]:
    return graph.node("RandomNoise", noise_seed=seed)


def made(graph: Graph, noise: list[Any], samples: list[Any]) -> list[Any]:
    return graph.node("GenartTestMakeNoise", noise=noise, samples=samples)


def text(graph: Graph, seed: int, **more: Any) -> list[Any]:
    return graph.node("GenartTestRandomText", seed=seed, **more)


def prompts(graph: Graph, *keys: list[Any], **more: Any) -> list[Any]:
    values = {"frames": 5, "batch_size": 0, "loop": False, "smooth": False}
    values |= {"easing": "linear", "times": ""}
    wired = {f"prompt_{number}": key for number, key in enumerate(keys, 1)}
    return graph.node("GenartTravelPrompt", **wired, **values | more)


def model(graph: Graph) -> list[Any]:
    return graph.node("UNETLoader", unet_name=TINY, weight_dtype="default")


def sampled(graph: Graph, noise: list[Any], prompt: list[Any], samples: list[Any]) -> list[Any]:
    """By core's SamplerCustomAdvanced, in two steps."""
    unet, nothing = model(graph), graph.node("GenartTestNoText")
    guider = graph.node("CFGGuider", model=unet, positive=prompt, negative=nothing, cfg=1.5)
    steps = {"scheduler": "simple", "steps": 2, "denoise": 1.0}
    return graph.node(
        "SamplerCustomAdvanced",
        noise=noise,
        guider=guider,
        sampler=graph.node("KSamplerSelect", sampler_name="euler"),
        sigmas=graph.node("BasicScheduler", model=unet, **steps),
        latent_image=samples,
    )


def ksampled(graph: Graph, unet: list[Any], prompt: list[Any], samples: list[Any], **more: Any):
    """By core's KSamplerAdvanced, in the same two steps."""
    values = {"add_noise": "enable", "noise_seed": 1, "steps": 2, "cfg": 1.5}
    values |= {"sampler_name": "euler", "scheduler": "simple", "start_at_step": 0}
    values |= {"end_at_step": 2, "return_with_leftover_noise": "disable"}
    wired = {"positive": prompt, "negative": graph.node("GenartTestNoText")}
    wired |= {"model": unet, "latent_image": samples}
    return graph.node("KSamplerAdvanced", **wired, **values | more)


@pytest.mark.parametrize("shape", [(4, 8, 8), (16, 3, 8, 8), (4, 5, 7)])
def test_frames_at_seeds_have_the_noise_of_random_noise(server, shape):
    graph = Graph()
    many, one = zeros(server, graph, 5, *shape), zeros(server, graph, 1, *shape)
    found = results(
        server,
        graph,
        latent_smooth=made(graph, seeds(graph, "1, 7, 20", smooth=True), many),
        latent_one=made(graph, seeds(graph, "1, 7, 20"), one),
        latent_circle=made(graph, loop(graph), many),
        latent_1=made(graph, core(graph, 1), one),
        latent_7=made(graph, core(graph, 7), one),
        latent_20=made(graph, core(graph, 20), one),
    )
    for number, seed in ((0, 1), (2, 7), (4, 20)):
        assert torch.equal(found["latent_smooth"][number], found[f"latent_{seed}"][0])
    assert torch.equal(found["latent_one"], found["latent_1"])
    assert torch.equal(found["latent_circle"][:1], found["latent_7"])


def test_each_frame_is_noise_and_loops_close(server):
    graph = Graph()
    many = zeros(server, graph, 13, 4, 64, 64)
    found = results(
        server,
        graph,
        latent_seeds=made(graph, seeds(graph, "1-3", loop=True, frames=12), many),
        latent_circle=made(graph, loop(graph, frames=12), many),
        latent_wander=made(graph, loop(graph, frames=12, path="wander"), many),
    )
    for name, noise in found.items():
        assert ((noise.flatten(1).std(1) - 1).abs() < 0.028).all()  # five times what chance does
        assert torch.equal(noise[0], noise[12])
        steps = (noise[1:] - noise[:-1]).flatten(1).norm(dim=1)
        assert steps.min() > 0
        assert name == "latent_wander" or steps.max() < 1.05 * steps.min()


def test_batches_are_parts_of_the_whole(server):
    """By core's own nodes that divide a batch and that give all of it one noise."""
    graph = Graph()
    whole = zeros(server, graph, 6, 4, 8, 8)
    part = graph.node("LatentFromBatch", samples=whole, batch_index=2, length=3)
    same = graph.node("LatentBatchSeedBehavior", samples=whole, seed_behavior="fixed")
    way = seeds(graph, "1, 7", frames=6)
    found = results(
        server,
        graph,
        latent_whole=made(graph, way, whole),
        latent_part=made(graph, way, part),
        latent_same=made(graph, way, same),
    )
    assert torch.equal(found["latent_part"], found["latent_whole"][2:5])
    assert torch.equal(found["latent_same"], found["latent_whole"][:1].expand(6, -1, -1, -1))
    refused = refusal(server, graph, made(graph, seeds(graph, "1, 7"), part))
    assert "no frame 4 in a travel of 3 frames" in refused.message


def test_a_film_travels_in_time(server):
    graph = Graph()
    film, picture = zeros(server, graph, 1, 16, 5, 6, 6), zeros(server, graph, 1, 16, 6, 6)
    found = results(
        server,
        graph,
        latent_film=made(graph, seeds(graph, "1, 7", along="time"), film),
        latent_1=made(graph, core(graph, 1), picture),
        latent_7=made(graph, core(graph, 7), picture),
    )
    assert found["latent_film"].shape == (1, 16, 5, 6, 6)
    assert torch.equal(found["latent_film"][:, :, 0], found["latent_1"])
    assert torch.equal(found["latent_film"][:, :, 4], found["latent_7"])
    refused = refusal(server, graph, made(graph, loop(graph, along="time"), picture))
    assert "these are pictures" in refused.message


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"text": "1"}, "two seeds or more"),
        ({"text": "1, cat"}, "'cat' is no seed"),
        ({"text": "1, 7", "times": "0, soon"}, "'0, soon' are no times"),
        ({"text": "1, 7", "times": "1, 1"}, "must rise"),
        ({"text": "1, 7", "times": "0, 1, 2"}, "2 keys and 3 times"),
        ({"text": "1, 7", "easing": "bouncing"}, "bouncing"),
        ({"text": "1, 7", "along": "width"}, "width"),
    ],
)
def test_a_travel_that_cannot_be_is_refused(server, values, says):
    graph = Graph()
    way = seeds(graph, **values)
    assert (
        says in refusal(server, graph, made(graph, way, zeros(server, graph, 2, 4, 8, 8))).message
    )


def test_samplers_take_it_and_ksampler_through_its_model(server, tiny):
    graph = Graph()
    whole, prompt = zeros(server, graph, 4, 16, 8, 8), text(graph, 1)
    one = zeros(server, graph, 1, 16, 8, 8)
    parts = graph.node("RebatchLatents", latents=whole, batch_size=3)
    noise, unet = seeds(graph, "1, 7", frames=4), model(graph)

    def noisy(samples: list[Any]) -> list[Any]:
        wired = {"model": unet, "noise": noise, "samples": samples}
        return graph.node("GenartSetModelNoise", **wired)

    joined = graph.node(
        "RebatchLatents", latents=sampled(graph, noise, prompt, parts), batch_size=9
    )
    by_parts = ksampled(graph, noisy(parts), prompt, parts)
    silent = {"add_noise": "disable"}
    found = results(
        server,
        graph,
        latent=sampled(graph, noise, prompt, whole),
        latent_joined=joined,
        latent_k=ksampled(graph, noisy(whole), prompt, whole),
        latent_k_parts=graph.node("RebatchLatents", latents=by_parts, batch_size=9),
        latent_1=ksampled(graph, unet, prompt, one, noise_seed=1),
        latent_7=ksampled(graph, unet, prompt, one, noise_seed=7),
        latent_still=ksampled(graph, noisy(whole), prompt, whole, **silent),
        latent_never=ksampled(graph, unet, prompt, whole, **silent),
    )
    frames = found["latent"]
    assert frames.std() > 0.1 and (frames[1:] - frames[:-1]).abs().mean() > 0.01
    for name in ("latent_joined", "latent_k", "latent_k_parts"):
        assert near(found[name], frames)
    assert near(found["latent_1"], frames[:1])
    assert near(found["latent_7"], frames[3:])
    assert torch.equal(found["latent_still"], found["latent_never"])
    other = refusal(server, graph, ksampled(graph, noisy(one), prompt, whole))
    assert "for 1 latents and 4 are sampled" in other.message


def test_a_model_of_flow_takes_no_noise_as_latents(server, tiny):
    """Why Noise for KSampler is needed: of what is sampled from latents alone nothing is left."""
    graph = Graph()
    unet, prompt, silent = model(graph), text(graph, 1), {"add_noise": "disable"}
    draws = {
        f"latent_{seed}": latent(server, graph, torch.full((1, 16, 8, 8), float(seed)))
        for seed in (1, 2)
    }
    wired = {name: ksampled(graph, unet, prompt, each, **silent) for name, each in draws.items()}
    made = results(server, graph, **wired)
    assert near(made["latent_1"], made["latent_2"])


def numbers(server: Any, graph: Graph, prompt: list[Any], name: str) -> dict[str, torch.Tensor]:
    kept = graph.node("GenartTestTextNumbers", prompt=prompt)
    graph.node("GenartTestWriteNumbers", name=name, latent=kept)
    graph.run(server)
    return load_file(server.base / "output" / name)


@pytest.mark.parametrize("smooth", [False, True])
def test_a_frame_at_a_prompt_is_that_prompts_picture(server, tiny, smooth):
    graph = Graph()
    keys = [text(graph, seed) for seed in (1, 2, 3)]
    whole, noise = zeros(server, graph, 6, 16, 8, 8), loop(graph, frames=6)
    travelled = prompts(graph, *keys, frames=6, loop=True, smooth=smooth, times="0, 1, 2, 3")
    alone = {
        f"latent_{number}": sampled(
            graph,
            noise,
            key,
            graph.node("LatentFromBatch", samples=whole, batch_index=number * 2, length=1),
        )
        for number, key in enumerate(keys)
    }
    found = results(server, graph, latent=sampled(graph, noise, travelled, whole), **alone)
    for number in range(3):
        assert near(found["latent"][2 * number], found[f"latent_{number}"][0])
    assert (found["latent"][1:] - found["latent"][:-1]).abs().flatten(1).mean(1).min() > 0.01


def test_prompts_come_in_the_batches_of_rebatch_latents(server, tiny):
    graph = Graph()
    keys = [text(graph, seed) for seed in (1, 2)]
    whole, noise = zeros(server, graph, 5, 16, 8, 8), seeds(graph, "1, 7", frames=5)
    parts = graph.node("RebatchLatents", latents=whole, batch_size=2)
    by_parts = sampled(graph, noise, prompts(graph, *keys, batch_size=2), parts)
    found = results(
        server,
        graph,
        latent=sampled(graph, noise, prompts(graph, *keys), whole),
        latent_parts=graph.node("RebatchLatents", latents=by_parts, batch_size=9),
    )
    assert near(found["latent_parts"], found["latent"])


def test_between_prompts_is_what_cores_average_makes(server):
    graph = Graph()
    a, b = text(graph, 1), text(graph, 2)
    area = {"width": 64, "height": 128, "x": 8, "y": 16, "strength": 1.0}
    placed = graph.node("ConditioningSetArea", conditioning=a, **area)
    mean = {"conditioning_to": a, "conditioning_from": b, "conditioning_to_strength": 0.75}
    travelled = numbers(server, graph, prompts(graph, placed, b), "text_travel.safetensors")
    average = graph.node("ConditioningAverage", **mean)
    wanted = numbers(server, graph, average, "text_average.safetensors")
    for part in ("samples", "pooled"):
        assert torch.allclose(travelled[part][1:2], wanted[part], atol=1e-6)
    assert travelled["samples"].shape == (5, 77, 4096)
    assert travelled["area"].tolist() == [16, 8, 2, 1]


@pytest.mark.parametrize(
    ("second", "more", "says"),
    [
        ("both", {}, "Prompt 2 is 2 prompts combined"),
        ("narrow", {}, "768 numbers wide and prompt 1 is 4096"),
        ("text", {"times": "0, 0"}, "must rise"),
        ("text", {"loop": True, "times": "0, 1"}, "one for the return"),
    ],
)
def test_prompts_that_do_not_go_together_are_refused(server, second, more, says):
    graph = Graph()
    first = text(graph, 1)
    if second == "both":
        other = graph.node("ConditioningCombine", conditioning_1=first, conditioning_2=first)
    else:
        other = text(graph, 2, width=768 if second == "narrow" else 4096)
    assert says in refusal(server, graph, prompts(graph, first, other, **more)).message
