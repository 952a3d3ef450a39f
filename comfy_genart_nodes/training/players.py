"""A generator and its discriminator, as a training step needs them: one pair a family."""

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import GenartError
from ..gan.checkpoint import LoadedDiscriminator
from ..gan.networks.dcgan import DCGAN
from ..gan.networks.dcgan_discriminator import DCGANDiscriminator, DCGANDiscriminatorSpec
from ..gan.networks.discriminator import Discriminator, DiscriminatorSpec, group_size
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

_COMPARED = 4  # pictures that share a minibatch statistic (Karras et al. 2018)

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
    group: int = GROUP

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

    def judge(
        self,
        real: list[Tensor],
        fake: list[Tensor],
        classes: tuple[Tensor | None, Tensor | None],
        draws: Draws,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Scores of real and of generated pictures, and what else is to be learnt from the real.

        Args:
            real: as `views` gives them.
            fake: as `make` gives them.
            classes: of the real and of the generated pictures.
            draws: of the step.
        """
        if self.at_once(real, fake):  # weights are prepared once
            known = [one for one in classes if one is not None]
            pictures = [torch.cat(pair) for pair in zip(real, fake, strict=True)]
            scores = self.score(pictures, torch.cat(known) if known else None)
            return *scores.split([len(real[0]), len(fake[0])]), None
        score, lesson = self.study(real, classes[0], draws)
        return score, self.score(fake, classes[1]), lesson

    def at_once(self, real: list[Tensor], fake: list[Tensor]) -> bool:
        """Whether one pass may score both: each as it would be without the others."""
        return False

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
        batch: pictures a step.
    """

    def __init__(self, generator: Generator, rival: DiscriminatorSpec, batch: int) -> None:
        self.generator = generator
        self.discriminator: Discriminator = Discriminator(rival)
        # Found once for the whole batch: a piece of it might be divided otherwise.
        self.group = group_of(generator.family, batch)
        self.discriminator.compare(self.group)
        if generator.family not in EQUALISED:
            self.pace = 0.1

    def make(self, ws: Tensor, noise: Noise) -> list[Tensor]:
        """One picture each."""
        return [self.generator.synthesize(ws, Look(noise))]

    def score(self, pictures: list[Tensor], classes: Tensor | None) -> Tensor:
        """By minibatch statistics too: pictures are judged among their neighbours."""
        return self.discriminator(pictures[0], classes)

    def at_once(self, real: list[Tensor], fake: list[Tensor]) -> bool:
        """Unless some would share statistics.

        Pictures whose own gradients are wanted stay apart: theirs would go through all others, too.
        """
        return not (real[0].requires_grad or len(real[0]) % self.group or len(fake[0]) % self.group)

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
        places = draws.give(lambda: draws.uniform("rebuilt part", 2), pictures[0].device)
        scores, pairs = self.discriminator.study(pictures, places)
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
        GenartError: when the family knows no classes, or not this side.
    """
    pair = _pair(config, classes, parent)
    if parent is None:
        initialise(pair.generator, config.seed)
    else:
        pair.generator.load_state_dict(parent.generator)
    if parent and parent.discriminator and _takes(pair, parent.discriminator):
        pair.discriminator.load_state_dict(parent.discriminator.tensors)
    else:
        initialise(pair.discriminator, config.seed + 1)
    return pair


def check_players(config: TrainConfig, classes: int, parent: Parent | None = None) -> None:
    """Refuse what `players` and freezing could not do, before there is a run; takes no memory.

    Args:
        config: the run's settings.
        classes: of its pictures; 0 for none.
        parent: what the run goes on from.

    Raises:
        GenartError: as of `players`, or when the parent's discriminator is damaged, or freezes
            more of its blocks than it has.
    """
    with torch.device("meta"):
        pair = _pair(config, classes, parent)
    tuple(pair.frozen(config.freeze_d))
    known = parent and parent.discriminator
    if known and _takes(pair, known):
        wanted = {name: t.shape for name, t in pair.discriminator.state_dict().items()}
        if wanted != {name: t.shape for name, t in known.tensors.items()}:
            raise _damaged()


def _damaged() -> GenartError:
    return GenartError(
        "The discriminator in the file of the network to go on from is none that this pack knows: "
        "go on from another file of the same network."
    )


def _takes(pair: Players, known: LoadedDiscriminator) -> bool:
    """Whether a known discriminator has the settings of the pair's; JSON knows no tuples."""
    return json.loads(json.dumps(known.settings)) == json.loads(json.dumps(pair.rival_settings))


def _pair(config: TrainConfig, classes: int, parent: Parent | None) -> Players:
    """A generator and the discriminator it has, or should have."""
    spec = parent.spec if parent else config.generator_spec(classes)
    generator = build(config.family, spec)
    if isinstance(generator, FastGAN):
        return FastGANPlayers(generator)
    if isinstance(generator, DCGAN):
        return DCGANPlayers(generator)
    if parent and parent.discriminator:
        try:
            known = DiscriminatorSpec(**parent.discriminator.settings)
            return AnyPlayers(generator, known, config.batch)
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise _damaged() from error
    spec = generator.spec
    if isinstance(spec, StyleGAN2Spec):
        return AnyPlayers(generator, DiscriminatorSpec.against(spec), config.batch)
    rival = DiscriminatorSpec(
        resolution=spec.resolution,
        c_dim=spec.c_dim,
        img_channels=spec.img_channels,
        channel_base=config.width,
        channel_max=config.channel_max,
        mapping_layers=config.mapping_layers,
    )
    return AnyPlayers(generator, rival, config.batch)


def group_of(family: str, batch: int) -> int:
    """How many neighbours of a batch the players of a family compare with each other."""
    if family in ("fastgan", "dcgan"):
        return GROUP
    return group_size(batch, _COMPARED)


def parts(share: range, micro: int, group: int) -> list[range]:
    """A process's share of a batch, in neighbouring pieces of `micro` pictures at most.

    Pieces end between groups of pictures that the networks compare, as `NeighbourNorm` forms them,
    unless they have to be smaller than a group.
    """
    pieces: list[range] = []
    for places in np.array_split(share, max(len(share) // group, 1)):
        first, end = int(places[0]), int(places[-1]) + 1
        if pieces and end - pieces[-1].start <= micro:
            pieces[-1] = range(pieces[-1].start, end)
        else:
            pieces += [range(i, min(i + micro, end)) for i in range(first, end, micro)]
    return pieces


def one_hot(labels: Tensor, count: int) -> Tensor:
    """`labels [n]` as `[n, count]`, float32."""
    return torch.nn.functional.one_hot(labels, count).float()
