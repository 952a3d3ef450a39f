"""A picture that depends on a seed, and a node that is silent for a while, or fails."""

import time

import comfy.model_management
import torch


class Noise:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"seed": ("INT", {"default": 0, "min": 0, "max": 2**32 - 1})}}

    def make(self, seed):
        return (torch.rand(1, 16, 16, 3, generator=torch.Generator().manual_seed(seed)),)


class Silence:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "wait", ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"image": ("IMAGE",), "seconds": ("FLOAT", {"default": 1.0})}}

    def wait(self, image, seconds):
        if seconds < 0:
            raise ValueError("nobody waits a negative time")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(0.05)
        return (image,)


NODE_CLASS_MAPPINGS = {"GenartTestNoise": Noise, "GenartTestSilence": Silence}
