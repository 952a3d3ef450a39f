"""A run that goes on from a network, of any family: its shapes, its discriminator, what is refused.

The networks are the real ones at their smallest.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan import checkpoint
from comfy_genart_nodes.gan.checkpoint import load_gan, save_gan
from comfy_genart_nodes.gan.formats.opening import open_gan
from comfy_genart_nodes.gan.networks.families import build
from comfy_genart_nodes.gan.networks.fastgan import FastGANSpec
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.lightweight import LightweightSpec
from comfy_genart_nodes.gan.networks.lucidrains import LucidrainsSpec
from comfy_genart_nodes.gan.networks.r3gan import R3GANSpec
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec
from comfy_genart_nodes.gan.networks.stylegan3_spec import StyleGAN3Spec
from comfy_genart_nodes.training import parents, trainer
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.picture_sets import open_folder
from comfy_genart_nodes.training.players import players
from comfy_genart_nodes.training.recipes import choose, settings

SMALL = {"channel_max": 8, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}
SPECS = {
    "stylegan2": StyleGAN2Spec(64, channel_base=256, **SMALL),
    "stylegan3": StyleGAN3Spec(
        64,
        channel_base=256,
        first_cutoff=4.0,
        first_stopband=9.0,
        num_layers=6,
        **SMALL,
    ),
    "r3gan": R3GANSpec((8,) * 5, (4,) * 5, (1,) * 5, z_dim=8),
    "fastgan": FastGANSpec((8,) * 5, z_dim=8),
    "lucidrains": LucidrainsSpec(z_dim=8, mapping_layers=2, widths=(8,) * 5),
    "lightweight": LightweightSpec(z_dim=8, widths=(8,) * 4),
}


def network(path, family, spec=None, weights=3):
    """A file with a network of random weights."""
    generator = build(family, spec or SPECS[family])
    drawn = torch.Generator().manual_seed(weights)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_(std=0.2, generator=drawn)
    initialise(generator, weights)
    save_gan(path, generator.eval(), {"name": family})
    return open_gan(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i, colour in enumerate(np.random.default_rng(0).integers(0, 256, (8, 3))):
        Image.new("RGB", (64, 64), tuple(map(int, colour))).save(folder / f"{i}.png")
    return open_folder(folder)


def config(**given):
    given = {"recipe": "fine-tune", "batch": 4, "steps": 2, "channel_base": 256} | given
    return settings(**given, channel_max=8, mapping_layers=2, precision="fp32")


def begin(tmp_path, pictures, parent, name="a", **given):
    runs = tmp_path / "runs"
    return prepare(runs, name, pictures, config(**given), "cpu", 1, parent=parent)


@pytest.mark.parametrize("family", SPECS)
def test_any_family_goes_on(tmp_path, pictures, family):
    parent = network(tmp_path / "parent.safetensors", family)
    run = begin(tmp_path, pictures, parent)
    (tmp_path / "parent.safetensors").unlink()  # the run has its own
    assert trainer.train(run.path, lambda: False) == "finished"
    child = load_gan(run.checkpoints[-1])
    assert child.generator.family == family and child.spec == parent.spec
    assert child.info["training"]["settings"]["parent"] == parent.hash
    before, after = parent.generator.state_dict(), child.generator.state_dict()
    moved = [n for n, t in after.items() if t.is_floating_point() and not t.equal(before[n])]
    assert len(moved) > len(after) / 2
    apart = torch.cat([(after[n] - before[n]).flatten() for n in moved]).abs().mean()
    assert apart < 0.02  # two steps of Adam from the parent, and not from anywhere else


def test_its_discriminator_comes_along_and_the_blocks_that_are_frozen_stay(tmp_path, pictures):
    first = begin(tmp_path, pictures, None, "first", recipe="stylegan2", resolution=64)
    trainer.train(first.path, lambda: False)
    parent = load_gan(first.checkpoints[-1])
    run = begin(tmp_path, pictures, parent, "second")
    assert run.config.freeze_d == 2
    trainer.train(run.path, lambda: False)
    before, after = (checkpoint.read(r.checkpoints[-1], "d.") for r in (first, run))
    same = {name for name, tensor in after.items() if tensor.equal(before[name])}
    assert same == {name for name in after if name.startswith(("b64.", "b32."))}


def test_a_run_goes_on_without_the_network_it_began_from(tmp_path, pictures):
    run = begin(tmp_path, pictures, network(tmp_path / "parent.safetensors", "stylegan2"))
    again = begin(tmp_path, pictures, None, steps=3)
    assert again.config.parent == run.config.parent
    assert trainer.train(again.path, lambda: False) == "finished"
    with pytest.raises(GenartError, match="begun with parent"):
        begin(tmp_path, pictures, network(tmp_path / "other.safetensors", "stylegan2", weights=9))


@pytest.mark.parametrize("recipe", ["tiny", "classic"])
def test_discriminators_of_other_families_come_along_too(tmp_path, pictures, recipe):
    given = {"resolution": 64, "channel_base": 1024}
    first = begin(tmp_path, pictures, None, "first", recipe=recipe, **given)
    trainer.train(first.path, lambda: False)
    run = begin(tmp_path, pictures, load_gan(first.checkpoints[-1]), "second", **given)
    known = parents.read(run.path)
    pair = players(run.config, 0, known)
    for name, tensor in pair.discriminator.state_dict().items():
        assert tensor.equal(known.discriminator.tensors[name])


def test_what_cannot_be_frozen_is_refused_before_there_is_a_run(tmp_path, pictures):
    first = begin(tmp_path, pictures, None, "first", recipe="stylegan2", resolution=64)
    trainer.train(first.path, lambda: False)
    parent = load_gan(first.checkpoints[-1])
    with pytest.raises(GenartError, match="has 4 blocks to freeze, not 9: lower freeze_d"):
        begin(tmp_path, pictures, parent, "b", recipe="stylegan2-ada", freeze_d=9)
    with pytest.raises(GenartError, match="freeze_d keeps blocks as the network to go on from"):
        begin(tmp_path, pictures, None, "b", recipe="stylegan2-ada", freeze_d=3)
    assert not (tmp_path / "runs" / "b").exists()


@pytest.mark.parametrize("damage", [{"channels": 3}, {"channel_base": 128}, {"resolution": "x"}])
def test_a_damaged_discriminator_is_refused_before_there_is_a_run(tmp_path, pictures, damage):
    first = begin(tmp_path, pictures, None, "first", recipe="stylegan2", resolution=64)
    trainer.train(first.path, lambda: False)
    path = first.checkpoints[-1]
    header = checkpoint.read_header(path)
    header["discriminator"] |= damage
    broken = tmp_path / "broken.safetensors"
    checkpoint.write(broken, checkpoint.read(path), header)
    with pytest.raises(GenartError, match="is none that this pack knows"):
        begin(tmp_path, pictures, load_gan(broken), "b", recipe="stylegan2-ada")
    assert not (tmp_path / "runs" / "b").exists()


@pytest.mark.parametrize("family", ["fastgan", "r3gan"])
def test_path_lengths_of_families_without_a_mapping_network(tmp_path, pictures, family):
    parent = network(tmp_path / "parent.safetensors", family)
    run = begin(tmp_path, pictures, parent, recipe="stylegan2-ada", path_length=2.0)
    assert trainer.train(run.path, lambda: False) == "finished"
    assert any(event.get("path", 0) > 0 for event in run.events())


def test_without_a_discriminator_there_is_nothing_to_freeze(tmp_path, pictures):
    parent = network(tmp_path / "parent.safetensors", "stylegan2")
    assert begin(tmp_path, pictures, parent).config.freeze_d == 0
    with pytest.raises(GenartError, match="nothing to freeze"):
        begin(tmp_path, pictures, parent, "b", recipe="stylegan2-ada", freeze_d=2)


@pytest.mark.parametrize("family", ["fastgan", "stylegan2"])
def test_fine_tuning_teaches_a_family_as_its_own_recipe_does(tmp_path, pictures, family):
    recipe = {"fastgan": "tiny", "stylegan2": "stylegan2"}[family]
    first = begin(tmp_path, pictures, None, "first", recipe=recipe, resolution=64)
    trainer.train(first.path, lambda: False)
    parent = load_gan(first.checkpoints[-1])
    taught = begin(tmp_path, pictures, parent, "second", loss="r3gan").config
    assert taught.loss == "r3gan"  # what was chosen stays
    if family == "fastgan":
        assert (taught.rate, taught.freeze_d, taught.ada_target) == (2e-4, 0, None)
    else:
        assert (taught.rate, taught.freeze_d, taught.ada_target) == (2e-3, 2, 0.6)


def test_other_pictures_than_the_parent_makes_are_refused(tmp_path, pictures):
    def refused(said, spec, **given):
        parent = network(tmp_path / "parent.safetensors", "stylegan2", spec)
        with pytest.raises(GenartError, match=said):
            begin(tmp_path, pictures, parent, **given)
        assert not (tmp_path / "runs").exists()

    whole = SPECS["stylegan2"]
    refused("set resolution to 32", replace(whole, resolution=32))
    refused("of 4 channels", replace(whole, img_channels=4))
    refused("knows 5 classes, and the pictures are used without", replace(whole, c_dim=5))


def test_fine_tuning_wants_a_network(tmp_path, pictures):
    with pytest.raises(GenartError, match="fine-tune goes on with a network"):
        begin(tmp_path, pictures, None)
    assert choose(1000, 64, parent=True) == "fine-tune"


def test_it_goes_on_only_from_the_same_parent(tmp_path, pictures):
    parent = network(tmp_path / "parent.safetensors", "stylegan2")
    begin(tmp_path, pictures, parent)
    assert begin(tmp_path, pictures, parent, steps=3).config.last_step == 3
    other = network(tmp_path / "o.safetensors", "stylegan2", replace(parent.spec, w_dim=6))
    with pytest.raises(GenartError, match=r"parent .*, w_dim 8 \(now 6\): .* as 'a 2'"):
        begin(tmp_path, pictures, other)
