"""Both of the discriminator's architectures, with classes and without, score and learn."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from comfy_genart_nodes.gan.formats.opening import open_discriminator
from comfy_genart_nodes.gan.networks.discriminator import Discriminator, DiscriminatorSpec
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec

CLASSES = 3


@pytest.fixture(params=["resnet", "skip"])
def architecture(request) -> str:
    return request.param


def discriminator(architecture: str, c_dim: int, resolution: int = 32) -> Discriminator:
    spec = DiscriminatorSpec(
        resolution=resolution,
        c_dim=c_dim,
        channel_base=256,
        channel_max=16,
        mapping_layers=2,
        architecture=architecture,
    )
    network = Discriminator(spec)
    initialise(network, seed=0)
    return network


def pictures(side: int = 32) -> torch.Tensor:
    return torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def one_hot(index: int) -> torch.Tensor:
    return torch.eye(CLASSES)[[index] * 4]


@pytest.mark.parametrize("c_dim", [0, CLASSES])
@pytest.mark.parametrize("resolution", [32, 40])
def test_one_finite_score_a_picture(architecture: str, c_dim: int, resolution: int) -> None:
    score = discriminator(architecture, c_dim, resolution)(
        pictures(resolution), one_hot(0) if c_dim else None
    )
    assert score.shape == (4, 1)
    assert score.isfinite().all() and score.std() > 0


@pytest.mark.parametrize("c_dim", [0, CLASSES])
def test_gradient_reaches_every_parameter_and_every_pixel(architecture: str, c_dim: int) -> None:
    network, real = discriminator(architecture, c_dim), pictures().requires_grad_()
    network(real, torch.eye(CLASSES)[[0, 1, 2, 0]] if c_dim else None).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert (real.grad != 0).float().mean() > 0.99


def test_the_class_decides_with_the_picture(architecture: str) -> None:
    network, real = discriminator(architecture, CLASSES), pictures()
    scores = torch.stack([network(real, one_hot(i)) for i in range(CLASSES)])
    assert scores.std(dim=0).min() > 1e-3  # another class, another score
    assert scores.std(dim=1).min() > 1e-3  # another picture, too
    between = torch.stack([one_hot(0), one_hot(1)]).mean(dim=0)
    assert network(real, between).isfinite().all()  # blended classes are allowed


def test_every_block_of_skip_sees_the_picture_at_its_own_side(architecture: str) -> None:
    network = discriminator(architecture, 0)
    seen = [side for side in network.sides if hasattr(getattr(network, f"b{side}"), "fromrgb")]
    assert seen == (network.sides if architecture == "skip" else [32])


def test_it_has_the_size_of_the_generator_it_stands_against() -> None:
    spec = StyleGAN2Spec(resolution=48, c_dim=2, channel_base=512, channel_max=32)
    mine, its = dataclasses.asdict(DiscriminatorSpec.against(spec)), dataclasses.asdict(spec)
    shared = set(mine) & set(its) - {"architecture"}
    assert {"resolution", "c_dim", "img_channels", "channel_base", "channel_max"} <= shared
    assert {key: mine[key] for key in shared} == {key: its[key] for key in shared}


FILES = Path(__file__).parents[1] / "fixtures" / "networks"


# What stylegan2-ada-pytorch's own discriminator answers, its tensors read from these files, to the
# pictures `img_psi1_const` beside them; fp32 on a CPU.
@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("sg2_64", [-0.408636123, 0.434113175, 0.178486004]),
        ("sg2_64_cond", [0.428849310, 0.633429527, 0.331173867]),
    ],
)
def test_discriminators_of_the_original_tool_answer_as_there(name, answers) -> None:
    found = open_discriminator(FILES / f"{name}.pkl")
    network = Discriminator(DiscriminatorSpec(**found.settings))
    network.load_state_dict(found.tensors)
    with np.load(FILES / f"{name}.npz") as recorded:
        real = torch.from_numpy(recorded["img_psi1_const"])
        classes = torch.from_numpy(recorded["c"]) if found.settings["c_dim"] else None
    with torch.no_grad():
        scores = network(real, classes).flatten()
    torch.testing.assert_close(scores, torch.tensor(answers), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["sg2_64_resnet", "r3gan_64"])
def test_files_without_such_a_discriminator_have_none(name) -> None:
    assert open_discriminator(FILES / f"{name}.pkl") is None
