"""The shared workflow from a GAN's picture through a diffusion model, sampled by the real KSampler.

Only the checkpoint is another: a tiny SD3 with random weights, which ComfyUI recognises as one.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prompts import Graph, fetch, forget

TINY = "tiny_sd3.safetensors"
SIDES, STEPS = {"width": 64, "height": 64}, {"steps": 2}
SMALL = {"ImageScale": SIDES, "EmptyLatentImage": SIDES, "KSampler": STEPS, "BasicScheduler": STEPS}


@pytest.fixture(scope="module")
def chain(server, repository) -> dict[str, Any]:
    """`gan_to_diffusion` as `over_tiny` has it."""
    return over_tiny(server, repository, "gan_to_diffusion")


def over_tiny(server: Any, repository: Path, name: str) -> dict[str, Any]:
    """A workflow as shipped, over the tiny model, small, and with two steps."""
    graph = Graph()
    graph.node("GenartTestWriteTinyDiffusion", seed=3)
    graph.run(server)
    prompt = json.loads((repository / f"workflows/api/{name}.json").read_text("utf-8"))
    loader = node(prompt, "CheckpointLoaderSimple")
    prompt["unet"] = {
        "class_type": "UNETLoader",
        "inputs": {"unet_name": TINY, "weight_dtype": "default"},
    }
    prompt["vae"] = {"class_type": "VAELoader", "inputs": {"vae_name": TINY}}
    instead = {(loader, 0): ["unet", 0], (loader, 2): ["vae", 0]}
    del prompt[loader]
    for each in prompt.values():
        if each["class_type"] == "CLIPTextEncode":
            each |= {"class_type": "GenartTestNoText", "inputs": {}}
        for name, value in each["inputs"].items():
            if isinstance(value, list):
                each["inputs"][name] = instead.get(tuple(value), value)
    for each in prompt.values():
        each["inputs"] |= SMALL.get(each["class_type"], {})
    return prompt


def node(prompt: dict[str, Any], kind: str) -> str:
    return next(id_ for id_, each in prompt.items() if each["class_type"] == kind)


def painted(
    server: Any, chain: dict[str, Any], gan_seed: int = 1, **sampler: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The GAN's picture and what becomes of it."""
    prompt = json.loads(json.dumps(chain))
    prompt[node(prompt, "GenartMakeGANLatent")]["inputs"]["seed"] = gan_seed
    prompt[node(prompt, "KSampler")]["inputs"] |= sampler
    forget(server)
    outputs = Graph(prompt).run(server)
    before, after = (
        fetch(server, outputs[node(prompt, kind)]["images"])
        for kind in ("PreviewImage", "SaveImage")
    )
    assert before.shape == after.shape == (1, 64, 64, 3)
    return before, after


def test_the_picture_and_the_brush_both_count(server, chain):
    before, after = painted(server, chain)
    assert after.std() > 5 and not np.array_equal(before, after)
    again, same = painted(server, chain)
    assert np.array_equal(before, again) and np.array_equal(after, same)
    other, repainted = painted(server, chain, gan_seed=2)
    assert not np.array_equal(before, other) and not np.array_equal(after, repainted)
    untouched, brushed = painted(server, chain, seed=2)
    assert np.array_equal(before, untouched) and not np.array_equal(after, brushed)


def test_full_denoise_forgets_the_gan(server, chain):
    first, second = (painted(server, chain, gan_seed=seed, denoise=1.0)[1] for seed in (1, 2))
    assert np.abs(first.astype(int) - second).max() <= 1


def test_no_denoise_keeps_the_gans_picture(server, chain):
    """What is left is the VAE's way there and back, on which the brush has no say."""
    first, second = (painted(server, chain, seed=seed, denoise=0.0)[1] for seed in (1, 2))
    assert np.array_equal(first, second)


def test_a_large_picture_is_encoded_sampled_and_decoded(server, repository, folder):
    """Its latents are what KSampler takes, its pictures what core's own VAE nodes make."""
    prompt = over_tiny(server, repository, "large_picture")
    prompt[node(prompt, "LoadImage")]["inputs"]["image"] = f"{folder}/0.png"
    seamless = fetch(server, Graph(prompt).run(server)[node(prompt, "SaveImage")]["images"])
    for kind, core in (("Encode", "VAEEncode"), ("Decode", "VAEDecode")):
        each = prompt[node(prompt, f"Genart{kind}Seamless")]
        each["class_type"] = core
        del each["inputs"]["memory"]
    whole = fetch(server, Graph(prompt).run(server)[node(prompt, "SaveImage")]["images"])
    assert seamless.shape == (1, 64, 64, 3) and seamless.std() > 1
    assert np.abs(seamless.astype(int) - whole).max() <= 1
