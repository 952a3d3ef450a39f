"""The network that a run goes on from, kept in the run's folder.

A run that was moved to another machine, or whose parent was thrown away, goes on all the same.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..errors import GenartError
from ..gan.checkpoint import LoadedDiscriminator, LoadedGAN, load_discriminator, load_gan, save_gan
from ..gan.formats.opening import open_discriminator
from ..gan.networks.generator import Spec
from .config import TrainConfig
from .recipes import fine_tuned

FILE = "parent.safetensors"
CHANNELS = 3  # of the pictures that runs train on


@dataclass(frozen=True, eq=False)
class Parent:
    """What a run goes on from.

    Attributes:
        spec: the generator's.
        generator: its state.
        discriminator: the one beside it, where its file had one.
    """

    spec: Spec
    generator: dict[str, Tensor]
    discriminator: LoadedDiscriminator | None


def descend(config: TrainConfig, parent: LoadedGAN, classes: int, judged: bool) -> TrainConfig:
    """The settings of a run that goes on from a network: its family and shapes are the network's.

    Args:
        config: the settings asked for.
        parent: the network.
        classes: of the run's pictures; 0 for none.
        judged: whether its discriminator is known too. Where it is not, the recipe that would
            freeze a part of it has nothing to freeze.

    Raises:
        GenartError: when the network makes other pictures than the run learns from.
    """
    spec = parent.spec
    if spec.resolution != config.resolution:
        raise GenartError(
            f"The network to go on from makes pictures of side {spec.resolution}, and resolution "
            f"is {config.resolution}: set resolution to {spec.resolution}."
        )
    if spec.img_channels != CHANNELS:
        raise GenartError(
            f"The network to go on from makes pictures of {spec.img_channels} channels, and those "
            f"to learn from have {CHANNELS}: train without it."
        )
    if spec.c_dim != classes:
        own = f"knows {spec.c_dim} classes" if spec.c_dim else "knows no classes"
        those = f"have {classes}" if classes else "are used without"
        raise GenartError(
            f"The network to go on from {own}, and the pictures {those}: train with as many "
            "classes, or without the network."
        )
    if config.recipe == "fine-tune":
        config = fine_tuned(config, parent.generator.family)
        config = config if judged else replace(config, freeze_d=0)
    if config.freeze_d and not judged:
        raise GenartError(
            "The network to go on from came without its discriminator, so there is nothing to "
            "freeze: set freeze_d to 0."
        )
    return replace(
        config,
        family=parent.generator.family,
        z_dim=spec.z_dim,
        w_dim=spec.w_dim,
        parent=parent.hash,
    )


def rival_of(parent: LoadedGAN) -> LoadedDiscriminator | None:
    """The discriminator in the file that a network came from, where that is still there."""
    if parent.source is None or not parent.source.is_file():
        return None
    return open_discriminator(parent.source)


def keep(folder: Path, parent: LoadedGAN, rival: LoadedDiscriminator | None) -> None:
    """Write what a run goes on from into its folder.

    Raises:
        GenartError: when the disk is full.
    """
    save_gan(folder / FILE, parent.generator, parent.info, rival)


def kept(folder: Path) -> LoadedGAN | None:
    """The network that the run in a folder goes on from; None where it began from nothing.

    Raises:
        GenartError: when the file cannot be read.
    """
    path = folder / FILE
    return load_gan(path) if path.is_file() else None


def read(folder: Path) -> Parent | None:
    """The same with its discriminator, as training takes it."""
    gan = kept(folder)
    if gan is None:
        return None
    return Parent(gan.spec, gan.generator.state_dict(), load_discriminator(folder / FILE))
