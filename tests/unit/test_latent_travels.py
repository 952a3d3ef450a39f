"""Noise and prompts that travel: keys are the keys, every frame is noise, loops close."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.latent import journey as journeys
from comfy_genart_nodes.latent.journey import Journey
from comfy_genart_nodes.latent.noise import (
    NoiseLoop,
    SeedTravel,
    Travel,
    noise_of_batch,
    noise_of_film,
)
from comfy_genart_nodes.latent.prompts import TOKENS, Parts, travel
from comfy_genart_nodes.ranges import read_seeds, read_times

EVEN = Journey()
TRAVELS: list[Travel] = [
    SeedTravel((1, 7, 20), Journey(loop=True)),
    SeedTravel((1, 7, 20), Journey(loop=True, smooth=True, easing="sine")),
    NoiseLoop(1, "circle"),
    NoiseLoop(1, "wander"),
]


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def silent(of: float) -> None:
    pass


def frames(way: Travel, count: int, side: int = 64, numbers: Sequence[int] = ()) -> torch.Tensor:
    like = torch.zeros(len(numbers) or count, 4, side, side)
    return noise_of_batch(way, like, numbers or range(count), count, silent)


@pytest.mark.parametrize("way", TRAVELS)
def test_every_frame_is_noise(way):
    made = frames(way, 24)
    # Of 16,384 numbers the deviation is .0055 off by chance alone, the mean .0078.
    assert ((made.flatten(1).std(1) - 1).abs() < 0.028).all()
    assert (made.flatten(1).mean(1).abs() < 0.039).all()


@pytest.mark.parametrize("way", TRAVELS)
def test_a_loop_closes_and_a_frame_is_the_same_in_any_company(way, monkeypatch):
    whole = frames(way, 7, side=6)
    again = frames(way, 7, side=6, numbers=[7, 3, 15, 3])
    assert torch.equal(again, whole[[0, 3, 1, 3]])
    monkeypatch.setattr(journeys, "_PIECE", 300)
    assert torch.equal(frames(way, 7, side=6), whole)
    twice = frames(way, 14, side=6)  # the same way at half the pace
    assert torch.allclose(twice[::2], whole, atol=1e-6)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("easing", ["linear", "in and out", "hold"])
def test_a_seed_has_the_noise_that_comfyui_draws(smooth, easing):
    made = frames(SeedTravel((1, 7, 20), Journey(smooth=smooth, easing=easing)), 9, side=8)
    for number, seed in ((0, 1), (4, 7), (8, 20)):
        assert torch.equal(made[number], drawn(seed, 1, 4, 8, 8)[0])
    made = frames(SeedTravel((1, 7, 20), Journey((0, 1, 4), smooth=smooth)), 9, side=8)
    assert torch.equal(made[2], drawn(7, 1, 4, 8, 8)[0])
    assert torch.equal(frames(NoiseLoop(5, "circle"), 9, side=8)[0], drawn(5, 1, 4, 8, 8)[0])


def test_steps_of_a_circle_are_even_and_a_wandering_loop_returns_gently():
    steps = {}
    for kind in ("circle", "wander"):
        made = frames(NoiseLoop(1, kind), 24).flatten(1)
        steps[kind] = (made - made.roll(-1, 0)).norm(dim=1)
    # Radii of two samples, and the angle between them, are off by about 1 % by chance.
    assert steps["circle"].max() < 1.03 * steps["circle"].min()
    assert steps["wander"][-1] < 1.5 * steps["wander"][:-1].max()


def test_one_frame_and_a_batch_of_films():
    like = torch.zeros(1, 4, 3, 6, 6)
    way = SeedTravel((3, 4), EVEN)
    assert torch.equal(noise_of_batch(way, like, [0], 0, silent), drawn(3, 1, 4, 3, 6, 6))
    made = noise_of_batch(way, torch.zeros(5, 4, 3, 6, 6), range(5), 0, silent)
    assert torch.equal(made[4], drawn(4, 1, 4, 3, 6, 6)[0])


def test_the_moments_of_a_film_are_frames():
    made = noise_of_film(SeedTravel((3, 4), EVEN), torch.zeros(1, 4, 5, 6, 6), 0, silent)
    assert made.shape == (1, 4, 5, 6, 6)
    assert torch.equal(made[:, :, 0], drawn(3, 1, 4, 6, 6))
    assert torch.equal(made[:, :, 4], drawn(4, 1, 4, 6, 6))


def test_halves_are_drawn_as_halves():
    like = torch.zeros(2, 4, 8, 8, dtype=torch.float16)
    made = noise_of_batch(SeedTravel((3, 4), EVEN), like, range(2), 0, silent)
    chance = torch.Generator().manual_seed(3)
    assert torch.equal(made[:1], torch.randn(1, 4, 8, 8, generator=chance, dtype=torch.float16))


def test_frames_that_there_are_not():
    open_way, loop = SeedTravel((3, 4), EVEN), NoiseLoop(1, "circle")
    like = torch.zeros(2, 4, 8, 8)
    for way, count in ((open_way, 8), (open_way, 0), (loop, 0)):
        with pytest.raises(GenartError, match="no frame 9 in a travel"):
            noise_of_batch(way, like, [8, 9], count, silent)
    assert len(noise_of_batch(loop, like, [8, 9], 8, silent)) == 2
    with pytest.raises(GenartError, match="no frame 4 in a travel of 4"):
        noise_of_film(open_way, torch.zeros(1, 4, 5, 6, 6), 4, silent)
    for shape, says in (((2, 4, 5, 6, 6), "several"), ((1, 4, 6, 6), "pictures")):
        with pytest.raises(GenartError, match=says):
            noise_of_film(open_way, torch.zeros(shape), 0, silent)
    with pytest.raises(GenartError, match="two seeds or more"):
        frames(SeedTravel((3,), EVEN), 4)
    with pytest.raises(GenartError, match="must rise"):
        frames(SeedTravel((3, 4), Journey((1, 1))), 4)


def prompt(seed: int, tokens: int = 6, width: int = 5, **more: torch.Tensor) -> Parts:
    return {TOKENS: drawn(seed, 1, tokens, width), "pooled_output": drawn(seed, 1, 3)} | more


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("loop", [False, True])
def test_a_prompt_at_its_key_is_that_prompt(smooth, loop):
    keys = [prompt(seed) for seed in (1, 2, 3)]
    made = travel(keys, Journey(smooth=smooth, loop=loop), 9, silent)
    step = 3 if loop else 4
    for part in (TOKENS, "pooled_output"):
        for number, key in enumerate(keys):
            assert torch.equal(made[part][number * step], key[part][0])


def test_between_prompts_is_their_average():
    a, b = prompt(1), prompt(2)
    made = travel([a, b], EVEN, 5, silent)
    for part in a:
        assert torch.allclose(made[part][1], 0.75 * a[part][0] + 0.25 * b[part][0], atol=1e-6)


def test_a_batch_of_prompts_is_as_many_keys():
    four = travel([prompt(1), prompt(2)], EVEN, 4, silent)
    made = travel([four, prompt(3)], EVEN, 5, silent)
    assert torch.equal(made[TOKENS][:4], four[TOKENS])


def test_a_short_prompt_is_repeated_which_attention_does_not_notice():
    short, long = prompt(1, tokens=4), prompt(2, tokens=8)
    made = travel([short, long], EVEN, 3, silent)[TOKENS]
    asked, kept = drawn(9, 1, 7, 5), short[TOKENS]
    alone = F.scaled_dot_product_attention(asked, kept, kept)
    assert torch.allclose(F.scaled_dot_product_attention(asked, made[:1], made[:1]), alone)
    assert torch.equal(made[2], long[TOKENS][0])


def test_a_prompt_that_does_not_divide_is_followed_by_zeros():
    made = travel([prompt(1, tokens=6), prompt(2, tokens=8)], EVEN, 2, silent)[TOKENS]
    assert torch.equal(made[0, :6], prompt(1)[TOKENS][0]) and not made[0, 6:].any()


def test_masks_have_the_tokens_of_both():
    mask = torch.tensor([[1, 1, 0, 0, 0, 0]])
    keys = [prompt(1, attention_mask=mask), prompt(2, tokens=4), prompt(3, attention_mask=mask)]
    made = travel(keys, Journey(smooth=True), 7, silent)["attention_mask"]
    assert made.dtype == mask.dtype
    two, four = [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]
    assert made.tolist() == [two, four, four, four, four, four, two]


def test_prompts_of_different_encoders_are_refused():
    with pytest.raises(GenartError, match="Prompt 2 is 7 numbers wide and prompt 1 is 5"):
        travel([prompt(1), prompt(2, width=7)], EVEN, 4, silent)
    bare = {TOKENS: drawn(1, 1, 6, 5)}
    with pytest.raises(GenartError, match="Prompt 1 has no pooled output"):
        travel([bare, prompt(2)], EVEN, 4, silent)
    with pytest.raises(GenartError, match="There are 2 keys and 3 times"):
        travel([prompt(1), prompt(2)], replace(EVEN, times=(0, 1, 2)), 4, silent)
    with pytest.raises(GenartError, match="two keys"):
        travel([prompt(1)], EVEN, 4, silent)


def test_seeds_and_times_as_people_write_them():
    assert read_seeds("1, 7,20-22 , 7") == [1, 7, 20, 21, 22, 7]
    assert read_seeds(str(2**64 - 1)) == [2**64 - 1]
    for text in ("", "one", "-1", "1.5", "1,,2", "5-3", str(2**64), "9" * 30, "²"):
        with pytest.raises(GenartError, match="is no seed"):
            read_seeds(text)
    with pytest.raises(GenartError, match="more than 1000"):
        read_seeds("0-1000")
    assert read_times(" 0, 1,2.5 ") == [0, 1, 2.5] and read_times(" ") == []
    for text in ("a", "0,,1", "nan", "0, inf"):
        with pytest.raises(GenartError, match="are no times"):
            read_times(text)
