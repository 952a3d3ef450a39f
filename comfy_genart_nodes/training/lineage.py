"""Where a run comes from: the network it goes on from, or nothing, and what that decides."""

from pathlib import Path
from typing import Any, Protocol, TypeAlias

from ..gan.checkpoint import LoadedGAN
from .config import TrainConfig
from .gan_lineage import GANLineage
from .run_config import RunConfig
from .run_folder import RunFolder

Parent: TypeAlias = LoadedGAN


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
    assert isinstance(config, TrainConfig)
    return GANLineage.new(parent)


def kept(run: RunFolder, parent: Parent | None = None) -> Lineage:
    """What a run began with.

    Args:
        run: the run.
        parent: what it is asked to have gone on from, in place of what it did.

    Raises:
        GenartError: when its folder cannot be read.
    """
    assert isinstance(run.config, TrainConfig)
    return GANLineage.kept(run.path, parent)
