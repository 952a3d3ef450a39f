"""Attributes, priors, traversals and preview factors: the laws that each has to keep."""

import json

import pytest
import torch
from torch import nn
from trained_vaes import network

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.vae import attributes, preview, prior, sheet, traversal
from comfy_genart_nodes.vae.latent_spaces import Scaled


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_an_attribute_takes_one_mean_to_the_other():
    having, lacking = draws(5, 4, 3, 2) + 2, draws(7, 4, 3, 2, seed=1)
    found = attributes.direction(having, lacking, everywhere=False)
    moved = attributes.apply(lacking, found.step, 1.0, 1)
    assert torch.allclose(moved.mean(0), having.mean(0), atol=1e-5)
    back = attributes.apply(having, found.step, -1.0, 1)
    assert torch.allclose(back.mean(0), lacking.mean(0), atol=1e-5)


def test_the_same_everywhere_takes_the_means_of_channels():
    having, lacking = draws(5, 4, 3, 2) + 2, draws(7, 4, 6, 8, seed=1)
    found = attributes.direction(having, lacking, everywhere=True)
    assert found.step.shape == (1, 4, 1, 1)
    moved = attributes.apply(lacking, found.step, 1.0, 1)
    assert torch.allclose(moved.mean((0, 2, 3)), having.mean((0, 2, 3)), atol=1e-5)


def test_strength_0_is_the_identity():
    latents = draws(3, 4, 5, 6)
    assert torch.equal(attributes.apply(latents, draws(1, 4, 5, 6, seed=1), 0.0, 1), latents)


def test_steps_go_from_none_to_the_whole_latent_by_latent():
    latents, step = draws(2, 4, 5, 6), draws(1, 4, 1, 1, seed=1)
    made = attributes.apply(latents, step, 2.0, 5)
    assert made.shape == (10, 4, 5, 6)
    assert torch.equal(made[[0, 5]], latents)
    assert torch.allclose(made[[4, 9]], latents + 2 * step)
    assert torch.allclose(made[7], latents[1] + step, atol=1e-6)


@pytest.mark.parametrize(
    ("step", "latents"),
    [
        ((1, 4, 1, 5, 6), (2, 4, 5, 6)),
        ((1, 4, 5, 6), (2, 4, 3, 5, 6)),
        ((1, 4, 1, 1), (2, 4, 3, 5, 6)),
    ],
)
def test_frames_of_films_are_all_moved(step, latents):
    change = draws(*step, seed=1)
    made = attributes.apply(torch.zeros(latents), change, 1.0, 1)
    assert made.shape == latents
    last = made[1, :, -1] if made.ndim == 5 else made[1]
    assert torch.equal(last, change.reshape(4, *step[-2:]).expand_as(last))


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ((1, 16, 5, 6), "16 channels .*4 channels"),
        ((1, 4, 6, 5), "5x6 places and these latents 6x5"),
        ((2, 4, 5, 6), "one latent"),
        ((1, 4, 3, 5, 6), "one latent"),
    ],
)
def test_a_direction_of_elsewhere_is_refused(step, says):
    with pytest.raises(GenartError, match=says):
        attributes.apply(draws(2, 4, 5, 6), draws(*step), 1.0, 1)


def test_sets_of_two_sizes_are_refused_where_places_matter():
    with pytest.raises(GenartError, match="4x3 places and those without it 4x4"):
        attributes.direction(draws(2, 4, 3, 4), draws(2, 4, 4, 4), everywhere=False)


def test_what_is_told_apart_is_told_and_chance_is_called_chance():
    apart = attributes.direction(draws(9, 4, 2, 2) + 2, draws(8, 4, 2, 2, seed=1), False)
    assert apart.nearer == 17 and "17 of 17 pictures (100%)" in apart.text()
    alike = attributes.direction(draws(40, 64, 2, 2), draws(40, 64, 2, 2, seed=1), False)
    assert alike.nearer <= 50 and "by chance" in alike.text()
    alone = attributes.direction(draws(1, 4, 2, 2), draws(8, 4, 2, 2, seed=1), False)
    assert alone.nearer is None and "single picture" in alone.text()


def test_draws_have_the_mean_and_spread_that_is_known():
    known = prior.Statistics(torch.tensor([3.0, -1.0]), torch.tensor([0.5, 2.0]), "a test")
    made = prior.sample(known, (64, 2, 16, 16), seed=1, temperature=1.0)
    assert torch.allclose(made.mean((0, 2, 3)), known.mean, atol=0.05)
    assert torch.allclose(made.std((0, 2, 3)), known.std, rtol=0.02)
    back = prior.measured(made, "the draws")
    assert torch.allclose(back.mean, known.mean, atol=0.05)
    cold = prior.sample(known, (3, 2, 4, 4), seed=1, temperature=0.0)
    assert torch.equal(cold, known.mean.view(1, 2, 1, 1).expand(3, 2, 4, 4))


def test_a_seed_is_a_latent_whatever_the_batch():
    known = prior.standard(4)
    many = prior.sample(known, (5, 4, 1, 3, 3), 7, 1.0)
    assert torch.equal(prior.sample(known, (1, 4, 1, 3, 3), 9, 1.0), many[2:3])
    last = prior.sample(known, (2, 4, 3, 3), 2**64 - 1, 1.0)
    assert torch.equal(last[1:], prior.sample(known, (1, 4, 3, 3), 0, 1.0))


def test_statistics_of_others_are_refused():
    with pytest.raises(GenartError, match=r"of 4 channels.*16"):
        prior.sample(prior.standard(4), (1, 16, 2, 2), 0, 1.0)


class Taesd(nn.Module):
    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self.vae_scale = nn.Parameter(torch.tensor(scale))
        self.vae_shift = nn.Parameter(torch.tensor(shift))


class OfDiffusers(nn.Module):
    def __init__(self, space: Scaled | None = None, **config: object) -> None:
        super().__init__()
        self.space = space
        self.network = nn.Module()
        self.network.config = config


@pytest.mark.parametrize(
    ("module", "mean", "std"),
    [
        (Taesd(0.25, 0.5), [0.5, 0.5], [4.0, 4.0]),
        (OfDiffusers(scaling_factor=0.5), [0.0, 0.0], [2.0, 2.0]),
        (OfDiffusers(scaling_factor=0.5, shift_factor=0.1), [0.1, 0.1], [2.0, 2.0]),
        # A tiny one works on a diffusion model's own latents, which its file does not say.
        (OfDiffusers(Scaled(0.25, 0.5), scaling_factor=1.0), [0.5, 0.5], [4.0, 4.0]),
        (OfDiffusers(latents_mean=[1.0, 2.0], latents_std=[3.0, 4.0]), [1, 2], [3, 4]),
    ],
)
def test_scale_and_shift_say_how_latents_are_spread(module, mean, std):
    known = prior.statistics_of(module, 2)
    assert known.mean.tolist() == pytest.approx(mean) and known.std.tolist() == pytest.approx(std)
    assert known.kl is None and "file" in known.source


def test_what_training_measured_comes_first():
    module = Taesd(0.25, 0.5)
    module.latent_statistics = {"mean": [1.0, 2.0], "std": [3.0, 4.0], "kl": [0.5, 6.0]}
    known = prior.statistics_of(module, 2)
    assert known.mean.tolist() == [1, 2] and known.kl.tolist() == [0.5, 6]
    assert "trained" in known.source
    assert prior.statistics_of(nn.Linear(1, 1), 2) is None


@pytest.mark.parametrize(
    ("known", "says", "kl"),
    [
        ({"mean": [1.0, 2.0], "std": [3.0, 4.0]}, "trained", None),
        ({"mean": [1.0, 2.0], "std": [3.0, 4.0], "kl": [0.0, 0.0]}, "trained", None),
        ({"mean": [1.0, 2.0], "std": [3.0, 4.0], "kl": [1.0]}, "trained", None),
        ({"mean": [1.0, 2.0]}, "file", None),
        ({"mean": [1.0], "std": [1.0]}, "file", None),
    ],
)
def test_half_of_what_training_measured_is_no_reason_to_stop(known, says, kl):
    module = Taesd(0.25, 0.5)
    module.latent_statistics = known
    found = prior.statistics_of(module, 2)
    assert says in found.source and found.kl is kl


@torch.no_grad()
@pytest.mark.parametrize("kind", ["tiny", "vq", "fsq"])
def test_latents_settle_on_codes_where_those_are_finite(kind):
    module = nn.Module()
    module.network = network(kind)
    latents = draws(2, 4, 3, 3)
    made = prior.settled(module, latents)
    assert torch.allclose(prior.settled(module, made), made, atol=1e-5)
    assert torch.equal(made, latents) == (kind == "tiny")
    assert prior.settled(nn.Linear(1, 1), latents) is latents


def test_each_row_moves_one_channel_about_the_start():
    start = draws(1, 4, 3, 3)
    known = prior.Statistics(torch.zeros(4), torch.tensor([1.0, 5.0, 0.5, 2.0]), "a test")
    found = traversal.traverse(start, known, dimensions=3, each_side=2, reach=3.0)
    assert found.latents.shape == (15, 4, 3, 3) and len(found.rows) == 3
    rows = found.latents.unflatten(0, (3, 5))
    assert torch.equal(rows[:, 2], start.expand(3, -1, -1, -1))  # the middle is the start
    for row, channel in zip(rows, [1, 3, 0], strict=True):  # by deviation
        moved = row - start
        others = [c for c in range(4) if c != channel]
        assert moved[:, others].abs().max() == 0
        ends = known.std[channel] * 3
        expected = torch.tensor([-ends, -ends / 2, 0, ends / 2, ends]).view(-1, 1, 1)
        assert torch.allclose(moved[:, channel], expected.expand(5, 3, 3), atol=1e-5)
    assert found.columns == ["-3 sd", "-1.5 sd", "0", "+1.5 sd", "+3 sd"]
    assert [row.split(":")[0][-1] for row in found.rows] == ["1", "3", "0"]


def test_rows_are_ordered_by_kl_where_it_is_known():
    kl = torch.tensor([0.1, 7.0, 3.0])
    known = prior.Statistics(torch.zeros(3), torch.tensor([9.0, 1.0, 2.0]), "a test", kl)
    assert traversal.most_telling(known) == [1, 2, 0]
    found = traversal.traverse(draws(1, 3, 1, 1), known, dimensions=9, each_side=1, reach=1.0)
    assert [row.split()[1] for row in found.rows] == ["1:", "2:", "0:"]
    assert "7.00 nats" in found.rows[0]


def test_a_channel_that_never_varies_is_moved_by_one():
    known = prior.measured(torch.ones(2, 3, 1, 1), "a test")
    found = traversal.traverse(torch.zeros(1, 3, 1, 1), known, 1, 1, 2.0)
    assert found.latents[:, 0].flatten().tolist() == [-2, 0, 2]


@pytest.mark.parametrize(("side", "cell"), [(1, 96), (32, 96), (100, 100), (600, 256)])
def test_a_table_shows_every_picture_in_its_place(side, cell):
    colours = torch.tensor([-1.0, -0.5, 0, 0.2, 0.5, 1.0]).view(6, 1, 1, 1)
    pictures = colours.expand(6, 3, side, side)
    drawn = sheet.table(iter(pictures.split(4)), ["a", "a longer name"], ["-1", "0", "1"])
    height, width = drawn.shape[-2:]
    left, top = width - 3 * (cell + 4), height - 2 * (cell + 4)
    assert left > 60 and top > 20
    for place in range(6):
        row, column = divmod(place, 3)
        x, y = left + column * (cell + 4), top + row * (cell + 4)
        inside = drawn[0, :, y : y + cell, x : x + cell]
        assert (inside - colours[place].flatten()).abs().max() < 0.01
    assert drawn[0, :, :, :left].min() < -0.5  # the names


def known_map(seed: int = 2) -> torch.Tensor:
    return draws(6, 3, seed=seed).double() * 0.2


def test_a_linear_map_is_found_exactly():
    matrix, latents = known_map(), draws(2, 5, 4, 6)
    colours = torch.einsum("nchw,cr->nrhw", latents.double(), matrix[:-1])
    colours = (colours + matrix[-1].view(1, 3, 1, 1)).float()
    pictures = colours.repeat_interleave(8, -1).repeat_interleave(8, -2)
    factors, explained = preview.fit(latents, pictures)
    assert torch.allclose(factors.matrix, matrix, atol=1e-6) and explained > 0.999999
    read = preview.read_factors(factors.text())
    assert torch.allclose(preview.shown(read, latents, 8), pictures, atol=1e-5)
    core = json.loads(factors.text())  # as ComfyUI's Latent2RGBPreviewer works it out
    linear = nn.functional.linear(
        latents[0].movedim(0, -1),
        torch.tensor(core["latent_rgb_factors"]).T,
        torch.tensor(core["latent_rgb_factors_bias"]),
    )
    assert torch.allclose(linear.movedim(-1, 0), colours[0], atol=1e-5)


def test_the_best_map_is_no_worse_than_the_mean_colour():
    latents, pictures = draws(3, 4, 5, 5), draws(3, 3, 40, 40, seed=1)
    _, explained = preview.fit(latents, pictures)
    assert 0 < explained < 0.5


def test_latents_that_are_no_numbers_fit_nothing():
    latents = draws(1, 4, 3, 3)
    latents[0, 0, 0, 0] = float("nan")
    with pytest.raises(GenartError, match="no numbers"):
        preview.fit(latents, draws(1, 3, 24, 24))


def test_fewer_places_than_channels_still_give_a_map():
    latents, pictures = draws(1, 64, 2, 2), draws(1, 3, 16, 16, seed=1)
    factors, explained = preview.fit(latents, pictures)
    assert factors.matrix.isfinite().all() and explained > 0.999


def test_frames_are_shown_as_pictures():
    factors, film = preview.Factors(known_map()), draws(2, 5, 3, 4, 4)
    shown = preview.shown(factors, film, 2)
    assert shown.shape == (6, 3, 8, 8)
    assert torch.equal(shown[4], preview.shown(factors, film[1:, :, 1], 2)[0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{}",
        '{"latent_rgb_factors": []}',
        '{"latent_rgb_factors": [[1, 2]]}',
        '{"latent_rgb_factors": "abc"}',
        '{"latent_rgb_factors": [[1, 2, NaN]]}',
        '{"latent_rgb_factors": [[1, 2, 3]], "latent_rgb_factors_bias": [1]}',
        '{"latent_rgb_factors": [[1, 2, {}]]}',
        '{"latent_rgb_factors": [[1, 2, 1' + "0" * 400 + "]]}",
        "[" * 100_000,
    ],
)
def test_a_text_without_factors_is_refused(text):
    with pytest.raises(GenartError, match="holds no preview factors"):
        preview.read_factors(text)


def test_factors_of_another_family_are_named():
    with pytest.raises(GenartError, match=r"of 5 channels.*16 channels .*Flux"):
        preview.shown(preview.Factors(known_map()), draws(1, 16, 2, 2), 8)
