"""The StyleGAN2 discriminator (Karras et al. 2020): residual, with minibatch statistics."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .filters import downsample
from .layers import Conv, Linear
from .mapping import Mapping
from .stylegan2_spec import StyleGAN2Spec, resolutions


@dataclass(frozen=True)
class DiscriminatorSpec:
    """Everything that decides the shapes of a discriminator.

    Attributes:
        resolution: side of the pictures.
        c_dim: number of classes, 0 for none.
        img_channels: channels of the pictures.
        channel_base: a block of side r has `channel_base / r` channels, ...
        channel_max: ... at most this many.
        mapping_layers: layers that map a class to the projection's direction.
        architecture: "resnet" (residual blocks) or "skip" (every block also sees the picture).
        group: pictures that share one minibatch statistic; neighbours in the batch.
    """

    resolution: int = 256
    c_dim: int = 0
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    mapping_layers: int = 8
    architecture: str = "resnet"
    group: int = 4

    @classmethod
    def against(cls, spec: StyleGAN2Spec) -> "DiscriminatorSpec":
        """The discriminator of the same size as a generator."""
        return cls(
            resolution=spec.resolution,
            c_dim=spec.c_dim,
            img_channels=spec.img_channels,
            channel_base=spec.channel_base,
            channel_max=spec.channel_max,
            mapping_layers=spec.mapping_layers,
        )

    def channels(self, side: int) -> int:
        """Channels of the block of a side."""
        return max(1, min(self.channel_base // side, self.channel_max))


class Block(nn.Module):
    """Two convolutions, the second halving the side."""

    def __init__(self, spec: DiscriminatorSpec, side: int, first: bool) -> None:
        super().__init__()
        c_in, c_out = spec.channels(side), spec.channels(side // 2)
        self.residual = spec.architecture == "resnet"
        if first or not self.residual:
            self.fromrgb = Conv(spec.img_channels, c_in, 1)
        self.conv0 = Conv(c_in, c_in, 3)
        self.conv1 = Conv(c_in, c_out, 3, resample="down")
        if self.residual:
            self.skip = Conv(c_in, c_out, 1, resample="down", bias=False, activate=False)

    def forward(self, x: Tensor | None, img: Tensor) -> Tensor:
        """Features so far and the picture at this side -> features at half the side."""
        if x is None:
            x = self.fromrgb(img)
        elif not self.residual:
            x = x + self.fromrgb(img)
        y = self.conv0(x)
        if not self.residual:
            return self.conv1(y)
        half = math.sqrt(0.5)
        return self.conv1(y, half) + self.skip(x, half)


def group_size(batch: int, group: int) -> int:
    """The most pictures a group, but no more than wanted, that divide a batch."""
    return next(g for g in range(min(group, batch), 0, -1) if batch % g == 0)


def minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """Append a channel with the mean deviation of each feature within a group (Karras 2018).

    Groups are neighbouring pictures; a batch that groups do not divide uses the largest group
    that does.

    Args:
        x: [n, c, h, w].
        group: wanted pictures a group.

    Returns:
        [n, c + 1, h, w].
    """
    n, c, h, w = x.shape
    size = group_size(n, group)
    grouped = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(n // size, size, c, h, w)
    # A CPU takes ten times as long for `var` over a dimension that is not the last.
    variance = (grouped - grouped.mean(dim=1, keepdim=True)).square().mean(dim=1)
    deviation = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))
    channel = deviation.repeat_interleave(size)[:, None, None, None].expand(n, 1, h, w)
    return torch.cat([x, channel.to(x.dtype)], dim=1)


class Epilogue(nn.Module):
    """The block of the smallest side: minibatch statistic, convolution, two linear layers."""

    def __init__(self, spec: DiscriminatorSpec, side: int, d_out: int) -> None:
        super().__init__()
        c = spec.channels(side)
        self.group = spec.group
        self.sees_picture = spec.architecture == "skip"
        if self.sees_picture:
            self.fromrgb = Conv(spec.img_channels, c, 1)
        self.conv = Conv(c + 1, c, 3)
        # A convolution in all but name, and with the most weights.
        self.fc = Linear(c * side * side, c, activate=True, fine=False)
        self.out = Linear(c, d_out)

    def forward(self, x: Tensor, img: Tensor) -> Tensor:
        """`[n, c, side, side]` -> `[n, d_out]`."""
        if self.sees_picture:
            x = x + self.fromrgb(img)
        x = self.conv(minibatch_deviation(x, self.group))
        return self.out(self.fc(x.flatten(1)))


class Discriminator(nn.Module):
    """Scores how real pictures look, `[n, img_channels, r, r] -> [n, 1]`.

    Args:
        spec: its shapes.
    """

    def __init__(self, spec: DiscriminatorSpec) -> None:
        super().__init__()
        self.spec = spec
        self.sides = resolutions(spec.resolution)
        smallest = self.sides[0]
        for side in reversed(self.sides[1:]):
            setattr(self, f"b{side}", Block(spec, side, first=side == spec.resolution))
        d_out = spec.channels(smallest) if spec.c_dim else 1
        setattr(self, f"b{smallest}", Epilogue(spec, smallest, d_out))
        if spec.c_dim:
            self.mapping = Mapping(0, spec.c_dim, d_out, spec.mapping_layers)

    def compare(self, group: int) -> None:
        """Let so many neighbours share a statistic, where the spec's number divides no batch."""
        getattr(self, f"b{self.sides[0]}").group = group

    def forward(self, img: Tensor, classes: Tensor | None = None) -> Tensor:
        """Score pictures; with classes, by projection onto the class's direction."""
        x: Tensor | None = None
        for side in reversed(self.sides[1:]):
            x = getattr(self, f"b{side}")(x, img)
            if self.spec.architecture == "skip":
                img = downsample(img)
        assert x is not None
        score = getattr(self, f"b{self.sides[0]}")(x, img)
        if self.spec.c_dim:
            direction = self.mapping(None, classes)
            score = (score * direction).sum(dim=1, keepdim=True) / math.sqrt(score.shape[1])
        return score
