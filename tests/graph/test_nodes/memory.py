"""A GAN and a VAE on a device whose memory holds a few pictures at a time."""

import copy

import comfy.model_management as mm
import torch
from comfy.model_patcher import ModelPatcher


class ShortMemory:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "limit", ("GENART_GAN",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"gan": ("GENART_GAN",), "most": ("INT", {"default": 3})}}

    def limit(self, gan, most):
        def full(module, inputs):
            if len(inputs[0]) > most:
                raise mm.OOM_EXCEPTION("as the test wants it")

        gan.loaded.generator.synthesis.register_forward_pre_hook(full)
        return (gan,)


class Short(torch.nn.Module):
    """A VAE's network that takes no more pictures at once, nor larger ones."""

    def __init__(self, model, most, side):
        super().__init__()
        self.model, self.most, self.side = model, most, side
        for name in ("taesd_encoder", "taesd_decoder", "vae_scale", "vae_shift"):
            setattr(self, name, getattr(model, name))

    def _check(self, x, side):
        if len(x) > self.most or x.shape[-1] > side:
            raise mm.OOM_EXCEPTION("as the test wants it")
        return x

    def encode(self, x):
        return self.model.encode(self._check(x, self.side))

    def decode(self, z):
        return self.model.decode(self._check(z, self.side // 8))


class ShortMemoryVAE:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "limit", ("VAE",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        numbers = {"most": ("INT", {"default": 3}), "side": ("INT", {"default": 64})}
        return {"required": {"vae": ("VAE",), **numbers}}

    def limit(self, vae, most, side):
        limited, old = copy.copy(vae), vae.patcher
        limited.first_stage_model = Short(vae.first_stage_model, most, side)
        limited.patcher = ModelPatcher(
            limited.first_stage_model,
            load_device=old.load_device,
            offload_device=old.offload_device,
        )
        return (limited,)


NODE_CLASS_MAPPINGS = {
    "GenartTestShortMemory": ShortMemory,
    "GenartTestShortMemoryVAE": ShortMemoryVAE,
}
