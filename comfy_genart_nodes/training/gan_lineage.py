"""Where the run of a GAN comes from: another GAN and its discriminator, or nothing."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import GenartError
from ..gan.checkpoint import LoadedDiscriminator, LoadedGAN, load_discriminator
from . import parents
from .config import TrainConfig
from .players import check_players, group_of


@dataclass(frozen=True, eq=False)
class GANLineage:
    """What the run of a GAN begins with.

    Attributes:
        parent: the network to go on from, if any.
        rival: its discriminator, where that is known too.
    """

    parent: LoadedGAN | None
    rival: LoadedDiscriminator | None

    @classmethod
    def new(cls, parent: LoadedGAN | None) -> "GANLineage":
        """That of a run which is to begin."""
        return cls(parent, parents.rival_of(parent) if parent else None)

    @classmethod
    def kept(cls, folder: Path, parent: LoadedGAN | None = None) -> "GANLineage":
        """That of the run in a folder, which may be asked to go on from another parent."""
        path = folder / parents.FILE
        rival = load_discriminator(path) if path.is_file() else None
        return cls(parent or parents.kept(folder), rival)

    def settled(self, config: TrainConfig, classes: int) -> TrainConfig:
        """Family and shapes are those of the parent, if there is one."""
        if self.parent:
            return parents.descend(config, self.parent, classes, self.rival is not None)
        if config.recipe == "fine-tune":
            raise GenartError(
                "The recipe fine-tune goes on with a network: wire a GAN into base, or name a file "
                "with --from in a shell."
            )
        if config.freeze_d:
            raise GenartError(
                "freeze_d keeps blocks as the network to go on from has them, and there is none: "
                "name one, or set freeze_d to 0."
            )
        config.generator_spec(classes)
        return config

    def check(self, config: TrainConfig, classes: int) -> None:
        """Refuse networks that cannot be built, or not frozen as asked for."""
        begun = None
        if self.parent:
            state = self.parent.generator.state_dict()
            begun = parents.Parent(self.parent.spec, state, self.rival)
        check_players(config, classes, begun)

    def group(self, config: TrainConfig) -> int:
        """How many pictures the discriminator compares."""
        return group_of(config.family, config.batch)

    def keep(self, folder: Path) -> None:
        """Write the parent and its discriminator."""
        if self.parent:
            parents.keep(folder, self.parent, self.rival)
