"""However a run is stopped or killed, it ends as if it had never been: the same bytes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from runs import CONFIG, after, digest, never

from comfy_genart_nodes.gan.checkpoint import LoadedGAN, load_gan, read
from comfy_genart_nodes.training import child, trainer
from comfy_genart_nodes.training.recipes import settings
from comfy_genart_nodes.training.run_folder import RunFolder
from comfy_genart_nodes.training.vae_config import vae_settings
from comfy_genart_nodes.vae.files import load_vae

SMALL = {"channel_max": 8, "z_dim": 8, "precision": "fp32", "mirror": True}
STYLEGAN2 = SMALL | {"resolution": 32, "batch": 4, "channel_base": 128, "w_dim": 8}
OTHERS = SMALL | {"resolution": 64, "batch": 8, "channel_base": 64}
VAES = {"resolution": 32, "batch": 4, "width": 16, "precision": "fp32", "perceptual": 0.0}
FAMILIES = {
    # Stopped between two moves of ADA's p, and between two steps that even paths.
    "stylegan2-ada": settings("stylegan2-ada", **STYLEGAN2, steps=9),
    "r3gan": settings("r3gan", **STYLEGAN2, steps=5),
    "tiny": settings("tiny", **OTHERS, steps=4),
    "classic": settings("classic", **OTHERS | {"channel_base": 256}, steps=4),
    # Stopped before the critic joins, and after.
    "vae tiny": vae_settings("tiny", **VAES, steps=5, adversarial_after=0.008, eq=0.5),
    "vae vq": vae_settings("vq", **VAES, steps=5, adversarial=0.0, codes=32),
    "vae fsq": vae_settings("fsq", **VAES, steps=4, adversarial_after=0.0),
    "vae kl": vae_settings("kl", **VAES | {"width": 32}, steps=4, adversarial=0.0),
    "vae beta": vae_settings("beta", **VAES, steps=4),
}
# Many weights and few pixels: half of its time such a run writes checkpoints, of 9 MB.
OFTEN = {"sample_kimg": 0.02, "checkpoint_kimg": CONFIG.checkpoint_kimg}
HEAVY = replace(CONFIG, steps=100_000, z_dim=512, w_dim=512, sample_kimg=0.02)
HEAVY_VAE = vae_settings("tiny", **VAES, **OFTEN, steps=100_000, adversarial_after=0.0)
KILLED = {"gan": (HEAVY, 30, "adam_d."), "vae": (HEAVY_VAE, 12, "adam_critic.")}
"""Settings, how often the run is killed, and what lies last in its checkpoints."""


@pytest.mark.parametrize("recipe", FAMILIES)
def test_of_every_recipe_a_stopped_run_ends_as_one_never_stopped(begin, recipe):
    whole, parts = (begin(name, FAMILIES[recipe]) for name in ("whole", "parts"))
    trainer.train(whole.path, never)
    for steps in (1, 2):
        assert trainer.train(parts.path, after(steps)) == "stopped"
    assert trainer.train(parts.path, never) == "finished"
    assert digest(parts) == digest(whole)


def killing(test):
    """A slow test that kills processes."""
    return pytest.mark.slow(pytest.mark.skipif(sys.platform == "win32", reason="signals")(test))


def start(run: RunFolder) -> subprocess.Popen:
    """A trainer process of which nobody knows when it will be killed."""
    return subprocess.Popen([sys.executable, child.__file__, run.path], stdin=subprocess.PIPE)


def live(process: subprocess.Popen, come: Callable[[], bool]) -> None:
    """Wait for something that the process does."""
    while not come():
        assert process.poll() is None
        time.sleep(0.001)


def more_events(run: RunFolder, count: int) -> Callable[[], bool]:
    """Whether a run has recorded so many events from now."""
    wanted = len(run.events()) + count
    return lambda: len(run.events()) >= wanted


def check_whole(run: RunFolder, moments: str) -> None:
    """Nothing of a run is ever unreadable."""
    assert not any(event["event"] == "failed" for event in run.events())
    for file in run.checkpoints[-1:]:
        loaded = load_gan(file) if run.config.KIND == "gan" else load_vae(file)
        info = loaded.info if isinstance(loaded, LoadedGAN) else loaded.header["info"]
        assert info["training"]["step"] == int(file.stem.removeprefix("step"))
        assert any(name.startswith(moments) for name in read(file))
    for sheet in run.samples[-1:]:
        with Image.open(sheet) as picture:
            picture.load()


@killing
@pytest.mark.parametrize("kind", KILLED)
def test_a_run_killed_again_and_again_ends_as_one_never_killed(begin, kind):
    """At random moments: while it starts, between steps, and while it writes a checkpoint."""
    config, kills, moments = KILLED[kind]
    run = begin("killed", config)
    random = np.random.default_rng(0)
    halves = 0
    for kill in range(kills):
        process = start(run)

        def half(process=process) -> bool:
            return any((run.path / "checkpoints").glob(f".*.{process.pid}.tmp"))

        if kill % 6 == 0:
            time.sleep(random.uniform(0, 2))
        else:
            live(process, more_events(run, random.integers(1, 10)))
            if kill % 2:
                live(process, half)
            time.sleep(random.uniform(0, 0.005 if kill % 2 else 0.2))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.stdin.close()
        halves += half()
        check_whole(run, moments)
    assert halves >= kills / 10  # kills that came while a checkpoint was being written
    print(f"{halves} of {kills} kills left half a checkpoint")
    assert not any(event["event"] == "unreadable" for event in run.events())
    reached = int(run.checkpoints[-1].stem.removeprefix("step"))
    run, whole = (begin(name, replace(config, steps=reached + 5)) for name in ("killed", "whole"))
    for each in (run, whole):
        assert trainer.train(each.path, never) == "finished"
    assert digest(run) == digest(whole)


@killing
def test_when_whoever_started_a_run_is_killed_it_writes_a_checkpoint_and_ends(
    begin, repository, tmp_path
):
    run = begin("a", replace(CONFIG, steps=100_000, checkpoint_kimg=100.0))
    code = (
        "import sys, time, pathlib\n"
        "from comfy_genart_nodes.training.job import TrainerJob\n"
        "from comfy_genart_nodes.training.run_folder import RunFolder\n"
        "with TrainerJob(RunFolder(pathlib.Path(sys.argv[1]))):\n"
        "    time.sleep(600)\n"
    )
    env = os.environ | {"PYTHONPATH": str(repository)}
    parent = subprocess.Popen([sys.executable, "-c", code, run.path], env=env)
    live(parent, more_events(run, 3))
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while run.events()[-1]["event"] != "stopped":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert run.checkpoints == [run.checkpoint_path(run.events()[-1]["step"])]
