"""StyleGAN3's nonlinearity: upsample, leaky ReLU, downsample (arXiv 2106.12423, section 2.2).

Both resamplings are linear and separable, so each is a banded matrix along each axis. The band is
cut into blocks of outputs; a block reads a short run of inputs, and all blocks are small dense
matrix products over everything else in the tensor. No zeros are inserted, nothing is filtered that
is thrown away afterwards, and gains are part of the matrices. Channels go through in chunks that
stay in the processor's cache.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 48  # outputs of one dense product: more waste arithmetic, fewer waste calls
_CHUNK = 8 << 20  # bytes of the finest tensor that channels are grouped to
_NEGLIGIBLE = 1e-7  # of the largest singular value: below float32's own rounding


@dataclass(frozen=True)
class Geometry:
    """Sizes and factors of one filtered leaky ReLU; both axes are alike.

    Attributes:
        size_in: side of the input.
        size_out: side of the result.
        up: factor of upsampling.
        down: factor of downsampling.
        up_taps: length of the upsampling filter.
        down_taps: length of the downsampling filter.
    """

    size_in: int
    size_out: int
    up: int
    down: int
    up_taps: int
    down_taps: int

    @property
    def fine(self) -> int:
        """Side of the upsampled tensor, where the leaky ReLU acts."""
        return (self.size_out - 1) * self.down + self.down_taps

    @property
    def pad(self) -> int:
        """Fine samples that lie before the first input's; negative where some are cut off.

        Half of what is missing, so that samples stand for the middles of their pixels (app. C.3).
        """
        total = (self.size_out - 1) * self.down + 1 - self.size_in * self.up
        return (total + self.up_taps + self.down_taps - 2 + self.up) // 2


def upsampling(taps: Tensor, shape: Geometry) -> Tensor:
    """Matrix `[fine, size_in]` that inserts zeros, pads and convolves with `taps`; gain `up`."""
    first = torch.arange(shape.size_in) * shape.up + shape.pad - (len(taps) - 1)
    return _placed(taps * shape.up, torch.arange(shape.fine)[:, None] - first)


def downsampling(taps: Tensor, shape: Geometry) -> Tensor:
    """Matrix `[size_out, fine]` that convolves with `taps` and keeps every `down`-th sample."""
    first = torch.arange(shape.size_out)[:, None] * shape.down
    return _placed(taps.flip(0), torch.arange(shape.fine) - first)


def _placed(taps: Tensor, index: Tensor) -> Tensor:
    """`taps` at every index that exists, else zero; float64."""
    inside = (index >= 0) & (index < len(taps))
    return torch.where(inside, taps.double()[index.clamp(0, len(taps) - 1)], 0.0)


@dataclass(frozen=True, eq=False)
class Banded:
    """A banded matrix as dense blocks.

    Attributes:
        blocks: (first row, first column, dense `[rows, columns]`).
    """

    blocks: list[tuple[int, int, Tensor]]

    @classmethod
    def of(cls, matrix: Tensor, like: Tensor) -> "Banded":
        """Cut `matrix [rows, columns]` into blocks of rows, of the type and device of `like`."""
        blocks = []
        for row in range(0, len(matrix), _BLOCK):
            part = matrix[row : row + _BLOCK]
            used = part.ne(0).any(dim=0).nonzero()
            low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
            blocks.append((row, low, part[:, low:high].to(like, copy=True)))
        return cls(blocks)

    def along_rows(self, x: Tensor, out: Tensor, add: bool = False) -> None:
        """`x [columns, rest]` to `out [rows, rest]`."""
        for row, column, block in self.blocks:
            target = out[row : row + block.shape[0]]
            source = x[column : column + block.shape[1]]
            if add:
                target.addmm_(block, source)
            else:
                torch.mm(block, source, out=target)

    def along_columns(self, x: Tensor, out: Tensor) -> None:
        """`x [rest, columns]` to `out [rest, rows]`."""
        for row, column, block in self.blocks:
            target = out[:, row : row + block.shape[0]]
            torch.mm(x[:, column : column + block.shape[1]], block.t(), out=target)


@dataclass(frozen=True, eq=False)
class Plan:
    """The matrices of one layer, on one device.

    Attributes:
        shape: what they resample.
        up: along either axis.
        down: pairs (along h, along w) whose results add up to the filter.
    """

    shape: Geometry
    up: Banded
    down: list[tuple[Banded, Banded]]

    @classmethod
    def of(cls, shape: Geometry, up: Tensor, down: Tensor, gain: float, like: Tensor) -> "Plan":
        """From filters: `up [taps]`, `down [taps]` or `[taps, taps]`.

        Args:
            shape: sizes and factors.
            up: upsampling filter.
            down: downsampling filter.
            gain: factor of the leaky ReLU, applied before it: it commutes.
            like: activations, for their type and device.
        """
        pairs = [
            (Banded.of(downsampling(h, shape), like), Banded.of(downsampling(w, shape), like))
            for h, w in _separate(down)
        ]
        return cls(shape, Banded.of(upsampling(up, shape) * math.sqrt(gain), like), pairs)


def _separate(taps: Tensor) -> list[tuple[Tensor, Tensor]]:
    """A filter as a sum of separable ones; a radial one of 12x12 taps has rank 3 in float32."""
    taps = taps.double()
    if taps.dim() == 1:
        return [(taps, taps)]
    u, s, v = torch.linalg.svd(taps)
    rank = int((s > s[0] * _NEGLIGIBLE).sum())
    return [(u[:, i] * s[i], v[i]) for i in range(max(rank, 1))]


def filtered_lrelu(
    x: Tensor,
    plan: Plan,
    before: Tensor,
    bias: Tensor,
    after: Tensor,
    slope: float,
    clamp: float,
) -> Tensor:
    """Scale, add a bias, upsample, leaky ReLU, clamp, downsample, scale.

    Args:
        x: [n, c, size_in, size_in].
        plan: the layer's matrices, in x's type and on its device.
        before: [n, c], factors on x.
        bias: [c].
        after: [n, c], factors on the result.
        slope: of the negative side.
        clamp: greatest magnitude between the resamplings, 0 for any.

    Returns:
        [n, c, size_out, size_out].
    """
    n, c = x.shape[:2]
    side = plan.shape.size_out
    y = x.new_empty(n, c, side, side)
    step = max(1, _CHUNK // (plan.shape.fine**2 * x.element_size()))
    for i in range(n):
        for k in range(0, c, step):
            part = slice(k, min(k + step, c))
            scaled = torch.addcmul(bias[part, None, None], x[i, part], before[i, part, None, None])
            made = _resampled(scaled.transpose(0, 1).contiguous(), plan, slope, clamp)
            torch.mul(made.transpose(0, 1), after[i, part, None, None], out=y[i, part])
    return y


def _resampled(x: Tensor, plan: Plan, slope: float, clamp: float) -> Tensor:
    """`x [h, c, w]` to `[h', c, w']`: height first, so that rows are long where it is cheap."""
    h, c, w = x.shape
    fine, side = plan.shape.fine, plan.shape.size_out
    tall = x.new_empty(fine, c, w)
    plan.up.along_rows(x.view(h, c * w), tall.view(fine, c * w))
    full = x.new_empty(fine, c, fine)
    plan.up.along_columns(tall.view(fine * c, w), full.view(fine * c, fine))
    F.leaky_relu_(full, slope)
    if clamp:
        full.clamp_(-clamp, clamp)
    made = x.new_empty(side, c, side)
    thin = x.new_empty(fine, c, side)
    for k, (along_h, along_w) in enumerate(plan.down):
        along_w.along_columns(full.view(fine * c, fine), thin.view(fine * c, side))
        along_h.along_rows(thin.view(fine, c * side), made.view(side, c * side), add=k > 0)
    return made
