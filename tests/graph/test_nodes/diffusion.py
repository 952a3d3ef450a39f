"""A diffusion model that ComfyUI itself recognises, tiny and with random weights, and no text."""

from pathlib import Path

import comfy.ops
import folder_paths
import torch
from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper
from comfy.taesd.taesd import TAESD
from safetensors.torch import save_file

NAME = "tiny_sd3.safetensors"
LATENT_CHANNELS = 16
TEXT, POOLED = 4096, 2048  # widths of SD3's conditioning


class WriteTinyDiffusion:
    """Writes `NAME` for UNETLoader and for VAELoader: core's own classes decide what is in them."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "test", "write", (), True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"seed": ("INT", {"default": 0})}}

    def write(self, seed):
        generator = torch.Generator().manual_seed(seed)
        sd3 = OpenAISignatureMMDITWrapper(
            depth=2,
            patch_size=2,
            in_channels=LATENT_CHANNELS,
            num_patches=64,
            pos_embed_max_size=8,
            adm_in_channels=POOLED,
            context_embedder_config={
                "target": "torch.nn.Linear",
                "params": {"in_features": TEXT, "out_features": 128},
            },
            dtype=torch.float32,
            device="cpu",
            operations=comfy.ops.disable_weight_init,
        )
        _write(sd3, "diffusion_models", generator)
        _write(TAESD(latent_channels=LATENT_CHANNELS), "vae", generator)
        return ()


def _write(module, kind, generator):
    weights = {}
    for name, value in module.state_dict().items():
        fan_in = value[0].numel() if value.ndim > 1 else 10_000
        noise = torch.randn(value.shape, generator=generator) * (2 / fan_in) ** 0.5
        weights[name] = noise if value.ndim else value.clone()  # scale and shift of the VAE stay
    folder = Path(folder_paths.models_dir) / kind  # the server's own: the last listed is the pack's
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / NAME)


class NoText:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("CONDITIONING",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {}}

    def make(self):
        return ([[torch.zeros(1, 77, TEXT), {"pooled_output": torch.zeros(1, POOLED)}]],)


class RandomText:
    """What a text encoder might make: another seed, another prompt."""

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("CONDITIONING",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        sizes = {"tokens": ("INT", {"default": 77}), "width": ("INT", {"default": TEXT})}
        return {"required": {"seed": ("INT", {"default": 0})}, "optional": sizes}

    def make(self, seed, tokens=77, width=TEXT):
        generator = torch.Generator().manual_seed(seed)
        text = torch.randn(1, tokens, width, generator=generator)
        return ([[text, {"pooled_output": torch.randn(1, POOLED, generator=generator)}]],)


class TextNumbers:
    """A prompt as a LATENT, for what writes those; whether it has an area too."""

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("LATENT",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"prompt": ("CONDITIONING",)}}

    def make(self, prompt):
        ((text, more),) = prompt
        area = torch.tensor(more.get("area", ()), dtype=torch.int64)
        return ({"samples": text, "pooled": more["pooled_output"], "area": area},)


class MakeNoise:
    """What a NOISE gives a sampler."""

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("LATENT",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"noise": ("NOISE",), "samples": ("LATENT",)}}

    def make(self, noise, samples):
        seed = torch.tensor(noise.seed, dtype=torch.int64)
        return ({"samples": noise.generate_noise(samples), "seed": seed},)


NODE_CLASS_MAPPINGS = {
    "GenartTestRandomText": RandomText,
    "GenartTestTextNumbers": TextNumbers,
    "GenartTestMakeNoise": MakeNoise,
    "GenartTestWriteTinyDiffusion": WriteTinyDiffusion,
    "GenartTestNoText": NoText,
}
