"""How far pictures look apart to a network that has learned to see.

The form is that of Zhang et al. 2018 (LPIPS, arXiv 1801.03924): feature maps with every place
scaled to length one over its channels, squared differences summed over channels, averaged over
places. The network is EfficientNet-Lite0, and stages count alike: there are no weights that were
fitted to people's opinions, and figures are not comparable with those of LPIPS.

The network looks twice, the second time at pictures moved by a pixel, and means are taken. What
learns from one look alone draws checks that fit the grid of its strides: after 200 steps from grey
towards emoji of 32x32, by this and three times L1, PSNR was 21.1 dB with one look, 24.4 with two.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..evaluation.features import STRIDES, Features, as_seen

STAGES = 5
_LEAST = 2 * STRIDES[STAGES - 1]  # pixels along a side: the last stage has several places
_VIEWS = (0, 1)  # pixels by which pictures are moved down and across, what leaves coming in again
_SHORT = 1.0  # a squared length that is as good as none: usual ones are in the hundreds


class Perceptual:
    """The distance of pictures to others, a number a pair.

    Args:
        device: where to compute.

    Raises:
        GenartError: the package with the weights is missing or damaged.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.network = Features(device).network
        self.network.fold()

    def __call__(self, made: Tensor, real: Tensor) -> Tensor:
        """Distances `[n]` in float32, with gradients towards `made`.

        Args:
            made: `[n, 3, h, w]` in -1..1, of any size; small ones are enlarged for the network.
            real: likewise; taken as given, without gradients.
        """
        apart = []
        for pixels in _VIEWS:
            move = (pixels, pixels), (2, 3)
            with torch.no_grad():
                wanted = self._maps(real.roll(*move))
            pairs = zip(self._maps(made.roll(*move)), wanted, strict=True)
            apart += [(a - b).square().sum(dim=1).mean(dim=(1, 2)) for a, b in pairs]
        return torch.stack(apart).mean(dim=0)

    @torch.no_grad()
    def seen(self, pictures: Tensor) -> Tensor:
        """What it sees of pictures, `[n, d]`: numbers whose squared distances are its own.

        Args:
            pictures: as of the call; d goes with their size.
        """
        parts = []
        for pixels in _VIEWS:
            for y in self._maps(pictures.roll((pixels, pixels), (2, 3))):
                share = len(_VIEWS) * STAGES * y[0, 0].numel()
                parts.append(y.flatten(1) / share**0.5)
        return torch.cat(parts, dim=1)

    def _maps(self, pictures: Tensor) -> list[Tensor]:
        """What the stages make of pictures, every place of length one."""
        x = _enlarged(pictures.float())
        return [_directions(y) for y in self.network.stages(as_seen(x), STAGES)]


def _directions(x: Tensor) -> Tensor:
    """`[n, c, h, w]` with every place scaled to length one over its channels."""
    return x * (x.square().sum(dim=1, keepdim=True) + _SHORT).rsqrt()


def _enlarged(x: Tensor) -> Tensor:
    """Pictures large enough for the last stage to have some places, all sides alike."""
    times = -(-_LEAST // min(x.shape[2:]))
    if times == 1:
        return x
    return F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)
