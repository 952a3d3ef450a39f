"""The autoencoder of latent diffusion (Rombach et al. 2022), as diffusers has it.

Needs diffusers, which is imported when the first one is built.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import GenartError
from ...gan.networks.sizes import check_sizes
from ..opening import diffusers_class
from .autoencoder import Autoencoder, Coded, drawn

CLASS = "AutoencoderKL"


@dataclass(frozen=True)
class KLSpec:
    """Everything that decides the shapes of a `KLVAE`.

    Attributes:
        channels: of the latents.
        widths: channels at each side, from the whole; the side is halved between them.
        layers: residual blocks at each side.
        groups: of the normalisation; no file of other tools tells it, where it is 32.
        around: it has convolutions of a single pixel on both sides of the latents, as SD's.
        attention: it has attention at the least side.
    """

    channels: int = 4
    widths: tuple[int, ...] = (64, 128, 256, 256)
    layers: int = 2
    groups: int = 32
    around: bool = False
    attention: bool = True

    def __post_init__(self) -> None:
        if not 2 <= len(self.widths) <= 6:
            raise GenartError(f"A KL VAE has 2 to 6 widths, not {len(self.widths)}.")
        limits = {
            "channels": (1, 512),
            "widths": (1, 2048),
            "layers": (1, 16),
            "groups": (1, 2048),
        }
        check_sizes("A KL VAE", self, limits)
        for width in self.widths:
            if width % self.groups:
                raise GenartError(
                    f"A KL VAE cannot normalise {width} channels in {self.groups} groups: widths "
                    f"must be multiples of {self.groups}."
                )

    @property
    def settings(self) -> dict[str, Any]:
        """What diffusers builds it with."""
        count = len(self.widths)
        return {
            "block_out_channels": list(self.widths),
            "down_block_types": ["DownEncoderBlock2D"] * count,
            "force_upcast": False,
            "latent_channels": self.channels,
            "layers_per_block": self.layers,
            "mid_block_add_attention": self.attention,
            "norm_num_groups": self.groups,
            "up_block_types": ["UpDecoderBlock2D"] * count,
            "use_post_quant_conv": self.around,
            "use_quant_conv": self.around,
        }


class KLVAE(Autoencoder):
    """diffusers' AutoencoderKL; its modules keep their names, behind `network.`.

    Args:
        spec: its shapes.

    Raises:
        GenartError: when diffusers is not installed.
    """

    family = "kl"

    def __init__(self, spec: KLSpec) -> None:
        super().__init__()
        self.spec: KLSpec = spec
        self.network: Any = diffusers_class(CLASS)(**spec.settings)

    @property
    def factor(self) -> int:
        """Pixels along a side for each place of the latents."""
        return 1 << len(self.spec.widths) - 1

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return self.spec.channels

    @property
    def numbers(self) -> int:
        """SD's take 2,200 with 128 channels at the whole side and 256 at half of it."""
        return 17 * max(self.spec.widths[0], self.spec.widths[1] // 2)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights: normalised blocks begin near their shortcuts."""
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear", generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.GroupNorm):
                nn.init.ones_(layer.weight)
                nn.init.zeros_(layer.bias)

    def code(self, pictures: Tensor, noise: Tensor | None) -> Coded:
        """As of `Autoencoder`."""
        mean, logvar = self._moments(pictures).chunk(2, dim=1)
        return drawn(mean, logvar, noise)

    def encode(self, pictures: Tensor) -> Tensor:
        """As of `Autoencoder`."""
        return self._moments(pictures)[:, : self.channels]

    def decode(self, latents: Tensor) -> Tensor:
        """As of `Autoencoder`."""
        made: Tensor = self.network.decode(latents.contiguous(), return_dict=False)[0]
        return made

    def decoder_parameters(self) -> list[nn.Parameter]:
        """Those of the convolution before the decoder, where there is one, and of the decoder."""
        before = list(self.network.post_quant_conv.parameters()) if self.spec.around else []
        return [*before, *self.network.decoder.parameters()]

    def _moments(self, pictures: Tensor) -> Tensor:
        """Mean and log variance as channels."""
        # Channels last gains nothing here on a CPU, whose group normalisation then loses digits.
        found: Tensor = self.network.encode(pictures.contiguous(), return_dict=False)[0].parameters
        return found
