"""Encode and decode pictures of any size as a VAE's whole pass would, in bounded memory.

Cutting a picture into tiles changes what normalisation and attention see: seams, and a shift of
colour that blending only smears. Here each layer is computed for the whole picture, strip by strip
(`strips.py`), so that the result is that of the whole pass but for the order of sums.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .adapter import OwnVAE
from .layers import Layer, Progress, UnknownError, decoder_layers, encoder_layers, plain, run
from .networks.tiny import TinyVAE
from .strips import Workshop

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Coder:
    """One half of a VAE.

    Attributes:
        layers: of the network.
        before: what is done to its input `[1, c, h, w]` first.
        after: what is done to its output.
    """

    layers: list[Layer]
    before: Change
    after: Change

    @torch.no_grad()
    def __call__(self, x: Tensor, shop: Workshop, progress: Progress) -> Tensor:
        """Code one picture or latent, `[1, c, h, w]`, which may lie anywhere.

        Args:
            x: the input.
            shop: where strips are computed.
            progress: called with (layers done, layers); may raise to stop.
        """
        return self.after(run(self.layers, self.before(x), shop, progress))


def decoder_of(model: nn.Module) -> Coder:
    """A VAE's way from latents to pictures.

    Args:
        model: the VAE as ComfyUI has it: KL with or without convolutions around the latent, or
            TAESD.

    Raises:
        UnknownError: when it is of another kind.
    """
    vae = _inner(model)
    if hasattr(vae, "taesd_decoder"):
        layers = decoder_layers(vae.taesd_decoder)
        return Coder(layers, lambda z: (z - _on(vae.vae_shift, z)) * _on(vae.vae_scale, z), _signed)
    _check(vae)
    own = decoder_layers(vae.decoder)
    latent = getattr(vae, "post_quant_conv", None)
    return Coder([*_around(latent), *own], _as_is, _as_is)


def encoder_of(model: nn.Module) -> Coder:
    """A VAE's way from pictures in -1..1 to the mean of their latents.

    Args:
        model: as of `decoder_of`.

    Raises:
        UnknownError: when it is of another kind.
    """
    vae = _inner(model)
    if hasattr(vae, "taesd_encoder"):
        layers = encoder_layers(vae.taesd_encoder)
        settle: Change = vae.bottleneck.settle if isinstance(vae, TinyVAE) else _as_is
        return Coder(
            layers,
            lambda x: x * 0.5 + 0.5,
            lambda z: settle(z / _on(vae.vae_scale, z) + _on(vae.vae_shift, z)),
        )
    _check(vae)
    own = encoder_layers(vae.encoder)
    latent = getattr(vae, "quant_conv", None)
    return Coder([*own, *_around(latent)], _as_is, lambda moments: moments.chunk(2, dim=1)[0])


def _inner(model: nn.Module) -> Any:
    """The network itself, where one of this pack's is behind an adapter."""
    return model.network if isinstance(model, OwnVAE) else model


def _check(vae: Any) -> None:
    """Refuse a VAE that does to its latents what is not known here."""
    name = type(vae).__name__
    if not (hasattr(vae, "encoder") and hasattr(vae, "decoder")):
        raise UnknownError(f"This VAE, {name}, is no KL autoencoder or TAESD.")
    if getattr(vae, "bn", None) is not None:
        raise UnknownError(f"This VAE, {name}, normalises its latents.")
    if type(getattr(vae, "regularization", None)).__name__ == "EmptyRegularizer":
        raise UnknownError(f"This VAE, {name}, has latents without a variance.")


def _around(conv: nn.Module | None) -> list[Layer]:
    """The convolution beside the latent, where there is one."""
    return [] if conv is None else [plain(conv)]


def _as_is(x: Tensor) -> Tensor:
    return x


def _signed(x: Tensor) -> Tensor:
    """0..1 to -1..1."""
    return x.sub_(0.5).mul_(2)


def _on(parameter: Tensor, like: Tensor) -> Tensor:
    return parameter.to(like)
