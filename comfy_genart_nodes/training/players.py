"""A generator and its discriminator, as a training step needs them: one pair a family."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import GenartError
from ..gan.networks.dcgan import DCGAN
from ..gan.networks.dcgan_discriminator import DCGANDiscriminator, DCGANDiscriminatorSpec
from ..gan.networks.discriminator import Discriminator, DiscriminatorSpec
from ..gan.networks.families import build
from ..gan.networks.fastgan import SMALL, FastGAN
from ..gan.networks.fastgan_discriminator import (
    FastGANDiscriminator,
    FastGANDiscriminatorSpec,
    SpectralConv,
)
from ..gan.networks.generator import Generator, Look, Noise
from ..gan.networks.layers import initialise
from ..gan.networks.neighbour_norm import GROUP
from ..gan.networks.stylegan2_spec import StyleGAN2Spec
from .config import TrainConfig
from .draws import Draws
from .losses import rebuilding_loss
from .parents import Parent

EQUALISED = ("stylegan2", "stylegan3")
"""Families whose weights are scaled when used: others want a tenth of their learning rate."""

Rival = Discriminator | FastGANDiscriminator | DCGANDiscriminator


class Players(ABC):
    """The two networks of a run.

    Attributes:
        generator: makes pictures.
        discriminator: scores them.
        betas: Adam's, of both.
        pace: the generator's learning rate, as a part of the run's.
        group: neighbouring pictures that the networks compare with each other: a batch divided
            between groups trains as the whole one would.
    """

    generator: Generator
    discriminator: Rival
    betas: ClassVar[tuple[float, float]] = (0.0, 0.99)
    pace: float = 1.0
    group: ClassVar[int] = GROUP

    @abstractmethod
    def make(self, ws: Tensor, noise: Noise) -> list[Tensor]:
        """`ws [n, num_ws, w_dim]` to pictures `[n, img_channels, side, side]`, with gradients.

        The first is the picture; some families show the discriminator a smaller one too.
        """

    def views(self, real: Tensor) -> list[Tensor]:
        """Real pictures as `make` gives generated ones."""
        return [real]

    @abstractmethod
    def score(self, pictures: list[Tensor], classes: Tensor | None) -> Tensor:
        """How real pictures look, `[n, k]`."""

    def study(
        self, pictures: list[Tensor], classes: Tensor | None, draws: Draws
    ) -> tuple[Tensor, Tensor | None]:
        """Scores of real pictures, and what else the discriminator is to learn from them."""
        return self.score(pictures, classes), None

    def settle(self) -> None:  # noqa: B027
        """Once a step: what the discriminator keeps of its own weights follows them."""

    def frozen(self, blocks: int) -> Iterator[nn.Parameter]:
        """The parameters of so many of the discriminator's blocks, nearest the picture first.

        Raises:
            GenartError: where the discriminator has fewer, or no such blocks.
        """
        if blocks:
            raise GenartError("Only a StyleGAN2's discriminator can be frozen: set freeze_d to 0.")
        return iter(())

    @property
    def rival_settings(self) -> dict[str, Any]:
        """The discriminator's spec, as a checkpoint keeps it."""
        return dataclasses.asdict(self.discriminator.spec)


class AnyPlayers(Players):
    """Any generator, and the discriminator of StyleGAN2 (Karras et al. 2020).

    Args:
        generator: of any family.
        rival: the discriminator's spec.
    """

    group = 4  # of minibatch statistics

    def __init__(self, generator: Generator, rival: DiscriminatorSpec) -> None:
        self.generator = generator
        self.discriminator: Discriminator = Discriminator(rival)
        if generator.family not in EQUALISED:
            self.pace = 0.1

    def make(self, ws: Tensor, noise: Noise) -> list[Tensor]:
        """One picture each."""
        return [self.generator.synthesize(ws, Look(noise))]

    def score(self, pictures: list[Tensor], classes: Tensor | None) -> Tensor:
        """By minibatch statistics too: pictures are judged among their neighbours."""
        return self.discriminator(pictures[0], classes)

    def frozen(self, blocks: int) -> Iterator[nn.Parameter]:
        """Blocks from the full side downwards (Mo et al. 2020, arXiv 2002.10964)."""
        sides = self.discriminator.sides[:0:-1]
        if blocks > len(sides):
            raise GenartError(
                f"This discriminator has {len(sides)} blocks to freeze, not {blocks}: lower "
                "freeze_d."
            )
        for side in sides[:blocks]:
            yield from getattr(self.discriminator, f"b{side}").parameters()


class FastGANPlayers(Players):
    """FastGAN and its discriminator (Liu et al. 2021, arXiv 2101.04775).

    Args:
        generator: the FastGAN.
    """

    betas = (0.5, 0.999)

    def __init__(self, generator: FastGAN) -> None:
        self.generator: FastGAN = generator
        spec = FastGANDiscriminatorSpec.against(generator.spec)
        self.discriminator: FastGANDiscriminator = FastGANDiscriminator(spec)

    def make(self, ws: Tensor, noise: Noise) -> list[Tensor]:
        """The picture and, where it is larger, one of side 128."""
        return self.generator(ws[:, 0], noise)

    def views(self, real: Tensor) -> list[Tensor]:
        """Likewise."""
        large = real.shape[-1] > SMALL
        return [real, F.avg_pool2d(real, real.shape[-1] // SMALL)] if large else [real]

    def score(self, pictures: list[Tensor], classes: Tensor | None) -> Tensor:
        """Of many parts of each picture."""
        return self.discriminator(pictures)

    def study(
        self, pictures: list[Tensor], classes: Tensor | None, draws: Draws
    ) -> tuple[Tensor, Tensor | None]:
        """The discriminator learns to rebuild real pictures from what it has seen."""
        scores, pairs = self.discriminator.study(pictures, draws.uniform("rebuilt part", 2))
        return scores, rebuilding_loss(pairs)

    def settle(self) -> None:
        """The norms of its layers."""
        for layer in self.discriminator.modules():
            if isinstance(layer, SpectralConv):
                layer.follow()


class DCGANPlayers(Players):
    """DCGAN (Radford et al. 2015, arXiv 1511.06434).

    Args:
        generator: the DCGAN.
    """

    betas = (0.5, 0.999)

    def __init__(self, generator: DCGAN) -> None:
        self.generator: DCGAN = generator
        self.discriminator = DCGANDiscriminator(DCGANDiscriminatorSpec.against(generator.spec))

    def make(self, ws: Tensor, noise: Noise) -> list[Tensor]:
        """One picture each; there is no noise."""
        return [self.generator.synthesize(ws, Look())]

    def score(self, pictures: list[Tensor], classes: Tensor | None) -> Tensor:
        """One score a picture."""
        return self.discriminator(pictures[0])


def players(config: TrainConfig, classes: int, parent: Parent | None = None) -> Players:
    """The pair that a run trains, with the first weights of its seed or those of its parent.

    Args:
        config: the run's settings.
        classes: of its pictures; 0 for none.
        parent: what the run goes on from.

    Raises:
        GenartError: when the family knows no classes, or not this side, or the parent's
            discriminator does not fit.
    """
    spec = parent.spec if parent else config.generator_spec(classes)
    pair = _pair(build(config.family, spec), config, parent)
    if parent is None:
        initialise(pair.generator, config.seed)
    else:
        pair.generator.load_state_dict(parent.generator)
    known = parent and parent.discriminator
    if known and known.settings == pair.rival_settings:
        pair.discriminator.load_state_dict(known.tensors)
    else:
        initialise(pair.discriminator, config.seed + 1)
    return pair


def _pair(generator: Generator, config: TrainConfig, parent: Parent | None) -> Players:
    """A generator and the discriminator it has, or should have."""
    if isinstance(generator, FastGAN):
        return FastGANPlayers(generator)
    if isinstance(generator, DCGAN):
        return DCGANPlayers(generator)
    if parent and parent.discriminator:
        return AnyPlayers(generator, DiscriminatorSpec(**parent.discriminator.settings))
    spec = generator.spec
    if isinstance(spec, StyleGAN2Spec):
        return AnyPlayers(generator, DiscriminatorSpec.against(spec))
    rival = DiscriminatorSpec(
        resolution=spec.resolution,
        c_dim=spec.c_dim,
        img_channels=spec.img_channels,
        channel_base=config.width,
        channel_max=config.channel_max,
        mapping_layers=config.mapping_layers,
    )
    return AnyPlayers(generator, rival)


def group_of(family: str) -> int:
    """How many neighbouring pictures the players of a family compare with each other."""
    pairs: dict[str, type[Players]] = {"fastgan": FastGANPlayers, "dcgan": DCGANPlayers}
    return pairs.get(family, AnyPlayers).group


def parts(share: range, micro: int) -> list[range]:
    """A process's share of a batch, in neighbouring pieces of `micro` pictures at most."""
    return [range(i, min(i + micro, share.stop)) for i in range(share.start, share.stop, micro)]


def one_hot(labels: Tensor, count: int) -> Tensor:
    """`labels [n]` as `[n, count]`, float32."""
    return torch.nn.functional.one_hot(labels, count).float()
