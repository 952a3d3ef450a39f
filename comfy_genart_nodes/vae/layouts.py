"""Autoencoders of this pack as other tools know them: which tensors are what, and the way back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import GenartError, shown
from . import ldm_names, tiny_names
from .config import TINY
from .networks.autoencoder import Autoencoder
from .networks.bottlenecks import Gauss
from .networks.kl import CLASS, KLVAE, KLSpec
from .networks.tiny import TinyVAE
from .networks.vector import DOUBLING, WIDEST, VectorSpec, VectorVAE
from .weights import todays_name

_STOCK_WIDTHS = ((128, 256, 512, 512), (128, 256, 512))
"""Of the KL autoencoders that ComfyUI builds, whatever a file holds."""

_GROUPS = 32
"""Of the normalisation of all KL autoencoders, but of narrower ones of this pack."""

_TAKEN = 64
"""Latent channels by which ComfyUI takes a KL autoencoder for another model's."""


@dataclass(frozen=True, eq=False)
class Recognised:
    """Tensors that turned out to be a network's.

    Attributes:
        family: of the network.
        spec: its shapes.
        tensors: under the names of its modules.
        format: what tools call their layout.
    """

    family: str
    spec: Any
    tensors: dict[str, Tensor]
    format: str


def recognise(state: Mapping[str, Tensor], name: str) -> Recognised:
    """Tell what tensors are by their names, and its shapes by theirs.

    Args:
        state: of TAESD, of a KL autoencoder under LDM's names or those of diffusers, of an
            `AutoencoderTiny`, or of a network of this pack.
        name: of the file, for the message.

    Raises:
        GenartError: when they are of another kind.
    """
    try:
        found = _recognised(state)
    except KeyError as error:
        raise GenartError(
            f"{name} holds half a VAE: tensor {shown(error.args[0], 80)} is missing; choose a file "
            "with encoder and decoder."
        ) from error
    except GenartError:
        raise
    except (IndexError, TypeError, ValueError, ArithmeticError) as error:
        raise GenartError(
            f"{name} holds tensors of shapes that no VAE has: download or save it again."
        ) from error
    if found is None:
        raise GenartError(
            f"{name} holds no VAE that can be trained or saved here: choose one that this pack "
            "trained, a TAESD, or a KL VAE as those of SD, SDXL, SD 3 and Flux."
        )
    return found


def _recognised(state: Mapping[str, Tensor]) -> Recognised | None:
    """What tensors are, by the names that only such networks have; None where nobody knows."""
    if "encoder.layers.0.weight" in state:
        return _tiny(tiny_names.from_diffusers(state), "AutoencoderTiny of diffusers")
    if "taesd_decoder.1.weight" in state:
        return _tiny(dict(state), "TAESD")
    if "decoder.up_blocks.0.resnets.0.conv1.weight" in state:
        return _kl(dict(state), "AutoencoderKL of diffusers")
    if "decoder.up.0.block.0.conv1.weight" in state:
        kept = {key: value for key, value in state.items() if not key.startswith(_LOSSES)}
        return _kl(ldm_names.to_diffusers(kept), "AutoencoderKL of latent diffusion")
    if "vector_decoder.0.weight" in state:
        return Recognised(VectorVAE.family, _spec_of_vector(state), dict(state), "beta-VAE")
    return None


_LOSSES = ("loss.", "model_ema.")
"""What the first training code left in its files beside the autoencoder."""


def _tiny(state: dict[str, Tensor], tool: str) -> Recognised:
    spec = tiny_names.spec_of_taesd(state)
    fixed = {"vae_scale": torch.tensor(1.0), "vae_shift": torch.tensor(0.0)}
    if spec.bottleneck == "gauss" and "bottleneck.logvar" not in state:
        fixed |= Gauss(spec.channels).state_dict(prefix="bottleneck.")
    return Recognised(TinyVAE.family, spec, fixed | state, tool)


def _kl(state: dict[str, Tensor], tool: str) -> Recognised:
    state = {todays_name(key): value for key, value in state.items()}
    state["encoder.down_blocks.0.resnets.0.conv1.weight"]  # of half a VAE it is the one missing
    levels = _count(state, "encoder.down_blocks.{}.resnets.0.conv1.weight")
    widths = [
        len(state[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"]) for level in range(levels)
    ]
    spec = KLSpec(
        channels=state["decoder.conv_in.weight"].shape[1],
        widths=tuple(widths),
        layers=_count(state, "encoder.down_blocks.0.resnets.{}.conv1.weight"),
        groups=math.gcd(_GROUPS, *widths),
        around="post_quant_conv.weight" in state,
        attention="decoder.mid_block.attentions.0.to_q.weight" in state,
    )
    tensors = {f"network.{key}": value for key, value in state.items()}
    return Recognised(KLVAE.family, spec, tensors, tool)


def _spec_of_vector(state: Mapping[str, Tensor]) -> VectorSpec:
    width = len(state["vector_encoder.0.weight"])
    numbers, z_dim = state["vector_decoder.0.weight"].shape
    doublings = [w for name, w in state.items() if name.startswith("vector_decoder.")]
    stages = sum(weight.ndim == 4 and weight.shape[-1] == DOUBLING for weight in doublings)
    side = math.isqrt(numbers // (width * min(1 << stages, WIDEST)))
    return VectorSpec(side << stages, z_dim, width)


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    count = 0
    while pattern.format(count) in state:
        count += 1
    return count


def stock_tensors(network: Autoencoder) -> dict[str, Tensor]:
    """The weights under the names, and in the shapes, that ComfyUI loads without this pack.

    Raises:
        GenartError: when ComfyUI builds no network that could take them.
    """
    if isinstance(network, TinyVAE):
        if tiny_names.fits_stock(network.spec):
            return tiny_names.widened(network)
        raise _unfit(
            network,
            f"a TAESD of at most {tiny_names.WIDTH} channels and {tiny_names.BLOCKS} blocks a side",
        )
    if isinstance(network, KLVAE):
        spec = network.spec
        known = spec.widths in _STOCK_WIDTHS and (spec.layers, spec.groups) == (2, _GROUPS)
        if known and spec.attention and spec.channels != _TAKEN:
            return ldm_names.to_ldm(network.network.state_dict())
        raise _unfit(network, "KL VAEs with SD's widths, 128, 256, 512 and mostly 512 again")
    raise _unfit(network, "VAEs whose latents are maps")


def _unfit(network: Autoencoder, known: str) -> GenartError:
    return GenartError(
        f"ComfyUI without this pack has no network for this VAE ({network.family}), only {known}: "
        "save it in the layout 'own'."
    )


def diffusers_tensors(network: Autoencoder) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config, and the weights under diffusers' names.

    Raises:
        GenartError: when diffusers has no class for the network.
    """
    if isinstance(network, KLVAE):
        settings, tensors = network.spec.settings, network.network.state_dict()
        return {"_class_name": CLASS, **settings}, tensors
    if isinstance(network, TinyVAE) and network.code_count is None:
        settings = tiny_names.diffusers_settings(network.spec)
        tensors = tiny_names.to_diffusers(network.state_dict())
        return {"_class_name": TINY, **settings}, tensors
    raise GenartError(
        f"diffusers has no class for this VAE ({network.family}): save it in the layout 'own'."
    )


def any_tensors(network: Autoencoder) -> dict[str, Tensor]:
    """As ComfyUI loads them where it can; else under names by which `recognise` knows them."""
    try:
        return stock_tensors(network)
    except GenartError:
        if isinstance(network, KLVAE):
            return network.network.state_dict()
        return network.state_dict()
