"""A distance that sees what squared errors do not: by photographs, changed in known ways."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from comfy_genart_nodes.evaluation.features import STRIDES, Features, as_seen
from comfy_genart_nodes.training.perceptual import STAGES, Perceptual


@pytest.fixture(scope="module")
def distance() -> Perceptual:
    return Perceptual()


@pytest.fixture(scope="module")
def photos(repository: Path) -> torch.Tensor:
    """Parts of photographs, `[n, 3, 128, 128]`."""
    found = []
    for path in sorted((repository / "tests/fixtures/photos").glob("*.jpg")):
        picture = Image.open(path).convert("RGB").resize((256, 256), Image.Resampling.LANCZOS)
        whole = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1
        found += [whole[:, :128, :128], whole[:, 64:192, 64:192]]
    return torch.stack(found)


def noise(like: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def apart(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x - y).square().mean(dim=(1, 2, 3))


def moved(x: torch.Tensor, direction: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    """Pictures changed in a direction as far as the squared error says."""
    return x + direction * (error / direction.square().mean(dim=(1, 2, 3))).sqrt().view(-1, 1, 1, 1)


def blurred(x: torch.Tensor, side: int = 5) -> torch.Tensor:
    return F.avg_pool2d(F.pad(x, (side // 2,) * 4, mode="replicate"), side, 1)


def test_it_is_a_distance(distance, photos):
    other = photos.roll(1, 0)
    assert distance(photos, photos).abs().max() == 0
    forth, back = distance(photos, other), distance(other, photos)
    torch.testing.assert_close(forth, back)
    assert (forth > 0.3).all()  # of other parts


@torch.no_grad()
def test_its_form_is_that_of_the_paper(distance, photos):
    """Over the network that judges pictures, whose norms are not folded."""
    made, network = photos + 0.2 * noise(photos), Features().network
    total = torch.zeros(len(photos))
    for pixels in (0, 1):
        moved = [as_seen(x.roll((pixels, pixels), (2, 3))) for x in (made, photos)]
        maps = [network.stages(x, STAGES) for x in moved]
        for count, (a, b) in enumerate(zip(*maps, strict=True)):
            assert a.shape[2] == 128 // STRIDES[count]
            a, b = (F.normalize(x, dim=1) for x in (a, b))
            total += (2 - 2 * (a * b).sum(dim=1)).mean(dim=(1, 2)) / STAGES / 2
    torch.testing.assert_close(distance(made, photos), total, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_stages_are_what_the_whole_network_goes_through(photos):
    network = Features().network
    *_, last = network.stages(as_seen(photos), len(STRIDES))
    head = F.relu6(network._bn1(network._conv_head(last))).mean(dim=(2, 3))
    torch.testing.assert_close(head, network(as_seen(photos)))


@torch.no_grad()
def test_at_equal_error_a_change_of_light_is_nearer_than_blur_and_noise(distance, photos):
    soft = blurred(photos)
    error = apart(soft, photos)
    far = {
        "light": moved(photos, torch.ones_like(photos), error),
        "contrast": moved(photos, photos - photos.mean(dim=(2, 3), keepdim=True), error),
        "blur": soft,
        "noise": moved(photos, noise(photos), error),
    }
    found = {name: distance(made, photos) for name, made in far.items()}
    for harmless in ("light", "contrast"):
        for harm in ("blur", "noise"):
            assert (3 * found[harmless] < found[harm]).all(), found


@torch.no_grad()
def test_a_sharp_picture_out_of_place_is_nearer_than_a_blurred_one_in_place(distance, photos):
    """Squared errors say the opposite, which is why what learns from them alone is blurred."""
    still, shifted = photos[:, :, 4:-4, 4:-4], photos[:, :, 4:-4, 6:-2]
    soft = blurred(photos)[:, :, 4:-4, 4:-4]
    assert (apart(shifted, still) > 2 * apart(soft, still)).all()
    assert (distance(shifted, still) < 0.8 * distance(soft, still)).all()


@torch.no_grad()
def test_more_of_the_same_change_is_farther(distance, photos):
    for change in (noise(photos), blurred(photos, 9) - photos):
        found = torch.stack(
            [distance(photos + share * change, photos) for share in (0.1, 0.3, 0.9)]
        )
        assert (found.diff(dim=0) > 0).all()


@pytest.mark.parametrize("side", [8, 24, 32, 40, 256])
def test_pictures_of_any_side(distance, photos, side):
    whole = F.interpolate(photos[:2], (side, side), mode="bilinear", antialias=True)
    made = (whole + 0.1 * noise(whole)).requires_grad_()
    found = distance(made, whole)
    found.sum().backward()
    assert found.shape == (2,) and (found > 0).all()
    assert made.grad.isfinite().all() and (made.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_flat_pictures_have_gradients_that_are_numbers(distance):
    made = torch.full((1, 3, 32, 32), 1.0, requires_grad=True)
    distance(made, -torch.ones(1, 3, 32, 32)).sum().backward()
    assert made.grad.isfinite().all()


def test_pictures_do_not_depend_on_those_beside_them(distance, photos):
    made = photos + 0.2 * noise(photos)
    alone = torch.cat([distance(a[None], b[None]) for a, b in zip(made, photos, strict=True)])
    torch.testing.assert_close(distance(made, photos), alone, rtol=1e-4, atol=1e-6)


def test_descent_makes_a_blurred_picture_like_the_sharp_one(distance, photos):
    real = photos[:1, :, 32:96, 32:96]
    soft = blurred(real, 7)
    made = soft.clone().requires_grad_()
    adam = torch.optim.Adam([made], 0.02)
    for _ in range(15):
        adam.zero_grad()
        distance(made, real).sum().backward()
        adam.step()
    better = made.detach()
    assert (distance(better, real) < distance(soft, real) / 2).all()
    assert (apart(better, real) < 2 * apart(soft, real)).all()  # not by going somewhere else
    assert not any(p.requires_grad for p in distance.network.parameters())
