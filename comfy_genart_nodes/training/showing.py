"""What the averaged generator of a run makes: sheets to look at, pictures to measure.

Both are of fixed latents, whose draws are their own: showing and measuring change nothing in the
training.
"""

import torch
from PIL import Image
from torch import Tensor

from ..gan.networks.generator import Look
from .draws import generator
from .step import Training, one_hot


@torch.no_grad()
def sheet(training: Training) -> Image.Image:
    """A sheet of the run's fixed latents; of several classes, each in turn."""
    columns = min(max(1024 // training.config.resolution, 2), 8)
    count = columns * max(columns // 2, 1)
    starts = range(0, count, columns)
    rows = [_made(training, "sheet", range(i, i + columns), count) for i in starts]
    pixels = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    whole = (pixels * 127.5 + 128).clamp(0, 255).byte()
    return Image.fromarray(whole.permute(1, 2, 0).numpy())


@torch.no_grad()
def pictures(training: Training, numbers: range, count: int) -> Tensor:
    """Those pictures of `count` to measure that have these numbers, `[n, 3, h, w]`, about -1..1."""
    return _made(training, "measured", numbers, count)


def _made(training: Training, purpose: str, numbers: range, count: int) -> Tensor:
    network, device, dtype = training.g_ema, training.device, training.dtype
    drawn = generator(training.config.seed, 0, purpose)
    z = torch.randn(count, network.spec.z_dim, generator=drawn)[numbers.start : numbers.stop]
    classes = None
    if training.classes:
        places = torch.tensor(numbers) % training.classes
        classes = one_hot(places, training.classes).to(device, dtype)
    w = network.map(z.to(device, dtype), classes)
    ws = w[:, None].expand(-1, network.spec.num_ws, -1)
    return network.synthesize(ws, Look()).float().cpu()
