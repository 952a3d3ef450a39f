"""The critic of patches: what a score depends on, and that it learns to tell."""

import copy

import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.training import learners
from comfy_genart_nodes.training.patch_critic import PatchCritic, PatchCriticSpec
from comfy_genart_nodes.training.vae_losses import hinge


def made(seed: int = 0, **settings: int) -> PatchCritic:
    critic = PatchCritic(PatchCriticSpec(**settings))
    initialise(critic, seed)
    return critic


def pictures(count: int, side: int = 32, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return drawn.clamp(-1, 1)


@pytest.mark.parametrize(("side", "scores"), [(8, 1), (16, 2), (32, 4), (100, 12), (256, 32)])
def test_a_score_for_each_part_of_pictures_of_any_size(side, scores):
    assert made(width=8)(pictures(2, side)).shape == (2, 1, scores, scores)


def test_a_score_does_not_depend_on_the_pictures_beside_it():
    critic, batch = made(width=16), pictures(4)
    alone = torch.cat([critic(picture[None]) for picture in batch])
    torch.testing.assert_close(critic(batch), alone)
    assert len(list(critic.buffers())) == 0  # no statistics that a run would have to keep


@pytest.mark.parametrize(("layers", "sees"), [(1, 12), (2, 26), (3, 54)])
def test_a_score_sees_a_part_of_the_picture(layers, sees):
    """As its spec says, but for the norms, which see how strong channels are in the whole."""
    critic = made(width=8, layers=layers)
    for i, layer in enumerate(critic.main):
        if isinstance(layer, torch.nn.GroupNorm):
            critic.main[i] = torch.nn.Identity()
    x = pictures(1, 128).requires_grad_()
    middle = critic(x).shape[2] // 2
    (gradient,) = torch.autograd.grad(critic(x)[0, 0, middle, middle], x)
    rows = (gradient.abs().sum(dim=(0, 1, 3)) > 0).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == sees


def test_the_seed_decides_the_weights():
    one, same, other = (made(seed, width=8).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_it_learns_to_tell_blurred_pictures_from_sharp_ones():
    critic = made(width=8, layers=2)
    adam = torch.optim.Adam(critic.parameters(), 0.002, (0.5, 0.9))

    def pair(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        sharp = pictures(8, 16, seed)
        return sharp, torch.nn.functional.avg_pool2d(sharp, 3, 1, 1) * 1.5

    def margin() -> float:
        with torch.no_grad():
            sharp, blurred = map(critic, pair(999))
        return float(sharp.mean() - blurred.mean())

    before = margin()
    for step in range(25):
        adam.zero_grad()
        hinge(*map(critic, pair(step))).backward()
        adam.step()
    assert abs(before) < 0.1 and margin() > 1.5


def test_impossible_shapes_are_refused():
    with pytest.raises(GenartError, match="layers 7"):
        PatchCriticSpec(layers=7)


def test_a_score_does_not_depend_on_the_order_of_channels_in_memory():
    """Over areas of one colour a CPU's group normalisation loses digits in the other order."""
    critic = made().requires_grad_(False)
    for weight in critic.parameters():
        weight.mul_(5)  # as large as training makes them: in that order scores are .001 off
    learners.place(critic, torch.device("cpu"), torch.float32)
    flat = torch.ones(2, 3, 256, 256)
    exact = copy.deepcopy(critic).double()(flat.double())
    for laid_out in (flat, flat.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(critic(laid_out).double(), exact, atol=2e-4, rtol=0)
