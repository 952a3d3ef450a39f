"""Settings of a run: kept as JSON, refused where impossible; recipes; the order of pictures."""

import json
from dataclasses import replace

import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.training.beginning import fastest_precision
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.order import Order
from comfy_genart_nodes.training.recipes import BYTES, automatic, settings, width

CONFIG = TrainConfig(resolution=32, batch=4, steps=18, channel_base=128, mirror=True)


def test_settings_survive_json_and_unknown_ones_are_named():
    assert TrainConfig.from_json(json.loads(json.dumps(CONFIG.to_json()))) == CONFIG
    with pytest.raises(GenartError, match="'wings'"):
        TrainConfig.from_json({"wings": 2})


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 0},
        {"kimg": -1.0},
        {"steps": 0},
        {"augment": ("blur",)},
        {"precision": "fp16"},
        {"rate": float("nan")},
        {"kimg": float("inf")},
        {"resolution": 33},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(GenartError):
        replace(CONFIG, **wrong)


@pytest.mark.parametrize("sign", ["_is_amx_tile_supported", "_is_avx512_bf16_supported"])
def test_auto_is_bf16_on_a_cpu_that_multiplies_it(sign, monkeypatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert fastest_precision("cpu") == "fp32"
    monkeypatch.setattr(torch.cpu, sign, lambda: True)
    assert fastest_precision("cpu") == "bf16"
    monkeypatch.delattr(torch.cpu, sign)  # of a torch that does not tell
    assert fastest_precision("cpu") == "fp32"


def test_every_epoch_shows_every_picture_once():
    order = Order(10, seed=3)
    places = [i for step in range(5) for i in order.batch(step, 4)]
    assert sorted(places[:10]) == sorted(places[10:]) == list(range(10))
    assert places[:10] != places[10:]
    assert Order(10, seed=3).batch(4, 4) == places[16:]


def test_what_auto_stands_for():
    tight = 2**30
    assert automatic(50, 1024, False, tight) == ("tiny", None)  # no StyleGAN2 to be narrowed
    assert automatic(50, 96, False, None) == ("stylegan2", None)  # no FastGAN has this side
    assert automatic(50, 64, False, None, classes=True) == ("stylegan2", None)
    assert automatic(840, 1024, False, tight) == ("stylegan2", width(1024, tight))
    assert automatic(3000, 1024, False, tight) == ("stylegan2-ada", width(1024, tight))
    assert automatic(3000, 1024, True, tight) == ("fine-tune", None)


@pytest.mark.parametrize("recipe", ["tiny", "classic"])
def test_a_recipe_without_classes_is_called_by_its_name(recipe):
    with pytest.raises(GenartError, match=f"the recipe {recipe}, knows no classes: choose .*-ada"):
        settings(recipe, resolution=64).generator_spec(classes=2)


@pytest.mark.parametrize(
    ("family", "side", "said"),
    [("fastgan", 2, "64, 128, 256, 512, 1024"), ("dcgan", 48, "8, 16, 32, 64, 128")],
)
def test_sides_of_other_families_are_named(family, side, said):
    with pytest.raises(GenartError, match=f"of side {said}"):
        replace(CONFIG, family=family, resolution=side)


def test_widths_follow_the_memory_and_stay_usable():
    card = 8 * 2**30
    assert width(256, card) is None and width(64, card) is None
    fitting = width(512, card)
    assert 8 * 512 <= fitting < 64 * 512 and fitting % 512 == 0
    assert 4 * BYTES * 512 * fitting < card
    assert width(512, 3 * card) is None
    assert width(1024, 2**30) == 8 * 1024  # never thinner than that
