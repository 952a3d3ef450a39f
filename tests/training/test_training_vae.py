"""VAEs learn: better than anything that does not, and only where they may."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from runs import never

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import read
from comfy_genart_nodes.training import trainer
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.picture_sets import open_folder
from comfy_genart_nodes.training.reached import reached
from comfy_genart_nodes.training.recipes import settings
from comfy_genart_nodes.training.status import describe
from comfy_genart_nodes.training.vae_config import RECIPES, vae_settings
from comfy_genart_nodes.training.vae_step import VAETraining
from comfy_genart_nodes.vae.files import load_vae

CPU = torch.device("cpu")
SMALL = {"resolution": 32, "width": 16, "perceptual": 0.0, "precision": "fp32"}
PLAIN = SMALL | {"adversarial": 0.0}


def shapes(count: int = 48) -> np.ndarray:
    """Pictures that a VAE can learn: a coloured disc somewhere on a coloured ground, uint8."""
    chance = np.random.default_rng(0)
    grid = np.mgrid[:32, :32] + 0.5
    made = []
    for _ in range(count):
        centre, radius = chance.uniform(8, 24, 2), chance.uniform(4, 10)
        inside = np.hypot(*(grid - centre[:, None, None])) < radius
        ground, disc = chance.integers(0, 256, (2, 3, 1, 1))
        made.append(np.where(inside, disc, ground))
    return np.stack(made).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "shapes"
    folder.mkdir()
    for i, picture in enumerate(shapes()):
        Image.fromarray(picture.transpose(1, 2, 0)).save(folder / f"{i:02}.png")
    return open_folder(folder)


@pytest.fixture
def begin(tmp_path, pictures):
    def begin(recipe, name="a", parent=None, **given):
        config = vae_settings(recipe, **PLAIN | {"batch": 8} | given)
        return prepare(tmp_path / "genart", name, pictures, config, "cpu", 1, parent=parent)

    return begin


def psnr(made, real):
    return -10 * float(((made.clamp(-1, 1) - real) / 2).square().mean().log10())


def of_means(real):
    """What every place's mean over the pictures comes to: all that is known without latents."""
    return psnr(real.mean(dim=0, keepdim=True).expand_as(real), real)


@pytest.mark.parametrize("recipe", ["tiny", "vq", "fsq", "beta"])
def test_it_comes_nearer_to_pictures_than_means_do(recipe):
    """Seen ones, so that the bound is one of learning: an untrained VAE stays below the means."""
    array, extra = shapes(), {"kl": 1e-6} if recipe == "beta" else {}
    config = vae_settings(recipe, **PLAIN | {"batch": 16, "pixel": "l2"} | extra)
    training = VAETraining(config, array, CPU, "fp32")
    real = torch.from_numpy(array).float() / 127.5 - 1

    def rebuilt():
        with torch.no_grad():
            return psnr(training.average.decode(training.average.encode(real)), real)

    before = rebuilt()
    for _ in range(100):
        training.advance()
    assert before < of_means(real) < rebuilt() - 3.5, (before, of_means(real), rebuilt())


def test_few_pictures_that_are_changed_teach_to_rebuild_others():
    """Twelve of them: without changes they are learned by heart."""
    few, others = np.split(shapes(48), [12])
    real = torch.from_numpy(others).float() / 127.5 - 1
    reached = []
    for augment in (0.0, 0.3):
        settings = PLAIN | {"batch": 8, "pixel": "l2", "latent_channels": 8, "augment": augment}
        training = VAETraining(vae_settings("tiny", **settings), few, CPU, "fp32")
        for _ in range(150):
            training.advance()
        with torch.no_grad():
            reached.append(psnr(training.average.decode(training.average.encode(real)), real))
    assert reached[1] > reached[0] + 0.5  # 1.2 dB when this was written


def test_training_changes_every_weight():
    config = vae_settings("tiny", **SMALL, adversarial_after=0.0, batch=4)
    training = VAETraining(config, shapes(), CPU, "fp32")
    start = {name: t.clone() for name, t in training.tensors().items()}
    for _ in range(3):
        training.advance()
    still = {
        name
        for name, t in training.tensors().items()
        if name.startswith(("vae.", "critic.")) and t.equal(start[name])
    }
    assert {name for name in still if "vae_s" not in name} == set()  # scale and shift are fixed


def test_the_critic_joins_when_it_is_to():
    config = vae_settings("tiny", **SMALL, adversarial_after=0.012, batch=4)
    training = VAETraining(config, shapes(), CPU, "fp32")
    reports = [training.advance() for _ in range(5)]
    assert ["critic" in report for report in reports] == [False, False, False, True, True]
    assert float(training.adversarial_weight) > 0


def test_the_critic_weighs_as_its_gradients_do():
    """Its pull on the last layer is that of pixels, whatever the size of its scores."""
    weights = []
    for scale in (1.0, 100.0):
        config = vae_settings("tiny", **SMALL, adversarial_after=0.0, batch=4)
        training = VAETraining(config, shapes(), CPU, "fp64")
        with torch.no_grad():
            last = [p for p in training.critic.parameters()][-2]
            last.mul_(scale)
        training.advance()
        weights.append(float(training.adversarial_weight))
    assert weights[0] / weights[1] == pytest.approx(100, rel=0.05)


def test_a_run_leaves_what_it_promises(begin):
    run = begin("tiny", steps=20, measure_kimg=0.08, checkpoint_kimg=0.08, sample_kimg=0.08)
    assert run.config.held_out == 8
    assert trainer.train(run.path, never) == "finished"
    assert json.loads((run.path / "run.json").read_text())["kind"] == "vae"
    with Image.open(run.samples[-1]) as sheet:
        assert sheet.size == (8 * 32, 4 * 32)  # pictures, and below what is made of them
    found = [e for e in run.events() if e["event"] == "measures"]
    assert [e["step"] for e in found] == [10, 20]
    assert found[-1]["psnr"] > found[0]["psnr"] > 5
    assert found[-1]["psnr"] == pytest.approx(-10 * np.log10(found[-1]["mse"]))
    assert "psnr" in describe(run) and "nats" in describe(run)
    vae = reached(run).network
    assert vae.header["info"]["training"]["step"] == 20
    assert {len(values) for values in vae.header["latents"].values()} == {4}


def test_what_is_reached_is_the_average(begin):
    run = begin("tiny", steps=3)
    trainer.train(run.path, never)
    path = run.checkpoints[-1]
    own = load_vae(path).network.state_dict()
    for name, tensor in read(path, "ema.").items():
        assert own[name].equal(tensor), name


def test_statistics_of_latents_are_those_of_the_pictures():
    config = vae_settings("tiny", **PLAIN, batch=48, rate=1e-9)
    training = VAETraining(config, shapes(), CPU, "fp64")
    for _ in range(2):
        training.advance()
    real = torch.from_numpy(shapes()).double() / 127.5 - 1
    with torch.no_grad():
        mean = training.vae.encode(real).mean(dim=(0, 2, 3))
    found = torch.tensor(training.latents()["mean"], dtype=torch.float64)
    std = torch.tensor(training.latents()["std"], dtype=torch.float64)
    # Sampled latents: their noise averages out over 48 pictures of 16 places, twice.
    torch.testing.assert_close(
        found, mean, atol=float(5 * std.max() / (2 * 48 * 16) ** 0.5), rtol=0
    )


@pytest.fixture
def trained(begin):
    run = begin("tiny", "parent", steps=5)
    trainer.train(run.path, never)
    return reached(run).network


def test_a_decoder_learns_and_latents_stay(begin, trained):
    run = begin("fine-tune", parent=trained, steps=5, pixel="l2")
    trainer.train(run.path, never)
    child, old = reached(run).network.network, trained.network
    real = torch.from_numpy(shapes()).float() / 127.5 - 1
    assert child.encode(real).equal(old.encode(real))
    decoders = {id(p) for p in child.decoder_parameters()}
    was = old.state_dict()
    for name, parameter in child.named_parameters():
        assert parameter.equal(was[name]) != (id(parameter) in decoders), name
    latents = old.encode(real)
    assert psnr(child.decode(latents), real) > psnr(old.decode(latents), real)


def test_what_a_run_says_of_its_network_is_the_parents(begin, trained):
    run = begin("vq", parent=trained, steps=1, width=64, latent_channels=16)
    config = run.config
    assert (config.model, config.width, config.latent_channels) == ("tiny", 16, 4)


def test_a_vector_takes_pictures_of_one_side(begin):
    run = begin("beta", "vectors", steps=1, resolution=16)
    trainer.train(run.path, never)
    with pytest.raises(GenartError, match="set resolution to 16"):
        begin("beta", "other", parent=reached(run).network)


def test_a_whole_vae_goes_on_too(begin, trained):
    run = begin("tiny", parent=trained, steps=1)
    trainer.train(run.path, never)
    assert run.config.parent == trained.hash


REFUSED = {
    "multiples of 8": ("tiny", {"resolution": 36}),
    "wire one into base": ("fine-tune", {}),
    "eq must be from 0 to 1": ("tiny", {"eq": 2.0}),
    "augment must be from 0 to 1": ("tiny", {"augment": 1.5}),
    "one place: set eq to 0": ("beta", {"eq": 0.5}),
    "fewer than a batch": ("tiny", {"batch": 64}),
}


@pytest.mark.parametrize("words", REFUSED)
def test_it_refuses(begin, words):
    recipe, given = REFUSED[words]
    with pytest.raises(GenartError, match=words):
        begin(recipe, **given)


def test_of_another_kind_it_refuses(begin, pictures, tmp_path, trained):
    begin("tiny", steps=1)
    gan = settings("stylegan2", resolution=32, batch=4)
    with pytest.raises(GenartError, match=r"trains a VAE, not a GAN.*'a 2'"):
        prepare(tmp_path / "genart", "a", pictures, gan, "cpu", 1)
    with pytest.raises(GenartError, match="cannot go on from a GAN"):
        prepare(tmp_path / "genart", "b", pictures, gan, "cpu", 1, parent=trained)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_can_be_written_down(recipe):
    config = vae_settings(recipe, parent="0" * 64 if recipe == "fine-tune" else None)
    assert type(config).from_json(json.loads(json.dumps(config.to_json()))) == config
    assert replace(config, kimg=2.0).kimg == 2.0
