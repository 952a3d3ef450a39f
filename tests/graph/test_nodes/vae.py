"""VAEs of random weights in the layouts that ComfyUI has, and how far two results are apart."""

import sys
from pathlib import Path

import comfy.sd
import folder_paths
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL, AutoencodingEngine
from comfy.model_patcher import ModelPatcher
from comfy.taesd.taesd import TAESD

SHAPE = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}


def filled(model, seed):
    """Random weights; what is normalised has a middle that is far from zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.state_dict().items():
        if weight.is_floating_point() and weight.ndim:
            weight.normal_(std=0.05 if weight.ndim > 1 else 0.3, generator=generator)
            if "norm" in name and name.endswith("weight"):
                weight.add_(1)
            if name.endswith("running_var"):
                weight.abs_().add_(0.5)
    return model.eval()


def engine(channels):
    """SD 3's and Flux's: no convolutions around the latent."""
    parts = {**SHAPE, "z_channels": channels}
    where = "comfy.ldm.modules.diffusionmodules.model."
    kind = "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"
    return AutoencodingEngine(
        regularizer_config={"target": kind},
        encoder_config={"target": where + "Encoder", "params": parts},
        decoder_config={"target": where + "Decoder", "params": parts},
    )


def folding(channels):
    """HunyuanImage's: places become channels, with shortcuts beside."""
    parts = {"in_channels": 3, "out_channels": 3, "z_channels": channels, "num_res_blocks": 1}
    parts |= {"block_out_channels": [32, 64, 128], "ffactor_spatial": 4}
    where = "comfy.ldm.hunyuan_video.vae."
    kind = "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"
    return AutoencodingEngine(
        regularizer_config={"target": kind},
        encoder_config={"target": where + "Encoder", "params": parts},
        decoder_config={"target": where + "Decoder", "params": parts},
    )


def patches():
    """Flux.2's: 2x2 places of the latents as channels, normalised."""
    return AutoencoderKL(ddconfig={**SHAPE, "batch_norm_latent": True}, embed_dim=4)


OTHERS = {
    "flux": (lambda: engine(16), 16, 8),
    "hunyuan": (lambda: folding(16), 16, 4),
    "flux2": (patches, 16, 16),
}
"""Networks that ComfyUI would not know so small, with their channels and factors."""


class RandomVAE:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("VAE",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        layouts = ["sd", "tiny", "pixels", *OTHERS]
        return {"required": {"layout": (layouts,), "exact": ("BOOLEAN", {"default": False})}}

    def make(self, layout, exact):
        vae = self.known(layout)
        return Exact().make(vae) if exact else (vae,)

    def known(self, layout):
        if layout == "pixels":
            return comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})
        if layout == "tiny":
            return comfy.sd.VAE(sd=filled(TAESD(latent_channels=4), 1).state_dict())
        model = filled(AutoencoderKL(ddconfig=SHAPE, embed_dim=4), 2)
        config = {"params": {"ddconfig": SHAPE, "embed_dim": 4}}
        vae = comfy.sd.VAE(sd=model.state_dict(), config=config)
        if layout in OTHERS:
            made, vae.latent_channels, factor = OTHERS[layout]
            vae.first_stage_model = filled(made(), 3).to(vae.vae_dtype)
            vae.downscale_ratio = vae.upscale_ratio = factor
            old = vae.patcher
            vae.patcher = ModelPatcher(
                vae.first_stage_model,
                load_device=old.load_device,
                offload_device=old.offload_device,
            )
        return vae


class OwnVAE:
    """A file of models/vae as one of the pack's own autoencoders."""

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "load", ("VAE",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"name": ("STRING", {})}}

    def load(self, name):
        loaded = pack("vae.files").load_vae(Path(folder_paths.get_full_path_or_raise("vae", name)))
        return (pack("host.vae_object").as_vae(loaded),)


def pack(module):
    """A module of the pack, whatever name ComfyUI gave it."""
    ends = f"comfy_genart_nodes.{module}"
    return next(found for name, found in sys.modules.items() if name.endswith(ends))


class Exact:
    """A VAE in float64: a CPU's group normalisation loses digits in float32, channels last."""

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("VAE",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"vae": ("VAE",)}}

    def make(self, vae):
        vae.first_stage_model.double()
        vae.vae_dtype = torch.float64
        return (vae,)


class Overflowing:
    """A VAE in half precision, in which it runs over, and the same in float32."""

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("VAE", "VAE")

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {}}

    def make(self):
        made = []
        for dtype in (torch.float16, torch.float32):
            vae = RandomVAE().known("sd")
            vae.first_stage_model.decoder.conv_in.weight.data.fill_(6e4)  # made harmless by a norm
            vae.first_stage_model.to(dtype)
            vae.vae_dtype = dtype
            made.append(vae)
        return tuple(made)


class RandomLatents:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("LATENT",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"shape": ("STRING", {"default": "1,4,8,8"})}}

    def make(self, shape):
        sides = [int(each) for each in shape.split(",")]
        return ({"samples": torch.randn(*sides, generator=torch.Generator().manual_seed(5))},)


class Apart:
    """The largest difference, and the largest number, of two results."""

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "tell", ("FLOAT", "FLOAT", "STRING")

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        kinds = "IMAGE,LATENT"
        return {"required": {"a": (kinds,), "b": (kinds,)}}

    def tell(self, a, b):
        a, b = (x["samples"] if isinstance(x, dict) else x for x in (a, b))
        shape = "x".join(map(str, b.shape))
        return (float((a - b).abs().max()), float(a.abs().max()), shape)


NODE_CLASS_MAPPINGS = {
    "GenartTestExact": Exact,
    "GenartTestOverflowing": Overflowing,
    "GenartTestOwnVAE": OwnVAE,
    "GenartTestRandomVAE": RandomVAE,
    "GenartTestRandomLatents": RandomLatents,
    "GenartTestApart": Apart,
}
