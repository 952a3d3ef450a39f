"""Codebooks and levels: what codes are, how gradients pass them, how forgotten ones come back."""

import copy
import itertools

import pytest
import torch
from torch.nn import functional as F

from comfy_genart_nodes.vae.networks.autoencoder import Coded
from comfy_genart_nodes.vae.networks.bottlenecks import LIMIT, Codebook, Levels


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codebook(codes: int = 6, channels: int = 3, seed: int = 0) -> Codebook:
    made = Codebook(channels, codes)
    made.initialise(rng(seed))
    return made


def numbers(*shape: int, seed: int = 1) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=rng(seed))


@torch.no_grad()
def test_a_codebook_gives_the_nearest_vector():
    book, z = codebook(), numbers(2, 3, 4, 5)
    coded = book.code(z, None)
    rows = z.movedim(1, -1).reshape(-1, 3)
    nearest = torch.cdist(rows, book.codebook).argmin(1)
    assert torch.equal(book.indices(z).flatten(), nearest)
    assert torch.equal(coded.mean.movedim(1, -1).reshape(-1, 3), book.codebook[nearest])
    assert torch.equal(coded.latents, coded.mean) and torch.equal(book.settle(z), coded.mean)
    assert torch.equal(book.settle(coded.mean), coded.mean)
    assert torch.equal(book.indices(coded.mean), book.indices(z))


def test_gradients_pass_a_codebook_straight():
    book, z = codebook(), numbers(2, 3, 4, 4).requires_grad_()
    weights = numbers(2, 3, 4, 4, seed=2)
    (book.code(z, None).latents * weights).sum().backward()
    assert torch.equal(z.grad, weights)
    assert book.codebook.grad is None or not book.codebook.grad.any()


def test_the_cost_draws_vectors_and_encoder_together():
    """The vector to the place, and a twentieth as strongly the place to it."""
    book, z = codebook(), numbers(2, 3, 4, 4).requires_grad_()
    coded = book.code(z, None)
    coded.cost.backward()
    gap = (z - coded.mean).detach()
    count = gap.numel()
    assert torch.allclose(coded.cost, 1.05 * gap.square().mean())
    assert torch.allclose(z.grad, 0.05 * 2 * gap / count, atol=1e-7)
    drawn = torch.zeros_like(book.codebook)
    drawn.index_add_(0, book.indices(z).flatten(), -2 * gap.movedim(1, -1).reshape(-1, 3) / count)
    assert torch.allclose(book.codebook.grad, drawn, atol=1e-7)


def test_the_first_step_puts_vectors_where_places_are():
    book, z = codebook(), numbers(2, 3, 4, 4)
    book.upkeep(book.code(z, None), rng())
    rows = z.movedim(1, -1).reshape(-1, 3)
    found = (book.codebook[:, None] == rows).all(-1)
    assert found.any(1).all() and (found.sum(0) <= 1).all()  # each at a place of its own


def test_forgotten_vectors_come_back_and_others_stay():
    book = codebook(codes=4)
    far = torch.tensor([[9.0, 9, 9], [-9, -9, -9], [0, 0, 0], [5, -5, 5]])
    with torch.no_grad():
        book.codebook.copy_(far)
    book.usage.fill_(1 / 4)
    z = far[:3].t()[None, :, :, None] + 0.1  # nobody takes the last
    kept = book.codebook.detach().clone()
    for step in range(1000):
        book.upkeep(book.code(z, None), rng(step))
        if not torch.equal(book.codebook, kept):
            break
    assert 100 < step < 999  # not at once, as rare ones would be too
    assert torch.equal(book.codebook[:3], kept[:3])
    rows = z.movedim(1, -1).reshape(-1, 3)
    assert (book.codebook[3] == rows).all(1).any()
    back = book.codebook.detach().clone()
    for again in range(90):  # it has time to be taken, which it is not by these places
        book.upkeep(book.code(z - 0.1, None), rng(again))
    assert torch.equal(book.codebook, back)


def test_usage_counts_places():
    book, z = codebook(), numbers(4, 3, 8, 8)
    book.upkeep(book.code(z, None), rng())
    coded = book.code(z, None)
    for _ in range(700):
        book.upkeep(coded, rng())
    shares = torch.bincount(book.indices(z).flatten(), minlength=6) / 256
    assert torch.allclose(book.usage, shares, atol=1e-3)


def test_a_codebook_goes_on_exactly_from_its_state():
    """Twelve steps, or six, a file and six more, give the same bits."""

    def steps(book: Codebook, numbered: range) -> None:
        for step in numbered:
            coded = book.code(numbers(2, 3, 2, 2, seed=step), None)
            with torch.no_grad():
                slope = torch.autograd.grad(coded.cost, book.codebook)[0]
                book.codebook -= 0.1 * slope
            book.upkeep(coded, rng(step))

    whole, first = codebook(), codebook()
    steps(whole, range(12))
    steps(first, range(6))
    second = codebook(seed=7)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(second, range(6, 12))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_upkeep_depends_on_its_generator_alone():
    z = numbers(2, 3, 4, 4)

    def kept(seed: int) -> torch.Tensor:
        torch.rand(seed + 1)
        book = codebook()
        book.upkeep(Coded(z, z, raw=z), rng(seed))
        return book.codebook.detach()

    assert torch.equal(kept(1), kept(1)) and not torch.equal(kept(1), kept(2))


def test_revival_brings_more_codes_into_use():
    """Places lie in eight heaps, vectors all in one corner: without upkeep most are lost."""
    heaps = 8 * torch.randn(8, 2, generator=rng(3))

    def used(revive: bool) -> int:
        book = codebook(codes=8, channels=2)
        with torch.no_grad():
            book.codebook.mul_(0.01).add_(30)
        adam = torch.optim.Adam(book.parameters(), 0.05)
        for step in range(60):
            rows = heaps[torch.randint(8, (64,), generator=rng(step))]
            coded = book.code(rows.t()[None, :, :, None], None)
            adam.zero_grad()
            coded.cost.backward()
            adam.step()
            if revive:
                book.upkeep(coded, rng(step))
        return len(book.indices(heaps.t()[None, :, :, None]).unique())

    assert used(False) < 5 <= used(True)


LEVELS = [(8, 5, 5, 5), (2, 3), (5,), (16, 16)]


@torch.no_grad()
@pytest.mark.parametrize("levels", LEVELS)
def test_levels_are_all_there_is(levels):
    made = Levels(len(levels), levels)
    z = torch.linspace(-40, 40, 4001).expand(1, len(levels), -1)[..., None]
    latents = made.code(z, None).latents
    for channel, count in enumerate(levels):
        found = torch.tanh(latents[0, channel] / LIMIT).flatten().unique()
        middles = (2 * torch.arange(count) + 1) / count - 1
        assert len(latents[0, channel].unique()) == count
        assert torch.allclose(found, middles, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("levels", LEVELS)
def test_levels_are_the_nearest_and_stay(levels):
    made, z = Levels(len(levels), levels), numbers(2, len(levels), 5, 6)
    latents = made.settle(z)
    bounded, chosen = torch.tanh(z / LIMIT), torch.tanh(latents / LIMIT)
    widths = 2 / torch.tensor(levels).float()[:, None, None]
    assert ((bounded - chosen).abs() <= widths / 2 + 1e-6).all()
    assert torch.equal(latents, made.code(z, None).latents)
    assert torch.allclose(made.settle(latents), latents)
    assert torch.equal(made.indices(latents), made.indices(z))


@torch.no_grad()
def test_every_combination_of_levels_has_a_number_of_its_own():
    made = Levels(3, (4, 3, 2))
    every = torch.tensor(list(itertools.product(range(4), range(3), range(2)))).float()
    bounded = (2 * every + 1) / torch.tensor([4.0, 3.0, 2.0]) - 1
    latents = (LIMIT * torch.atanh(bounded)).t()[None, :, :, None]
    indices = made.indices(latents).flatten()
    assert sorted(indices.tolist()) == list(range(made.code_count)) == list(range(24))


@torch.no_grad()
def test_more_channels_than_levels_are_more_codes_a_place():
    one, three = Levels(2, (4, 3)), Levels(6, (4, 3))
    z = numbers(2, 6, 4, 4)
    found = three.indices(z)
    assert three.code_count == one.code_count == 12 and found.shape == (2, 3, 4, 4)
    for i, part in enumerate(z.split(2, dim=1)):
        assert torch.equal(found[:, i : i + 1], one.indices(part))


def test_gradients_pass_levels_as_tanh_does():
    """What a decoder sees are clamped latents, and those move as the clamped input does."""
    made, z = Levels(2, (8, 5)), numbers(2, 2, 4, 4).requires_grad_()
    weights = numbers(2, 2, 4, 4, seed=2)
    (torch.tanh(made.code(z, None).latents / LIMIT) * weights).sum().backward()
    slopes = (1 - torch.tanh(z / LIMIT).square()) / LIMIT
    assert torch.allclose(z.grad, (weights * slopes).detach(), atol=1e-5)
    assert F.cosine_similarity(z.grad.flatten(), weights.flatten(), dim=0) > 0.5


@torch.no_grad()
def test_what_was_not_rounded_looks_nearly_the_same_to_a_decoder():
    """So a ComfyUI that knows no levels makes nearly the same picture of a stock file."""
    made, z = Levels(2, (16, 16)), numbers(1, 2, 32, 32)
    clamped, rounded = (LIMIT * torch.tanh(x / LIMIT) for x in (z, made.settle(z)))
    assert (clamped - rounded).abs().max() <= LIMIT / 16 + 1e-6


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_codes_are_the_same_in_other_precisions(dtype):
    for made in (codebook(codes=32), Levels(3, (5, 4, 3))):
        z = numbers(1, 3, 16, 16).bfloat16()
        usual = made.indices(z.float())
        other = copy.deepcopy(made).to(dtype)
        same = (other.indices(z.to(dtype)) == usual).float().mean()
        assert same > 0.97 and other.settle(z.to(dtype)).dtype is dtype


@torch.no_grad()
def test_what_is_no_number_stays_none():
    """So that who asked can see it: a table has no place for it."""
    z = numbers(1, 3, 4, 4)
    z[0, 1, 2, 3] = float("nan")
    for made in (Levels(3, (5, 4, 3)).settle(z), Levels(3, (5, 4, 3)).code(z, None).mean):
        assert made.isnan().sum() == 1 and made[0, 1, 2, 3].isnan()
