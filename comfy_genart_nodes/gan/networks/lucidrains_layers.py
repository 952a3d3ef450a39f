"""What the two networks of lucidrains share: the blur after growing, and attention.

Written from the papers and from what files hold and networks answer; both tools are under MIT.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_HEADS = 8
_DEPTH = 64
_INNER = _HEADS * _DEPTH


def blur(x: Tensor) -> Tensor:
    """Filter `[n, c, h, w]` with [1, 2, 1] / 4 along both axes, its border mirrored.

    The kernel is the box of two, twice.
    """
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    return F.avg_pool2d(F.avg_pool2d(padded, 2, stride=1), 2, stride=1)


class ChannelNorm(nn.Module):
    """Normalise the channels of every pixel, `[n, c, h, w]` (Ba et al. 2016, arXiv 1607.06450).

    Args:
        channels: how many.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        last = F.layer_norm(x.movedim(1, -1), self.gain.shape, self.gain, self.bias, 1e-5)
        return last.movedim(-1, 1)


class Attention(nn.Module):
    """Attention of every pixel to the whole picture, added to the features.

    Linear in the number of pixels: keys and values meet before the queries (Shen et al. 2021,
    arXiv 1812.01243). Half of the heads may look at the 3x3 pixels around instead.

    Args:
        channels: of the features.
        local: whether there are heads for the surroundings, too.
    """

    def __init__(self, channels: int, local: bool) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.query = nn.Conv2d(channels, _INNER, 1, bias=False)
        self.spread = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.key_value = nn.Conv2d(channels, 2 * _INNER, 1, bias=False)
        self.local = local
        if local:
            self.local_query = nn.Conv2d(channels, _INNER, 1, bias=False)
            self.local_key_value = nn.Conv2d(channels, 2 * _INNER, 1, bias=False)
        self.project = nn.Conv2d(_INNER * (2 if local else 1), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[n, c, h, w]` -> `[n, c, h, w]`."""
        y = self.norm(x)
        seen = _everywhere(self.query(y), self.key_value(self.spread(y)))
        if self.local:
            near = _around(self.local_query(y), self.local_key_value(y))
            seen = torch.cat([seen, near], dim=1)
        return x + self.project(seen)


def _everywhere(query: Tensor, key_value: Tensor) -> Tensor:
    """Linear attention: `[n, 512, h, w]`, `[n, 1024, h, w]` -> `[n, 512, h, w]`."""
    q = query.unflatten(1, (_HEADS, _DEPTH)).flatten(3)  # [n, heads, depth, pixels]
    k, v = key_value.unflatten(1, (2, _HEADS, _DEPTH)).flatten(4).unbind(1)
    summary = v @ k.softmax(dim=3).transpose(2, 3)  # [n, heads, depth, depth]
    answer = summary @ (q.softmax(dim=2) * _DEPTH**-0.5)
    return F.gelu(answer.reshape(query.shape))


def _around(query: Tensor, key_value: Tensor) -> Tensor:
    """Attention to the 3x3 pixels around; beyond the border there are zeros, which count."""
    n, _, height, width = query.shape
    q = query.reshape(n, _HEADS, _DEPTH, height, width) * _DEPTH**-0.5
    padded = F.pad(key_value, (1, 1, 1, 1)).unflatten(1, (2, _HEADS, _DEPTH))
    shifts = [padded[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]
    scores = torch.stack([(q * shift[:, 0]).sum(dim=2) for shift in shifts])  # [9, n, heads, h, w]
    weights = scores.softmax(dim=0)[:, :, :, None]
    answer = sum(weight * shift[:, 1] for weight, shift in zip(weights, shifts, strict=True))
    assert isinstance(answer, Tensor)
    return answer.reshape(query.shape)
