"""The shared workflows that travel through seeds and prompts, over a tiny diffusion model."""

import io
import urllib.parse
import urllib.request
from typing import Any

import numpy as np
from PIL import Image, ImageSequence
from prompts import Graph, fetch
from test_diffusion_chain import node, over_tiny

FRAMES = 12


def short(server: Any, repository: Any, name: str) -> dict[str, Any]:
    """A workflow of few frames and steps, each of its prompts another."""
    prompt = over_tiny(server, repository, name)
    prompt[node(prompt, "PrimitiveInt")]["inputs"]["value"] = FRAMES
    texts = [each for each in prompt.values() if each["class_type"] == "GenartTestNoText"]
    for number, each in enumerate(texts):
        each |= {"class_type": "GenartTestRandomText", "inputs": {"seed": number}}
    prompt[node(prompt, "SaveAnimatedWEBP")]["inputs"]["lossless"] = True
    return prompt


def animation(server: Any, prompt: dict[str, Any]) -> np.ndarray:
    """The frames that a workflow saves, as float [n, h, w, 3]."""
    (file,) = Graph(prompt).run(server)[node(prompt, "SaveAnimatedWEBP")]["images"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{server.url}/view?{urllib.parse.urlencode(file)}", timeout=60) as reply:
        film = Image.open(io.BytesIO(reply.read()))
    return np.stack(
        [np.asarray(each.convert("RGB"), float) for each in ImageSequence.Iterator(film)]
    )


def goes_round(frames: np.ndarray) -> bool:
    """Whether every frame differs from the next, the last from the first no more than others."""
    steps = np.abs(frames - np.roll(frames, -1, axis=0)).mean((1, 2, 3))
    return bool(len(frames) == FRAMES and steps.min() > 0.1 and steps[-1] < 1.5 * steps[:-1].max())


def alone(server: Any, prompt: dict[str, Any], key: list[Any], seed: int) -> np.ndarray:
    """The picture of a prompt alone, from a seed, by core's own sampler."""
    kept = {key[0], "unet", "vae", prompt[node(prompt, "KSampler")]["inputs"]["negative"][0]}
    graph = Graph({name: each for name, each in prompt.items() if name in kept})
    wired = {"model": ["unet", 0], "positive": key, "seed": seed}
    graph.nodes["empty"] = {
        "class_type": "EmptyLatentImage",
        "inputs": {"batch_size": 1, "width": 64, "height": 64},
    }
    values = prompt[node(prompt, "KSampler")]["inputs"] | wired | {"latent_image": ["empty", 0]}
    graph.nodes["sampler"] = {"class_type": "KSampler", "inputs": values}
    inputs = {"samples": ["sampler", 0], "vae": ["vae", 0]}
    graph.nodes["picture"] = {"class_type": "VAEDecode", "inputs": inputs}
    save = {"images": ["picture", 0], "filename_prefix": "alone"}
    graph.nodes["save"] = {"class_type": "SaveImage", "inputs": save}
    return fetch(server, graph.run(server)["save"]["images"])[0]


def test_seed_travel_goes_round_whatever_fits_into_memory(server, repository):
    prompt = short(server, repository, "seed_travel")
    frames = animation(server, prompt)
    assert frames.shape == (FRAMES, 64, 64, 3) and goes_round(frames)
    prompt[node(prompt, "RebatchLatents")]["inputs"]["batch_size"] = 5
    assert np.abs(animation(server, prompt) - frames).max() <= 1


def test_a_noise_loop_takes_the_place_of_seeds(server, repository):
    """As the part of the workflow does that is switched off."""
    prompt = short(server, repository, "seed_travel")
    noise = prompt[node(prompt, "GenartTravelNoise")]
    noise["class_type"] = "GenartLoopNoise"
    noise["inputs"] |= {"seed": 7, "path": "wander"}
    assert goes_round(animation(server, prompt))


def test_prompt_travel_goes_through_its_keys(server, repository):
    prompt = short(server, repository, "prompt_travel")
    frames = animation(server, prompt)
    assert goes_round(frames)
    keys = [
        prompt[node(prompt, "GenartTravelPrompt")]["inputs"][f"prompt_{n}"] for n in (1, 2, 3, 4)
    ]
    for number, (key, seed) in enumerate(zip(keys, (1, 7, 20, 33), strict=True)):
        picture = alone(server, prompt, key, seed)
        assert np.abs(frames[number * FRAMES // 4] - picture).max() <= 1
