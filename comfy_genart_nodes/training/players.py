"""A generator and its discriminator, as a training step needs them: one pair a family."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import GenartError
from ..gan.networks.dcgan import DCGAN, DCGANSpec
from ..gan.networks.dcgan_discriminator import DCGANDiscriminator, DCGANDiscriminatorSpec
from ..gan.networks.discriminator import Discriminator, DiscriminatorSpec
from ..gan.networks.fastgan import SMALL, FastGAN, FastGANSpec
from ..gan.networks.fastgan_discriminator import FastGANDiscriminator, FastGANDiscriminatorSpec
from ..gan.networks.generator import Generator, Look, Noise
from ..gan.networks.layers import initialise
from ..gan.networks.stylegan2 import StyleGAN2
from ..gan.networks.stylegan2_spec import StyleGAN2Spec
from .config import TrainConfig
from .draws import Draws
from .losses import rebuilding_loss


class Players(ABC):
    """The two networks of a run.

    Attributes:
        generator: makes pictures.
        discriminator: scores them.
        betas: Adam's, of both.
    """

    generator: Generator
    discriminator: nn.Module
    betas: ClassVar[tuple[float, float]] = (0.0, 0.99)

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

    def remember(self, w: Tensor) -> None:  # noqa: B027
        """Keep the mean of `w [n, w_dim]` for truncation, where a family has one."""

    def frozen(self, blocks: int) -> Iterator[nn.Parameter]:
        """The parameters of so many of the discriminator's blocks, nearest the picture first.

        Raises:
            GenartError: where the discriminator has fewer, or no such blocks.
        """
        if blocks:
            raise GenartError("Only a StyleGAN2's discriminator can be frozen: set freeze_d to 0.")
        return iter(())


class StyleGAN2Players(Players):
    """StyleGAN2 and its discriminator (Karras et al. 2020).

    Args:
        spec: the generator's.
        seed: of their first weights.
    """

    def __init__(self, spec: StyleGAN2Spec, seed: int) -> None:
        self.generator: StyleGAN2 = StyleGAN2(spec)
        self.discriminator: Discriminator = Discriminator(DiscriminatorSpec.against(spec))
        initialise(self.generator, seed)
        initialise(self.discriminator, seed + 1)

    def make(self, ws: Tensor, noise: Noise) -> list[Tensor]:
        """One picture each."""
        return [self.generator.synthesis(ws, noise)]

    def score(self, pictures: list[Tensor], classes: Tensor | None) -> Tensor:
        """By minibatch statistics too: pictures are judged among their neighbours."""
        return self.discriminator(pictures[0], classes)

    def remember(self, w: Tensor) -> None:
        """The mapping network holds the mean."""
        self.generator.mapping.track(w)

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
        spec: the generator's.
        seed: of their first weights.
    """

    betas = (0.5, 0.999)

    def __init__(self, spec: FastGANSpec, seed: int) -> None:
        self.generator: FastGAN = FastGAN(spec)
        self.discriminator: FastGANDiscriminator = FastGANDiscriminator(
            FastGANDiscriminatorSpec.against(spec)
        )
        initialise(self.generator, seed)
        initialise(self.discriminator, seed + 1)

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


class DCGANPlayers(Players):
    """DCGAN (Radford et al. 2015, arXiv 1511.06434).

    Args:
        spec: the generator's.
        seed: of their first weights.
    """

    betas = (0.5, 0.999)

    def __init__(self, spec: DCGANSpec, seed: int) -> None:
        self.generator: DCGAN = DCGAN(spec)
        self.discriminator = DCGANDiscriminator(DCGANDiscriminatorSpec.against(spec))
        initialise(self.generator, seed)
        initialise(self.discriminator, seed + 1)

    def make(self, ws: Tensor, noise: Noise) -> list[Tensor]:
        """One picture each; there is no noise."""
        return [self.generator.synthesize(ws, Look())]

    def score(self, pictures: list[Tensor], classes: Tensor | None) -> Tensor:
        """One score a picture."""
        return self.discriminator(pictures[0])


def players(config: TrainConfig, classes: int) -> Players:
    """The pair that a run trains, with the first weights of its seed.

    Raises:
        GenartError: when the family knows no classes, or not this side.
    """
    spec = config.generator_spec(classes)
    if isinstance(spec, FastGANSpec):
        return FastGANPlayers(spec, config.seed)
    if isinstance(spec, DCGANSpec):
        return DCGANPlayers(spec, config.seed)
    return StyleGAN2Players(spec, config.seed)


def parts(share: range, micro: int) -> list[range]:
    """A process's share of a batch, in neighbouring pieces of `micro` pictures at most."""
    return [range(i, min(i + micro, share.stop)) for i in range(share.start, share.stop, micro)]


def one_hot(labels: Tensor, count: int) -> Tensor:
    """`labels [n]` as `[n, count]`, float32."""
    return torch.nn.functional.one_hot(labels, count).float()
