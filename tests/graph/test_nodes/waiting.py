"""A picture that depends on a seed; nodes that are silent for a while, fail, or expand."""

import time

import comfy.model_management
import torch
from comfy_execution.graph_utils import GraphBuilder


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


class SaveTwice:
    """Becomes two nodes while it runs; their ids are the server's invention."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "test", "expand", (), True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"images": ("IMAGE",)}}

    def expand(self, images):
        graph = GraphBuilder()
        for _ in range(2):
            graph.node("SaveImage", images=images, filename_prefix="twice")
        return {"result": (), "expand": graph.finalize()}


NODE_CLASS_MAPPINGS = {
    "GenartTestNoise": Noise,
    "GenartTestSaveTwice": SaveTwice,
    "GenartTestSilence": Silence,
}
