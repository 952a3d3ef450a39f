"""Pictures and latents as exact numbers, from a file and to one; a sound twice."""

from pathlib import Path

import folder_paths
import torch
from safetensors.torch import load_file, save_file


class ReadNumbers:
    """The tensors of a file of the input folder."""

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "read", ("IMAGE", "MASK", "LATENT")

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"name": ("STRING", {})}}

    def read(self, name):
        found = load_file(Path(folder_paths.get_input_directory()) / name)
        return found.get("image"), found.get("mask"), {"samples": found.get("samples")}


class WriteNumbers:
    """Writes what it gets to a file of the output folder."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "test", "write", (), True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        wired = {"image": ("IMAGE",), "latent": ("LATENT",)}
        return {"required": {"name": ("STRING", {})}, "optional": wired}

    def write(self, name, image=None, latent=None):
        kept = {} if image is None else {"image": image}
        kept |= {key: torch.as_tensor(value) for key, value in (latent or {}).items()}
        whole = {key: value.contiguous() for key, value in kept.items()}
        save_file(whole, Path(folder_paths.get_output_directory()) / name)
        return ()


class CarryMore:
    """A latent with what other nodes may have put into it."""

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "carry", ("LATENT",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"latent": ("LATENT",), "first": ("INT", {"default": 0})}}

    def carry(self, latent, first):
        index = list(range(first, first + len(latent["samples"])))
        return (latent | {"batch_index": index, "something": torch.tensor([first])},)


class JoinLatents:
    """All latents of a list as one batch."""

    CATEGORY, FUNCTION, RETURN_TYPES, INPUT_IS_LIST = "test", "join", ("LATENT",), True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"latents": ("LATENT",)}}

    def join(self, latents):
        return ({"samples": torch.cat([each["samples"] for each in latents])},)


class TwoSounds:
    """A sound twice, as a batch."""

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "double", ("AUDIO",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"audio": ("AUDIO",)}}

    def double(self, audio):
        return ({**audio, "waveform": audio["waveform"].repeat(2, 1, 1)},)


NODE_CLASS_MAPPINGS = {
    "GenartTestCarryMore": CarryMore,
    "GenartTestJoinLatents": JoinLatents,
    "GenartTestTwoSounds": TwoSounds,
    "GenartTestReadNumbers": ReadNumbers,
    "GenartTestWriteNumbers": WriteNumbers,
}
