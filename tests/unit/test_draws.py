"""Random numbers that belong to pictures: a batch may be divided anyhow."""

import pytest
import torch

from comfy_genart_nodes.training.draws import Draws, StepNoise

SHAPE = 1, 5, 6


def noise(part: range, total: int = 16) -> StepNoise:
    return StepNoise(draws=Draws(seed=1, step=2, part=part, total=total), purpose="noise")


def draw(made: StepNoise) -> torch.Tensor:
    return made.draw(len(made.draws.part), *SHAPE[1:], torch.device("cpu"))


@pytest.mark.parametrize("part", [range(8, 16), range(3, 4), range(2, 9), range(16)])
def test_a_part_gets_the_noise_that_the_whole_gets(part):
    whole, some = noise(range(16)), noise(part)
    for _ in range(3):  # layers
        assert torch.equal(draw(some), draw(whole)[part.start : part.stop])


def test_layers_steps_and_pictures_have_noise_of_their_own():
    first = noise(range(16))
    made = [*draw(first), *draw(first)]
    later = StepNoise(draws=Draws(1, 3, range(16), 16), purpose="noise")
    made += [*draw(later)]
    assert len({tuple(each.flatten().tolist()) for each in made}) == 48
    every = torch.stack(made)
    assert abs(every.mean()) < 0.1 and abs(every.std() - 1) < 0.1


def test_one_picture_is_picked_where_the_batch_has_got_to():
    whole = noise(range(4, 12))
    draw(whole)
    picked, twin = whole.pick(5), whole.twin()
    second = draw(whole)
    assert torch.equal(draw(picked), second[5:6])
    assert torch.equal(draw(twin), second)
