"""Where a run comes from: the network it goes on from, or nothing, and what that decides."""

from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from ..errors import GenartError
from ..gan.checkpoint import LoadedGAN
from ..vae.files import LoadedVAE
from .gan_lineage import GANLineage
from .run_config import RunConfig
from .run_folder import RunFolder
from .vae_config import VAEConfig
from .vae_lineage import VAELineage

Parent: TypeAlias = LoadedGAN | LoadedVAE
T = TypeVar("T")


class Lineage(Protocol):
    """What a run of one kind begins with."""

    def settled(self, config: Any, classes: int) -> Any:
        """The settings of a run that comes from here, for so many classes of pictures.

        Raises:
            GenartError: when they do not go together.
        """

    def check(self, config: Any, classes: int) -> None:
        """Refuse what could not be trained, before there is a run; takes no memory.

        Raises:
            GenartError: when the networks cannot be built, or do not fit the parent's.
        """

    def group(self, config: Any) -> int:
        """How many neighbours of a batch the networks compare with each other."""

    def keep(self, folder: Path) -> None:
        """Write what a run goes on from into its folder.

        Raises:
            GenartError: when the disk is full.
        """


def lineage(config: RunConfig, parent: Parent | None) -> Lineage:
    """What a run with these settings begins with, when it goes on from a network or from nothing.

    Raises:
        GenartError: when the network is of another kind, or its file cannot be read.
    """
    if isinstance(config, VAEConfig):
        return VAELineage(_of_kind(parent, LoadedVAE))
    return GANLineage.new(_of_kind(parent, LoadedGAN))


def kept(run: RunFolder, parent: Parent | None = None) -> Lineage:
    """What a run began with.

    Args:
        run: the run.
        parent: what it is asked to have gone on from, in place of what it did.

    Raises:
        GenartError: when its folder cannot be read.
    """
    if isinstance(run.config, VAEConfig):
        return VAELineage.kept(run.path, _of_kind(parent, LoadedVAE))
    return GANLineage.kept(run.path, _of_kind(parent, LoadedGAN))


def _of_kind(parent: Parent | None, kind: type[T]) -> T | None:
    """The parent, if it is a network of the kind that is trained.

    Raises:
        GenartError: when it is of another.
    """
    if parent is None or isinstance(parent, kind):
        return parent
    raise GenartError(
        "A VAE cannot go on from a GAN, nor a GAN from a VAE: choose a network of the kind to "
        "train."
    )
