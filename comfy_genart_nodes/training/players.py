"""A generator and its discriminator, as a training step needs them: one pair a family."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..errors import GenartError
from ..gan.networks.discriminator import Discriminator, DiscriminatorSpec
from ..gan.networks.generator import Generator, Noise
from ..gan.networks.layers import initialise
from ..gan.networks.stylegan2 import StyleGAN2
from ..gan.networks.stylegan2_spec import StyleGAN2Spec
from .config import TrainConfig


class Players(ABC):
    """The two networks of a run.

    Attributes:
        generator: makes pictures.
        discriminator: scores them.
    """

    generator: Generator
    discriminator: nn.Module

    @abstractmethod
    def make(self, ws: Tensor, noise: Noise) -> Tensor:
        """`ws [n, num_ws, w_dim]` to pictures `[n, img_channels, side, side]`, with gradients."""

    @abstractmethod
    def score(self, pictures: Tensor, classes: Tensor | None) -> Tensor:
        """How real pictures look, `[n, 1]`."""

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

    def make(self, ws: Tensor, noise: Noise) -> Tensor:
        """Synthesis."""
        return self.generator.synthesis(ws, noise)

    def score(self, pictures: Tensor, classes: Tensor | None) -> Tensor:
        """By minibatch statistics too: pictures are judged among their neighbours."""
        return self.discriminator(pictures, classes)

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


def players(config: TrainConfig, classes: int) -> Players:
    """The pair that a run trains, with the first weights of its seed."""
    return StyleGAN2Players(config.generator_spec(classes), config.seed)


def parts(share: range, micro: int) -> list[range]:
    """A process's share of a batch, in neighbouring pieces of `micro` pictures at most."""
    return [range(i, min(i + micro, share.stop)) for i in range(share.start, share.stop, micro)]


def one_hot(labels: Tensor, count: int) -> Tensor:
    """`labels [n]` as `[n, count]`, float32."""
    return torch.nn.functional.one_hot(labels, count).float()
