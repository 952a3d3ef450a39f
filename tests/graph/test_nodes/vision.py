"""A CLIP_VISION of ComfyUI's own class, tiny and with random weights.

Load CLIP Vision knows a file by its layers and takes their shapes out of its own list, of which the
smallest is ViT-L: 1.2 GB. So this one is built by the class that it builds.
"""

import json
import tempfile
from pathlib import Path

import torch
from comfy.clip_vision import ClipVisionModel

CLIP = {
    "hidden_act": "quick_gelu",
    "hidden_size": 32,
    "image_size": 28,
    "intermediate_size": 64,
    "model_type": "clip_vision_model",
    "num_attention_heads": 2,
    "num_channels": 3,
    "num_hidden_layers": 2,
    "patch_size": 7,
    "projection_dim": 24,
}
SIGLIP = {
    **{name: value for name, value in CLIP.items() if name != "projection_dim"},
    "model_type": "siglip_vision_model",
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


class TinyVision:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("CLIP_VISION",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"seed": ("INT", {"default": 0}), "siglip": ("BOOLEAN", {})}}

    def make(self, seed, siglip):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.json"
            path.write_text(json.dumps(SIGLIP if siglip else CLIP))
            model = ClipVisionModel(str(path))
        generator = torch.Generator().manual_seed(seed)
        for name, weight in model.model.state_dict().items():
            if "norm" in name:
                weight.fill_(1.0 if name.endswith("weight") else 0.0)
            else:
                weight.normal_(std=0.2, generator=generator)
        return (model,)


NODE_CLASS_MAPPINGS = {"GenartTestTinyVision": TinyVision}
