"""Encode and decode pictures of any size as a VAE's whole pass would, in bounded memory.

Cutting a picture into tiles changes what normalisation and attention see: seams, and a shift of
colour that blending only smears. Here each layer is computed for the whole picture, strip by strip
(`strips.py`), so that the result is that of the whole pass but for the order of sums.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from . import layers_comfyui, layers_diffusers
from .adapter import ran_over
from .config import TINY
from .latent_spaces import LatentSpace, Patches, Scaled
from .layers import Layer, Places, UnknownError, conv, listed, run
from .networks.tiny import TinyVAE
from .strips import Change, Workshop

_SURE = ("AutoencoderDC", TINY, "VQModel")  # whose encoders give no distribution


@dataclass(frozen=True)
class Coder:
    """One half of a VAE.

    Attributes:
        name: of its class.
        layers: of the network.
        before: what is done to its input `[1, c, h, w]` first.
        after: what is done to its output.
    """

    name: str
    layers: list[Layer]
    before: Change
    after: Change

    @property
    def passes(self) -> int:
        """How often it goes through a map for a picture."""
        return sum(layer.passes for layer in self.layers)

    @torch.no_grad()
    def __call__(self, x: Tensor, shop: Workshop) -> Tensor:
        """Code one picture or latent, `[1, c, h, w]`, which may lie anywhere.

        Args:
            x: the input, in the dtype that is worked in.
            shop: where strips are computed.

        Returns:
            The result in that dtype; in float32 where half precision ran over.
        """
        made = self.after(run(self.layers, self.before(x), shop))
        if x.dtype.itemsize > 2 or not ran_over(self.name, made, x):
            return made
        shop.passes -= self.passes
        return self(x.float(), shop)


def decoder_of(model: nn.Module) -> Coder:
    """A VAE's way from latents to pictures.

    Args:
        model: the VAE as ComfyUI has it, or a `SocketVAE`.

    Raises:
        UnknownError: when it has parts that are not known here.
    """
    vae, space = _opened(model, "decoder")
    name = type(vae).__name__
    if hasattr(vae, "taesd_decoder"):
        layers = listed(vae.taesd_decoder, layers_comfyui.sequence)
        return Coder(
            name, layers, lambda z: (z - _on(vae.vae_shift, z)) * _on(vae.vae_scale, z), _signed
        )
    quantiser = [layers_diffusers.quantiser(vae.quantize)] if hasattr(vae, "quantize") else []
    names = layers_comfyui if hasattr(vae.decoder, "up") else layers_diffusers
    own = listed(vae.decoder, names.decoder, unused="condition_encoder.")  # which takes a mask
    return Coder(name, [*quantiser, *_latent(vae, "post_quant_conv"), *own], space.own, _as_is)


def encoder_of(model: nn.Module) -> Coder:
    """A VAE's way from pictures in -1..1 to the mean of their latents.

    Args:
        model: as of `decoder_of`.

    Raises:
        UnknownError: when it has parts that are not known here.
    """
    vae, space = _opened(model, "encoder")
    name = type(vae).__name__
    if hasattr(vae, "taesd_encoder"):
        layers = listed(vae.taesd_encoder, layers_comfyui.sequence)

        def travelling(z: Tensor) -> Tensor:
            z = z / _on(vae.vae_scale, z) + _on(vae.vae_shift, z)
            return vae.bottleneck.settle(z) if isinstance(vae, TinyVAE) else z

        # The nearest of many codes is looked for in strips: it takes a number for each of them.
        last = Places(travelling, numbers=getattr(vae, "code_count", None) or 0)
        return Coder(name, [*layers, last], lambda x: x * 0.5 + 0.5, _as_is)
    names = layers_comfyui if hasattr(vae.encoder, "down") else layers_diffusers
    own = listed(vae.encoder, names.encoder)
    halves = 1 if name in _SURE else 2  # the mean, and the logarithm of the variance
    return Coder(
        name,
        [*own, *_latent(vae, "quant_conv")],
        _as_is,
        lambda moments: space.travelling(moments.chunk(halves, dim=1)[0]),
    )


def _opened(model: Any, half: str) -> tuple[Any, LatentSpace]:
    """A VAE's network, which has that half, and how its latents become ComfyUI's."""
    vae = model
    while hasattr(vae, "network"):  # an adapter's, and that of one of ours which is diffusers' too
        vae = vae.network
    if not any(hasattr(vae, part) for part in (half, f"taesd_{half}")):
        raise UnknownError(f"This VAE, {type(vae).__name__}, has no {half} that is known here.")
    if type(getattr(vae, "regularization", None)).__name__ == "EmptyRegularizer":
        raise UnknownError(f"This VAE, {type(vae).__name__}, has latents without a variance.")
    if hasattr(model, "space"):
        return vae, model.space
    norm = getattr(vae, "bn", None)  # ComfyUI's Flux.2
    return vae, Scaled() if norm is None else Patches(norm)


def _latent(vae: Any, name: str) -> list[Layer]:
    """The convolution beside the latent, where there is one."""
    found = getattr(vae, name, None)
    return [] if found is None else [conv(found)]


def _as_is(x: Tensor) -> Tensor:
    return x


def _signed(x: Tensor) -> Tensor:
    """0..1 to -1..1."""
    return x.sub_(0.5).mul_(2)


def _on(parameter: Tensor, like: Tensor) -> Tensor:
    return parameter.to(like)
