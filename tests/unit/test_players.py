"""Real and generated pictures may be scored at once: the scores, and what is learnt, are the same.

In float64: only the order of sums differs.
"""

import pytest
import torch
from torch import Tensor

from comfy_genart_nodes.gan.networks.discriminator import Discriminator
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.draws import Draws
from comfy_genart_nodes.training.players import Players, players


def pair(batch: int, classes: int = 0) -> Players:
    config = TrainConfig(resolution=32, channel_base=256, channel_max=8, batch=batch)
    made = players(config, classes)
    made.discriminator.double()
    return made


def shown(count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, 3, 32, 32, generator=generator, dtype=torch.float64)]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures the discriminator saw in each of its passes."""
    seen: list[int] = []
    forward = Discriminator.forward

    def count(self: Discriminator, img: Tensor, classes: Tensor | None = None) -> Tensor:
        seen.append(len(img))
        return forward(self, img, classes)

    monkeypatch.setattr(Discriminator, "forward", count)
    return seen


@pytest.mark.parametrize(
    ("batch", "pieces", "expected"),
    [
        (8, 8, [16]),
        (6, 6, [12]),  # compared by threes
        (8, 4, [8]),
        (8, 2, [2, 2]),  # half a group: at once, real ones would be compared with generated ones
    ],
)
@pytest.mark.parametrize("classes", [0, 3])
def test_all_at_once_as_one_after_the_other(
    batch: int, pieces: int, expected: list[int], classes: int, passes: list[int]
) -> None:
    two = pair(batch, classes)
    real, fake = shown(pieces, 1), shown(pieces, 2)
    known = [torch.eye(3, dtype=torch.float64)[torch.arange(pieces) % 3 - i] for i in range(2)]
    both = (known[0], known[1]) if classes else (None, None)
    weights = [*two.discriminator.parameters()]
    draws = Draws(0, 0, range(pieces), batch)
    of_real, of_fake, lesson = two.judge(real, fake, both, draws)
    assert passes == expected and lesson is None
    learnt = torch.autograd.grad((of_real.sin() + of_fake.cos()).sum(), weights)
    apart = two.score(real, both[0]), two.score(fake, both[1])
    wanted = torch.autograd.grad((apart[0].sin() + apart[1].cos()).sum(), weights)
    torch.testing.assert_close((of_real, of_fake, *learnt), (*apart, *wanted))


def test_pictures_whose_gradients_are_wanted_stay_apart(passes: list[int]) -> None:
    """A penalty on them goes through the network twice: not for the others, too."""
    two, real, fake = pair(8), shown(8, 1), shown(8, 2)
    real[0].requires_grad_()
    two.judge(real, fake, (None, None), Draws(0, 0, range(8), 8))
    assert passes == [8, 8]
