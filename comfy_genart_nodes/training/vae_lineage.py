"""Where the run of a VAE comes from: another VAE, or nothing."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..errors import GenartError
from ..vae.files import LoadedVAE, load_vae, save_vae
from ..vae.networks.families import build
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
        """The parent's hash is part of the settings, and its factor must divide the pictures."""
        if self.parent is None:
            if config.decoder_only:
                raise GenartError(
                    f"The recipe {FINE_TUNE} goes on with a VAE: wire one into base, or name a "
                    "file with --from in a shell."
                )
            return config
        config.check_side(self.parent.network.factor)
        return replace(config, parent=self.parent.hash)

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
