"""Where the run of a VAE comes from: another VAE, or nothing."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..errors import GenartError
from ..vae.files import LoadedVAE, load_vae, save_vae
from ..vae.networks.autoencoder import Autoencoder
from ..vae.networks.families import build
from ..vae.networks.vector import VectorVAE
from .vae_config import FINE_TUNE, VAEConfig

FILE = "parent.safetensors"


@dataclass(frozen=True, eq=False)
class VAELineage:
    """What the run of a VAE begins with.

    Attributes:
        parent: the VAE to go on from, if any.
    """

    parent: LoadedVAE | None

    @classmethod
    def kept(cls, folder: Path, parent: LoadedVAE | None = None) -> "VAELineage":
        """That of the run in a folder, which may be asked to go on from another parent."""
        path = folder / FILE
        return cls(parent or (load_vae(path) if path.is_file() else None))

    def settled(self, config: VAEConfig, classes: int) -> VAEConfig:
        """The parent's hash and shapes are part of the settings, and pictures must fit them."""
        if self.parent is None:
            if config.decoder_only:
                raise GenartError(
                    f"The recipe {FINE_TUNE} goes on with a VAE: wire one into base, or name a "
                    "file with --from in a shell."
                )
            _check_eq(config, config.factor)
            return config
        network = self.parent.network
        if network.family == VectorVAE.family and config.resolution != network.factor:
            raise GenartError(
                f"The VAE to go on from takes pictures of {network.factor}x{network.factor} alone: "
                f"set resolution to {network.factor}."
            )
        config.check_side(network.factor)
        _check_eq(config, network.factor)
        return replace(config, parent=self.parent.hash, **_shapes(network))

    def check(self, config: VAEConfig, classes: int) -> None:
        """Refuse networks that cannot be built."""
        if self.parent is None:
            with torch.device("meta"):
                build(*config.network())

    def group(self, config: VAEConfig) -> int:
        """No picture is compared with its neighbours."""
        return 1

    def keep(self, folder: Path) -> None:
        """Write the parent."""
        if self.parent:
            save_vae(folder / FILE, self.parent, "own")


def _check_eq(config: VAEConfig, factor: int) -> None:
    """Refuse to make latents smaller that are of one place."""
    if config.eq and config.resolution <= factor:
        raise GenartError(
            "eq makes latents smaller, and those of this VAE have one place: set eq to 0, or take "
            "a larger resolution."
        )


def _shapes(network: Autoencoder) -> dict[str, Any]:
    """What a run's settings say of the network that it goes on from."""
    kind = getattr(network.spec, "bottleneck", network.family)
    width = network.spec.widths[0] if network.family == "kl" else network.spec.width
    model = "tiny" if kind == "gauss" else kind
    return {"model": model, "latent_channels": network.channels, "width": width}
