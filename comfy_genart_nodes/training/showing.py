"""What the averaged generator of a run makes: sheets to look at, pictures to measure.

Both are of fixed latents, whose draws are their own: showing and measuring change nothing in the
training.
"""

import torch
from PIL import Image
from torch import Tensor

from ..gan.networks.generator import Look
from .draws import generator
from .measuring import classes_like
from .shortage import is_shortage
from .step import Training, one_hot


@torch.no_grad()
def sheet(training: Training) -> Image.Image:
    """A sheet of the run's fixed latents; of several classes, each in turn."""
    columns = min(max(1024 // training.config.resolution, 2), 8)
    count = columns * max(columns // 2, 1)
    starts = range(0, count, columns)
    turns = torch.arange(count) % max(training.classes, 1)
    rows = [_made(training, "sheet", range(i, i + columns), turns) for i in starts]
    pixels = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    whole = (pixels * 127.5 + 128).clamp(0, 255).byte()
    return Image.fromarray(whole.permute(1, 2, 0).numpy())


@torch.no_grad()
def pictures(training: Training, numbers: range, count: int) -> Tensor:
    """Those pictures of `count` to measure that have these numbers, `[n, 3, h, w]`, about -1..1."""
    labels = [0] if training.labels is None else training.labels.tolist()
    return _made(training, "measured", numbers, classes_like(labels, count))


def _made(training: Training, purpose: str, numbers: range, labels: Tensor) -> Tensor:
    """As many at a time as a step makes; fewer where memory runs out."""
    at_once, made = training.micro, []
    while numbers:
        try:
            made.append(_piece(training, purpose, numbers[:at_once], labels))
        except (RuntimeError, MemoryError) as error:
            if not is_shortage(error):
                raise
            if not training.relieve():
                if at_once == 1:
                    raise
                at_once //= 2
        else:
            numbers = numbers[at_once:]
    return torch.cat(made)


def _piece(training: Training, purpose: str, numbers: range, labels: Tensor) -> Tensor:
    network, device, dtype = training.g_ema, training.device, training.dtype
    drawn = generator(training.config.seed, 0, purpose)
    z = torch.randn(len(labels), network.spec.z_dim, generator=drawn)[numbers.start : numbers.stop]
    classes = None
    if training.classes:
        shown = labels[numbers.start : numbers.stop]
        classes = one_hot(shown, training.classes).to(device, dtype)
    w = network.map(z.to(device, dtype), classes)
    ws = w[:, None].expand(-1, network.spec.num_ws, -1)
    return network.synthesize(ws, Look()).float().cpu()
