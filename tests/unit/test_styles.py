"""Laws of style mixing, of classes and of several centres."""

import numpy as np
import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.centres import find_centres
from comfy_genart_nodes.gan.classes import read_classes, with_classes
from comfy_genart_nodes.gan.latents import (
    NO_SEED,
    GANLatent,
    from_seeds,
    pick,
    to_w,
    to_w_plus,
)
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.stylegan2 import StyleGAN2
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec
from comfy_genart_nodes.gan.sampling import Settings, styles
from comfy_genart_nodes.gan.styles import mix

SPEC = StyleGAN2Spec(resolution=32, z_dim=16, w_dim=8, channel_base=256, mapping_layers=2)
CLASSES = StyleGAN2Spec(resolution=32, z_dim=16, c_dim=10)


def network(spec=SPEC):
    made = StyleGAN2(spec)
    initialise(made, 0)
    made.w_avg.copy_(torch.linspace(-1, 1, spec.w_dim))
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def generator():
    return network()


def test_mixing_takes_exactly_the_layers_named(generator):
    a, b = from_seeds(SPEC, 0, 3), from_seeds(SPEC, 9, 3)
    mixed = mix(generator, a, b, [1, -1])
    assert mixed.space == "w+" and mixed.seeds == (NO_SEED,) * 3
    plain_a, plain_b = to_w_plus(generator, a).tensor, to_w_plus(generator, b).tensor
    for layer in range(SPEC.num_ws):
        expected = plain_b if layer in (1, SPEC.num_ws - 1) else plain_a
        assert torch.equal(mixed.tensor[:, layer], expected[:, layer]), layer


def test_one_latent_is_mixed_into_all(generator):
    a, b = from_seeds(SPEC, 0, 3), from_seeds(SPEC, 9, 1)
    many = GANLatent("z", b.tensor.expand(3, -1), None, b.seeds * 3, "")
    for_all, for_each = (mix(generator, a, other, [2, 3]).tensor for other in (b, many))
    torch.testing.assert_close(for_all, for_each)


def test_the_amount_leads_from_one_to_the_other_along_a_line(generator):
    a, b = from_seeds(SPEC, 0, 2), from_seeds(SPEC, 9, 2)
    at = {t: mix(generator, a, b, range(SPEC.num_ws), t).tensor for t in (0, 0.5, 1, 2)}
    plain_a, plain_b = to_w_plus(generator, a).tensor, to_w_plus(generator, b).tensor
    assert torch.equal(at[0], plain_a) and torch.equal(at[1], plain_b)
    torch.testing.assert_close(at[0.5], (plain_a + plain_b) / 2)
    torch.testing.assert_close(at[2], 2 * plain_b - plain_a)


@pytest.mark.parametrize("cutoff", [None, 2, 5])
def test_mixing_commutes_with_truncation(generator, cutoff):
    """The mixture truncated is the mixture of what is truncated: latents stay untruncated."""
    a, b = from_seeds(SPEC, 0, 2), from_seeds(SPEC, 9, 2)
    settings = Settings(psi=0.6, cutoff=cutoff)
    expected = styles(generator, a, settings).clone()
    expected[:, 3:] = styles(generator, b, settings)[:, 3:]
    mixed = mix(generator, a, b, range(3, SPEC.num_ws))
    torch.testing.assert_close(styles(generator, mixed, settings), expected, rtol=0, atol=0)


def test_what_was_mixed_stays_as_it_was(generator):
    a, b = (to_w_plus(generator, from_seeds(SPEC, seed, 2)) for seed in (0, 9))
    before = a.tensor.clone()
    mix(generator, a, b, [0])
    assert torch.equal(a.tensor, before)


def test_what_does_not_go_together_is_refused(generator):
    a = from_seeds(SPEC, 0, 3, model="a")
    for layers in ([], [SPEC.num_ws], [-SPEC.num_ws - 1]):
        with pytest.raises(GenartError, match=rf"0 to {SPEC.num_ws - 1}"):
            mix(generator, a, a, layers)
    with pytest.raises(GenartError, match="one for each"):
        mix(generator, a, from_seeds(SPEC, 0, 2), [0])
    with pytest.raises(GenartError, match="different GANs"):
        mix(generator, a, from_seeds(SPEC, 0, 3, model="b"), [0])
    with pytest.raises(GenartError, match="amount"):
        mix(generator, a, a, [0], float("nan"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", {3: 1}),
        ("0:0.7 + 3:0.3", {0: 0.7, 3: 0.3}),
        ("0 + 3", {0: 0.5, 3: 0.5}),
        ("0:2+3:1", {0: 2 / 3, 3: 1 / 3}),
        ("1:1.5 + 2:-.5", {1: 1.5, 2: -0.5}),
        ("4 + 4", {4: 1}),
    ],
)
def test_classes_and_blends_as_people_write_them(text, expected):
    row = torch.zeros(10)
    for index, share in expected.items():
        row[index] = share
    made = read_classes(CLASSES, text, 2)
    torch.testing.assert_close(made, row.expand(2, -1))


def test_one_class_for_each():
    made = read_classes(CLASSES, "0, 3, 9", 3)
    assert made.argmax(dim=1).tolist() == [0, 3, 9] and made.sum() == 3
    with pytest.raises(GenartError, match="3 classes for 2 latents"):
        read_classes(CLASSES, "0, 3, 9", 2)


@pytest.mark.parametrize("text", ["", "a", "10", "-1", "0:", "0:x", "0::1", "0:nan", "0:-1", "0:0"])
def test_other_classes_are_refused(text):
    with pytest.raises(GenartError, match=r"is no class|no class 10|more than 0"):
        read_classes(CLASSES, text, 1)


def test_classes_belong_to_latents_in_z_of_networks_with_classes(generator):
    latent = from_seeds(CLASSES, 0, 3, 1)
    chosen = with_classes(CLASSES, latent, read_classes(CLASSES, "2", 1))
    assert chosen.classes.argmax(dim=1).tolist() == [2, 2, 2]
    assert torch.equal(chosen.tensor, latent.tensor) and chosen.seeds == latent.seeds
    for wrong in (torch.zeros(2, 10), torch.zeros(3, 9), torch.zeros(10)):
        with pytest.raises(GenartError, match="do not fit"):
            with_classes(CLASSES, latent, wrong)
    with pytest.raises(GenartError, match="not finite"):
        with_classes(CLASSES, latent, torch.full((1, 10), float("inf")))
    with pytest.raises(GenartError, match="no classes"):
        read_classes(SPEC, "0", 1)
    plain = from_seeds(SPEC, 0, 1)
    with pytest.raises(GenartError, match="no classes"):
        with_classes(SPEC, plain, torch.zeros(1, 0))
    with pytest.raises(GenartError, match="choose it in z"):
        with_classes(CLASSES, to_w(generator, plain), torch.zeros(1, 10))


class Clouds(StyleGAN2):
    """Maps z into one of three clouds far apart, by the sign of its first numbers."""

    PLACES = torch.tensor([[9.0, 0], [0, 9], [-9, -9]])

    def map(self, z, classes=None):
        which = torch.where(z[:, 0] > 0.5, 0, torch.where(z[:, 0] > -0.5, 1, 2))
        return torch.cat([self.PLACES[which], torch.zeros(len(z), 6)], dim=1) + z[:, 8:] / 4


@pytest.fixture(scope="module")
def clouds():
    return Clouds(SPEC)


def test_centres_lie_where_the_latents_do(clouds):
    found = find_centres(clouds, 3, samples=3000, seed=1)
    assert found.space == "w" and found.tensor.shape == (3, SPEC.w_dim)
    away = torch.cdist(found.tensor[:, :2], Clouds.PLACES).min(dim=0)
    assert away.values.max() < 0.1 and sorted(away.indices.tolist()) == [0, 1, 2]


def test_centres_depend_on_the_seed_alone(clouds):
    once, again = (find_centres(clouds, 5, samples=600, seed=4).tensor for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, find_centres(clouds, 5, samples=600, seed=5).tensor)


def test_as_many_centres_as_samples_and_copies_of_one_sample(generator, clouds):
    """Clusters are never left empty, also where there are no more points to give them."""
    assert find_centres(clouds, 40, samples=40).tensor.unique(dim=0).shape[0] == 40

    class Point(StyleGAN2):
        def map(self, z, classes=None):
            return torch.ones(len(z), 8)

    assert torch.equal(find_centres(Point(SPEC), 4, samples=9).tensor, torch.ones(4, 8))
    for wrong in (0, 10):
        with pytest.raises(GenartError, match="centres"):
            find_centres(generator, wrong, samples=9)


def test_one_centre_is_the_mean_and_progress_arrives():
    generator, told = network(), []
    found = find_centres(generator, 1, samples=2500, progress=lambda *step: told.append(step))
    random = torch.Generator().manual_seed(0)
    z = torch.cat([torch.randn(n, 16, generator=random) for n in (1024, 1024, 452)])
    torch.testing.assert_close(found.tensor[0], generator.map(z).mean(dim=0), rtol=1e-4, atol=1e-5)
    totals = {total for _, total in told}
    assert len(totals) == 1 and told[-1][0] == told[-1][1] and told == sorted(told)


def test_every_step_of_the_search_can_be_its_last(clouds):
    """Cancel is heeded where progress is told: each batch, each first centre and each round."""
    told = []
    find_centres(clouds, 40, samples=2500, progress=lambda *step: told.append(step))
    assert len(told) > 3 + 39 and told == sorted(told) and told[-1][0] == told[-1][1]
    for last in (0, 20, 42):  # one of the batches, of the first centres, of the rounds
        seen = []

        def cancel(done: int, total: int, last: int = last, seen: list = seen) -> None:
            seen.append(done)
            if len(seen) > last:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            find_centres(clouds, 40, samples=2500, progress=cancel)
        assert len(seen) == last + 1


def test_truncation_goes_to_the_nearest_centre(clouds):
    centres = find_centres(clouds, 3, samples=3000).tensor
    latent = from_seeds(SPEC, 0, 30)
    mean = styles(clouds, latent, Settings(psi=0, centres=centres))[:, 0]
    w = to_w(clouds, latent).tensor
    assert torch.equal(mean, centres[torch.cdist(w, centres).argmin(dim=1)])
    assert len(mean.unique(dim=0)) == 3


def test_networks_with_classes_show_all_of_them():
    seen = []

    class Watched(StyleGAN2):
        def map(self, z, classes=None):
            seen.append(classes)
            return z[:, :8]

    find_centres(Watched(StyleGAN2Spec(resolution=32, z_dim=16, w_dim=8, c_dim=4)), 2, samples=2000)
    shares = torch.cat(seen).mean(dim=0)
    np.testing.assert_allclose(shares, 0.25, atol=0.05)


def test_picked_latents_keep_their_classes():
    latent = with_classes(CLASSES, from_seeds(CLASSES, 0, 3, 0), torch.eye(10)[:3])
    assert pick(latent, [2, 0]).classes.argmax(dim=1).tolist() == [2, 0]
