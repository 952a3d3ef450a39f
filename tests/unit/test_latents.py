"""Laws of seeds, batches, spaces and paths of GAN latents."""

import numpy as np
import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan import latents, paths
from comfy_genart_nodes.gan.checkpoint import LoadedGAN
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.stylegan2 import StyleGAN2
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec
from comfy_genart_nodes.latent.journey import Journey

SPEC = StyleGAN2Spec(resolution=32, z_dim=64, w_dim=32, channel_base=256, mapping_layers=2)
ROUND = Journey(loop=True)


def keys(count=4, seed=0):
    return latents.from_seeds(SPEC, seed, count, model="a")


def test_seeds_are_those_of_numpys_legacy_generator_and_wrap():
    made = latents.from_seeds(SPEC, 2**32 - 1, 2)
    assert made.seeds == (2**32 - 1, 0)
    for z, seed in zip(made.tensor, made.seeds, strict=True):
        expected = np.random.RandomState(seed).randn(1, 64).astype(np.float32)[0]
        np.testing.assert_array_equal(z.numpy(), expected)


def test_a_seed_does_not_depend_on_the_batch():
    torch.testing.assert_close(keys(4).tensor[2:3], keys(1, seed=2).tensor, rtol=0, atol=0)


def test_classes_are_checked():
    with pytest.raises(GenartError, match="no classes"):
        latents.from_seeds(SPEC, 0, 1, class_index=0)
    classes = StyleGAN2Spec(resolution=32, c_dim=3)
    assert latents.from_seeds(classes, 0, 2, 1).classes.tolist() == [[0, 1, 0]] * 2
    for wrong in (None, 3, -1):
        with pytest.raises(GenartError, match="0 to 2"):
            latents.from_seeds(classes, 0, 1, wrong)


def test_pick_join_repeat_agree_with_lists():
    a, b = keys(3), keys(2, seed=9)
    joined = latents.join(a, b)
    assert joined.seeds == (0, 1, 2, 9, 10)
    assert latents.pick(joined, [-1, 0]).seeds == (10, 0)
    assert latents.repeat(b, 2).seeds == (9, 10, 9, 10)
    assert torch.equal(latents.repeat(b, 2).tensor[2:], b.tensor)
    for wrong in ([5], [-6], []):
        with pytest.raises(GenartError):
            latents.pick(joined, wrong)


def test_join_refuses_other_networks_and_spaces(gan):
    a = keys()
    with pytest.raises(GenartError, match="different GANs"):
        latents.join(a, latents.from_seeds(SPEC, 0, 1, model="b"))
    with pytest.raises(GenartError, match="same space"):
        latents.join(a, latents.to_w(gan.generator, a))


@pytest.fixture(scope="module")
def gan():
    generator = StyleGAN2(SPEC)
    initialise(generator, 0)
    return LoadedGAN(generator, SPEC, {}, "a")


@pytest.mark.parametrize("mode", ["slerp z", "lerp w"])
def test_paths_meet_their_keys_exactly(mode, gan):
    a = keys(4)
    ends = a if mode == "slerp z" else latents.to_w(gan.generator, a)
    looped = paths.path(a, 20, mode, ROUND, gan)
    assert torch.equal(looped.tensor[::5], ends.tensor)
    assert looped.seeds[::5] == a.seeds and looped.seeds[1] == latents.NO_SEED
    opened = paths.path(a, 16, mode, Journey(), gan)
    assert torch.equal(opened.tensor[::5], ends.tensor)
    assert opened.seeds[::5] == a.seeds


def test_what_is_mapped_belongs_to_the_gan_that_mapped_it(gan):
    foreign = latents.from_seeds(SPEC, 0, 2, model="b")
    assert paths.path(foreign, 4, "lerp w", gan=gan).model == "a"


def test_latents_that_do_not_fit_the_gan_are_refused(gan):
    short = latents.from_seeds(StyleGAN2Spec(resolution=32, z_dim=8), 0, 2)
    with pytest.raises(GenartError, match="another GAN"):
        paths.path(short, 4, "lerp w", gan=gan)
    classes = latents.from_seeds(StyleGAN2Spec(resolution=32, z_dim=64, c_dim=3), 0, 2, 1)
    with pytest.raises(GenartError, match="other classes"):
        latents.to_w(gan.generator, classes)


def test_a_loop_has_no_seam():
    """The step from the last frame to the first is as long as those around it."""
    made = paths.path(keys(3), 60, "slerp z", ROUND).tensor
    steps = (made.roll(-1, 0) - made).norm(dim=1)
    assert steps[-1] < 1.2 * steps[-10:-1].max() and steps[-1] > 0.8 * steps[-10:-1].min()


@pytest.mark.parametrize("mode", ["slerp z", "lerp w"])
def test_a_long_walk_passes_where_a_short_one_does(mode, gan):
    short, long = (paths.path(keys(3), n, mode, ROUND, gan) for n in (600, 3000))
    assert torch.equal(long.tensor[::5], short.tensor) and long.seeds[::5] == short.seeds
    steps = (long.tensor.roll(-1, 0) - long.tensor).norm(dim=-1)
    assert steps.max() < 3 * steps.mean()  # no jump anywhere


def test_every_layer_has_a_w_of_its_own_and_foreign_shapes_are_refused(gan):
    spread = latents.to_w_plus(gan.generator, keys())
    mapped = latents.to_w(gan.generator, keys()).tensor
    assert spread.space == "w+" and spread.tensor.shape == (4, SPEC.num_ws, SPEC.w_dim)
    assert all(torch.equal(layer, mapped) for layer in spread.tensor.unbind(dim=1))
    assert torch.equal(latents.to_w_plus(gan.generator, spread).tensor, spread.tensor)
    for space, shape, said in (("w", (1, 9), "9 numbers"), ("w+", (1, 3, 32), "3 layers")):
        with pytest.raises(GenartError, match=said):
            foreign = latents.GANLatent(space, torch.zeros(shape), None, (0,), "")
            latents.to_w_plus(gan.generator, foreign)


def test_slerp_keeps_norms_and_turns_evenly():
    a = keys(2)
    made = paths.path(a, 21, "slerp z", Journey()).tensor
    norms = made.norm(dim=1)
    expected = torch.linspace(float(norms[0]), float(norms[-1]), 21)
    torch.testing.assert_close(norms, expected, rtol=1e-5, atol=1e-4)
    unit = made / norms[:, None]
    angles = (unit[:-1] * unit[1:]).sum(dim=1).clamp(-1, 1).acos()
    assert angles.std() < 1e-3 * angles.mean()


def test_the_reversed_path_is_the_path_reversed():
    a = keys(4)
    forth = paths.path(a, 31, "slerp z", Journey()).tensor
    back = paths.path(latents.pick(a, [3, 2, 1, 0]), 31, "slerp z", Journey()).tensor
    torch.testing.assert_close(forth, back.flip(0), rtol=1e-4, atol=1e-4)


def test_equal_and_opposite_keys_stay_finite():
    z = torch.randn(1, 64, generator=torch.Generator().manual_seed(0))
    for second in (z, -z):
        pair = latents.GANLatent("z", torch.cat([z, second]), None, (1, 2), "")
        assert paths.path(pair, 9, "slerp z", Journey()).tensor.isfinite().all()


def test_one_frame_is_the_first_key_and_one_key_is_no_path():
    assert torch.equal(paths.path(keys(), 1).tensor, keys(1).tensor)
    with pytest.raises(GenartError, match="two latents"):
        paths.path(keys(1), 10)


def test_great_circles_are_refused_in_w_and_lines_need_the_gan(gan):
    with pytest.raises(GenartError, match="lerp w"):
        paths.path(latents.to_w(gan.generator, keys()), 10, "slerp z")
    with pytest.raises(GenartError, match="wire the GAN"):
        paths.path(keys(), 10, "lerp w")


def test_classes_blend_along_a_path():
    spec = StyleGAN2Spec(resolution=32, c_dim=2, z_dim=8)
    pair = latents.join(latents.from_seeds(spec, 0, 1, 0), latents.from_seeds(spec, 1, 1, 1))
    blended = paths.path(pair, 5, "slerp z", Journey()).classes
    torch.testing.assert_close(blended[:, 1], torch.linspace(0, 1, 5))
    torch.testing.assert_close(blended.sum(dim=1), torch.ones(5))


@pytest.mark.parametrize("space", ["z", "w", "w+"])
def test_a_path_keeps_times_and_turns_smoothly(space, gan):
    a = keys(3)
    if space != "z":
        a = (latents.to_w if space == "w" else latents.to_w_plus)(gan.generator, a)
    mode = "slerp z" if space == "z" else "lerp w"
    for way in (
        Journey((0, 1, 4)),
        Journey((0, 1, 4), smooth=True),
        Journey((0, 1, 4), easing="in"),
    ):
        made = paths.path(a, 9, mode, way)
        assert torch.equal(made.tensor[[0, 2, 8]], a.tensor)
        assert made.seeds == (0, latents.NO_SEED, 1, *[latents.NO_SEED] * 5, 2)
    held = paths.path(a, 9, mode, Journey((0, 1, 4), easing="hold"))
    assert torch.equal(held.tensor, a.tensor[[0, 0, 1, 1, 1, 1, 1, 1, 2]])
    assert held.seeds == (0, 0, 1, 1, 1, 1, 1, 1, 2)
    corners = {
        smooth: paths.path(a, 90, mode, Journey(loop=True, smooth=smooth)).tensor.flatten(1)
        for smooth in (False, True)
    }
    for smooth, made in corners.items():  # how much the step changes, at its most, for its size
        steps = made.roll(-1, 0) - made
        turn = (steps.roll(-1, 0) - steps).norm(dim=1).max() / steps.norm(dim=1).mean()
        assert turn < 0.3 if smooth else turn > 0.8


def test_a_path_tells_how_far_it_is_and_refuses_times_that_fall():
    told = []
    paths.path(keys(3), 50_000, "slerp z", ROUND, None, told.append)
    assert told == sorted(told) and told[-1] == 50_000 and len(told) > 3
    for times, says in (((0, 2, 1), "must rise"), ((0, 1), "3 keys and 2 times")):
        with pytest.raises(GenartError, match=says):
            paths.path(keys(3), 9, "slerp z", Journey(times))
