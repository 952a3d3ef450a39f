"""What every family of generator offers, so that nodes, shell and formats need to know none.

z (and a class) is mapped to w; synthesis takes one w a layer and makes a picture. Networks without
a mapping network take part with w = z (and the embedded class) and a single layer.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from ...transfer import send

NoiseMode = Literal["const", "random", "none"]


class Spec(Protocol):
    """What every family's spec, a frozen dataclass of its own, can be asked."""

    @property
    def resolution(self) -> int:
        """Side of the square picture."""

    @property
    def img_channels(self) -> int:
        """Channels of the picture."""

    @property
    def z_dim(self) -> int:
        """Length of z."""

    @property
    def c_dim(self) -> int:
        """Number of classes, 0 for none."""

    @property
    def w_dim(self) -> int:
        """Length of w."""

    @property
    def num_ws(self) -> int:
        """How many w synthesis takes, one a layer."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Where the fine detail of a picture comes from, in networks that add noise.

    Attributes:
        mode: "const" (the network's own), "random" or "none".
        strength: factor on all of it; 1 as trained.
        generators: for random noise; one a picture, or one for the whole batch in turn.
    """

    mode: NoiseMode = "const"
    strength: float = 1.0
    generators: list[torch.Generator] | None = None

    def draw(self, count: int, height: int, width: int, device: torch.device) -> Tensor:
        """Normal noise `[count, 1, height, width]`."""
        if not self.generators:
            raise ValueError("random noise needs generators")
        if len(self.generators) == 1:
            drawn = torch.randn(count, 1, height, width, generator=self.generators[0])
        else:
            drawn = torch.empty(len(self.generators), 1, height, width)
            for one, generator in zip(drawn, self.generators, strict=True):
                torch.randn(1, height, width, generator=generator, out=one)
        return send(drawn, device)

    def pick(self, picture: int) -> "Noise":
        """The noise of one picture of the batch."""
        if not self.generators or len(self.generators) == 1:
            return self
        return replace(self, generators=[self.generators[picture]])

    def twin(self) -> "Noise":
        """Noise that draws what this one will draw, and does not move it on."""
        if not self.generators:
            return self
        twins = [torch.Generator(generator.device) for generator in self.generators]
        for twin, generator in zip(twins, self.generators, strict=True):
            twin.set_state(generator.get_state())
        return replace(self, generators=twins)


@dataclass(frozen=True, eq=False)
class Frame:
    """Which part of the plane a picture shows, in networks that can show another.

    Attributes:
        transform: [3, 3], moves and turns the content (StyleGAN3); in pictures' sides, y down.
        canvas: height and width in pixels, where not the network's own (StyleGAN2).
    """

    transform: Tensor | None = None
    canvas: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """All that decides a picture beside its latent.

    Attributes:
        noise: the fine detail.
        frame: the part of the plane.
    """

    noise: Noise = field(default_factory=Noise)
    frame: Frame = field(default_factory=Frame)


class Generator(nn.Module, ABC):
    """A generator network.

    Attributes:
        family: its name in files.
        movable: takes `Frame.transform`.
        stretchable: takes `Frame.canvas`.
        spec: its shapes.
    """

    family: ClassVar[str]
    movable: ClassVar[bool] = False
    stretchable: ClassVar[bool] = False
    spec: Spec

    @property
    @abstractmethod
    def w_avg(self) -> Tensor:
        """The mean of w `[w_dim]`, towards which truncation pulls; on the network's device."""

    @property
    @abstractmethod
    def working_bytes(self) -> int:
        """Memory in bytes that one picture needs at the widest place of synthesis, in float32."""

    @abstractmethod
    def map(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        """`z [n, z_dim]` and one-hot or blended `classes [n, c_dim]` to `w [n, w_dim]`."""

    def track(self, w: Tensor) -> None:
        """In training, keep the mean of `w [n, w_dim]`, where a family learns one."""

    @abstractmethod
    def synthesize(self, ws: Tensor, look: Look) -> Tensor:
        """`ws [n, num_ws, w_dim]` to pictures `[n, img_channels, h, w]`, float32, about -1..1."""
