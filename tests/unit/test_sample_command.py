"""`genart sample`, `inspect` and `convert`: what they make is what the original networks answer."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from comfy_genart_nodes.gan.latent_files import load_latents, read_png, save_latents
from comfy_genart_nodes.gan.latents import GANLatent
from comfy_genart_nodes.headless.cli import main

NETWORKS = ("sg2_64", "sg2_64_cond", "sg3t_64", "r3gan_64_cond")


@pytest.fixture(scope="module")
def networks(repository):
    return repository / "tests" / "fixtures" / "networks"


@pytest.fixture(scope="module")
def answers(networks):
    """What each original network answers, by its name."""
    return {name: dict(np.load(networks / f"{name}.npz")) for name in NETWORKS}


@pytest.fixture(scope="module")
def converted(networks, tmp_path_factory):
    """The same networks as safetensors, which open faster."""
    folder = tmp_path_factory.mktemp("converted")
    for name in NETWORKS:
        assert (
            main(["convert", str(networks / f"{name}.pkl"), str(folder / f"{name}.safetensors")])
            == 0
        )
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, answers, networks):
    """A folder with the inputs of the reference networks, as the shell would see it."""
    monkeypatch.chdir(tmp_path)
    for name, known in answers.items():
        for key in ("z", "c", "w", "transform_inv"):
            if key in known:
                np.save(f"{name}.{key}.npy", known[key])
    return tmp_path


@pytest.fixture
def sample(here, networks, converted, capsys):
    """Run `genart sample` on a reference network; the raw arrays, or what it said instead."""
    capsys.readouterr()

    def run(name, *words, raw=True):
        file = networks / name if name.endswith(".pkl") else converted / f"{name}.safetensors"
        words = ["sample", str(file), *map(str, words)]
        code = main([*words, *(["--raw", "raw.npz", "--force"] if raw else [])])
        said = capsys.readouterr()
        if code:
            assert code == 1 and said.err.startswith("genart: ") and said.err.count("\n") == 1
            return said.err
        return dict(np.load("raw.npz")) if raw else said.out

    return run


def close(made, expected):
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "words", "w", "image"),
    [
        ("sg2_64", "--z sg2_64.z.npy", "w", "img_psi1_const"),
        ("sg2_64", "--w sg2_64.w.npy --psi .7", "w_psi07", "img_psi07_const"),
        ("sg2_64", "--z sg2_64.z.npy --psi .7 --noise none", "w_psi07", "img_psi07_none"),
        ("sg2_64", "--z sg2_64.z.npy --psi 0.5 --cutoff 4", "w_psi05_cut4", None),
        ("sg2_64", "--z sg2_64.z.npy --psi .7 --mix 0=1:4-", "w_mix", "img_mix"),
        (
            "sg2_64_cond",
            "--z sg2_64_cond.z.npy --classes 0,3,9 --psi .7",
            "w_psi07",
            "img_psi07_const",
        ),
        (
            "sg2_64_cond",
            "--z sg2_64_cond.z.npy --classes sg2_64_cond.c.npy --psi .7 --batch 2 --mix 0=1:4-",
            "w_mix",
            "img_mix",
        ),
        ("sg3t_64", "--z sg3t_64.z.npy --psi .7 --mix 0=1:4-", "w_mix", "img_mix"),
        (
            "r3gan_64_cond",
            "--z r3gan_64_cond.z.npy --classes r3gan_64_cond.c.npy",
            None,
            "img_fp32",
        ),
    ],
)
def test_what_the_original_networks_answer(name, words, w, image, sample, answers):
    made = sample(f"{name}.pkl", *words.split())
    assert {array.dtype for array in made.values()} == {np.dtype(np.float32)}
    if w:
        close(made["w"], answers[name][w])
    if image:
        close(made["image"], answers[name][image])


@pytest.mark.parametrize("form", ["30,.1,-.2", "nine", "matrix.npy"])
def test_a_transform_is_the_users_not_its_inverse(form, sample, answers):
    """The same picture from degrees and shifts, from nine numbers, and from a file."""
    known = answers["sg3t_64"]
    forward = np.linalg.inv(known["transform_inv"])
    np.save("matrix.npy", forward)
    np.save("z.npy", known["z"][:1])
    nine = ",".join(repr(float(number)) for number in forward.flatten())
    words = ("--z", "z.npy", "--psi", ".7", "--transform", form.replace("nine", nine))
    close(sample("sg3t_64", *words)["image"], known["img_psi07_transform"][:1])


def test_a_transform_without_an_inverse_is_one_sentence(sample):
    assert "into a line" in sample("sg3t_64", "--transform", "1,0,0,2,0,0,0,0,1")


def test_negative_numbers_need_no_equals_sign(sample):
    spaced, joined = (sample("sg2_64", *words) for words in (["--psi", "-1"], ["--psi=-1"]))
    np.testing.assert_array_equal(spaced["image"], joined["image"])
    for words in (["--transform", "-30,.1,-.2"], ["--transform=-30,.1,-.2"]):
        assert "Only a StyleGAN3" in sample("sg2_64", *words)  # it was understood


def test_seeds_are_numpys_and_batches_of_any_size_agree(sample):
    random = ("--noise", "random", "--noise-seed")
    whole = sample("sg2_64", "--seeds", "0-2", *random, "7")
    parts = sample("sg2_64", "--seeds", "0,1-2", *random, "7", "--batch", "2")
    close(parts["image"], whole["image"])
    np.save("z.npy", np.random.RandomState(2).randn(1, 32))
    close(sample("sg2_64", "--z", "z.npy")["w"][0], whole["w"][2])
    other = sample("sg2_64", "--seeds", "0", *random, "8")
    assert np.abs(other["image"][0] - whole["image"][0]).max() > 1e-3


def test_mixing_into_all_changes_all_but_the_source(sample):
    plain, mixed = (
        sample("sg2_64", "--seeds", "0-2", *more)["w"] for more in ([], ["--mix", "1:-3-"])
    )
    np.testing.assert_array_equal(mixed[:, :-3], plain[:, :-3])
    close(mixed[:, -3:], plain[[1, 1, 1], -3:])


def test_truncation_to_the_nearest_of_several_centres(sample, here):
    w = sample("sg2_64", "--seeds", "0-2")["w"][:, 0]
    import torch

    save_latents(
        here / "c.safetensors", GANLatent("w", torch.from_numpy(w), None, (0, 1, 2), ""), {}
    )
    made = sample("sg2_64", "--seeds", "0-2", "--centres", "c.safetensors", "--psi", "0")
    close(made["w"], np.repeat(w[:, None], 10, axis=1))


def test_pictures_carry_what_they_were_made_from(sample, here, answers):
    words = ("--seeds", "5,9", "--psi", ".6", "--mix", "0=1:4-")
    raw = sample("sg2_64", *words, "--out", "pictures")
    names = sorted(path.name for path in (here / "pictures").iterdir())
    assert names == ["seed0005.png", "seed0009.png"]
    for i, name in enumerate(names):
        path = here / "pictures" / name
        again = sample("sg2_64", "--latents", path, "--psi", ".6")
        close(again["image"][0], raw["image"][i])
        pixels = np.asarray(Image.open(path)).transpose(2, 0, 1)
        expected = (raw["image"][i].clip(-1, 1) + 1) * 127.5
        assert np.abs(pixels - expected).max() < 0.51
    mixed, plain = (read_png(here / "pictures" / name) for name in names)
    assert (mixed.space, plain.space, plain.seeds) == ("w+", "z", (9,))
    about = json.loads(Image.open(here / "pictures" / names[0]).text["genart_latent"])["about"]
    assert about["psi"] == 0.6


def test_bf16_is_near_and_a_canvas_is_as_wide_as_asked(sample):
    exact, near = (sample("sg2_64", "--precision", word)["image"] for word in ("fp32", "bf16"))
    assert 1e-5 < np.abs(near - exact).max() < 0.15
    assert sample("sg2_64", "--canvas", "128x64")["image"].shape == (1, 3, 64, 128)


def test_latents_travel_in_files_with_their_classes(sample, here, answers):
    import torch

    known = answers["sg2_64_cond"]
    z, classes = torch.from_numpy(known["z"]), torch.from_numpy(known["c"])
    save_latents(here / "l.safetensors", GANLatent("z", z, classes, (1, 2, 3), ""), {})
    assert len(load_latents(here / "l.safetensors")) == 3
    close(sample("sg2_64_cond", "--latents", "l.safetensors")["w"], known["w"])
    swapped = sample("sg2_64_cond", "--latents", "l.safetensors", "--classes", "9,3,0")
    assert np.abs(swapped["w"] - known["w"])[[0, 2]].min(axis=(1, 2)).max() > 1e-6
    close(swapped["w"][1], known["w"][1])


def test_nothing_is_overwritten_unasked(sample, here):
    def pictures():
        return {path.name: path.read_bytes() for path in (here / "samples").iterdir()}

    assert sample("sg2_64", raw=False) == "samples\n"
    first = pictures()
    sample("sg2_64", "--seeds", "0-1", "--psi", "0", raw=False)
    second = pictures()
    assert sorted(second) == ["seed0000.png", "seed0000_2.png", "seed0001_2.png"]
    assert second["seed0000.png"] == first["seed0000.png"]
    sample("sg2_64", "--psi", "0", "--force", raw=False)
    forced = pictures()
    assert sorted(forced) == sorted(second) and forced["seed0000.png"] != first["seed0000.png"]


def test_arrays_replace_arrays_of_an_earlier_run_and_nothing_else(sample, here):
    np.savez("other.npz", z=np.zeros(3))
    before = (here / "other.npz").read_bytes()
    newer = bytearray(before)  # says that it needs a zip of a later kind
    newer[newer.index(b"PK\x01\x02") + 6] = 200
    (here / "newer.npz").write_bytes(newer)
    for taken in ("other.npz", "newer.npz", "sg2_64.z.npy"):
        assert "already there" in sample("sg2_64", "--raw", taken, "--out", "new", raw=False)
    for more in ([], ["--force"]):
        assert "folder" in sample("sg2_64", "--raw", ".", "--out", "new", *more, raw=False)
    assert (here / "other.npz").read_bytes() == before and not (here / "new").exists()
    (here / "mine.npz").touch()  # as mktemp makes them: nothing is lost
    for psi in ("1", "0"):
        assert sample("sg2_64", "--raw", "mine.npz", "--psi", psi, raw=False) == "mine.npz\n"
    made = np.load("mine.npz")
    assert np.ptp(made["w"], axis=1).max() == 0 and made["image"].shape == (1, 3, 64, 64)


def test_seeds_that_repeat_get_numbers(sample, here):
    sample("sg2_64", "--seeds", "4,4", "--out", "twice", raw=False)
    assert sorted(path.name for path in (here / "twice").iterdir()) == ["0000.png", "0001.png"]


BAD = {
    "--seeds": ["", "a", "4294967296", "5-2", "0-"],
    "--z": ["none.npy", "sg2_64.w.npy", "short.npy", "nan.npy", "object.npy", "cut.npy", "big.npy"],
    "--w": ["none.npy", "short.npy", "layers.npy", "text.npy", "."],
    "--latents": ["none.png", "text.npy", "picture.png", ".", "x" * 300],
    "--classes": ["0", "sg2_64_cond.c.npy"],
    "--psi": ["nan", "inf", "1e308"],
    "--cutoff": ["-1"],
    "--centres": ["none", "text.npy", "z.safetensors", "other.safetensors"],
    "--noise-strength": ["nan"],
    "--transform": ["", "1,2", "a,b,c", "nan,0,0", "short.npy", "30,0,0"],
    "--canvas": ["", "64", "64x", "axb", "0x0", "99999x99999"],
    "--mix": ["", "1", "0:", "1:4-", "0:10", "5=0:1", "x=0:1", "0=0=0:1", ":1"],
    "--batch": ["0", "-3"],
    "--device": ["nonsense", "cuda:99"],
}


@pytest.mark.parametrize(("option", "value"), [(o, v) for o, vs in BAD.items() for v in vs])
def test_bad_input_is_one_sentence_and_leaves_nothing(option, value, sample, here):
    import torch

    rng = np.random.RandomState(0)
    np.save("short.npy", rng.randn(2, 5))
    np.save("layers.npy", rng.randn(2, 3, 32))
    np.save("nan.npy", np.full((1, 32), np.nan))
    np.save("object.npy", np.array([{}]), allow_pickle=True)
    whole = (here / "sg2_64.z.npy").read_bytes()
    (here / "cut.npy").write_bytes(whole[:-8])
    (here / "big.npy").write_bytes(whole.replace(b"(3, 32), }    ", b"(3000000000000, 32), }"[:14]))
    (here / "text.npy").write_text("not an array")
    Image.new("RGB", (4, 4)).save("picture.png")
    for name, space, width in (("z", "z", 32), ("other", "w", 5)):
        latent = GANLatent(space, torch.zeros(1, width), None, (0,), "")
        save_latents(here / f"{name}.safetensors", latent, {})
    said = sample("sg2_64", f"{option}={value}", "--out", "made", raw=False)
    assert said.startswith("genart: ") and not (here / "made").exists()


def test_networks_with_classes_ask_for_one(sample):
    assert "--classes" in sample("sg2_64_cond", "--seeds", "0")
    for wrong in ("10", "0,1,2", "x", "sg2_64.z.npy"):
        assert sample("sg2_64_cond", "--classes", wrong).startswith("genart: ")


def test_networks_of_one_layer_have_nothing_to_mix(sample):
    assert "no layers to mix" in sample("r3gan_64_cond", "--classes", "0", "--mix", "0:0")


def test_other_files_are_one_sentence(here, capsys):
    (here / "text.pkl").write_text("no network")
    for command in (["sample"], ["inspect"], ["convert"]):
        more = ["out.safetensors"] if command == ["convert"] else []
        for name in ("text.pkl", "none.pkl", "."):
            assert main([*command, name, *more]) == 1
            assert capsys.readouterr().err.startswith("genart: ")
    assert not (here / "out.safetensors").exists()


def test_convert_gives_the_same_network_in_equal_bytes(networks, here, capsys, answers):
    source = str(networks / "sg2_64.pkl")
    for name in ("a.safetensors", "b.safetensors"):
        assert main(["convert", source, name]) == 0
    printed = capsys.readouterr().out.split()
    assert printed[0] == "a.safetensors" and len(printed[1]) == 64
    assert (here / "a.safetensors").read_bytes() == (here / "b.safetensors").read_bytes()
    assert main(["sample", "a.safetensors", "--z", "sg2_64.z.npy", "--raw", "a.npz"]) == 0
    close(np.load("a.npz")["image"], answers["sg2_64"]["img_psi1_const"])
    capsys.readouterr()
    assert main(["convert", source, "a.safetensors"]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["convert", source, "a.safetensors", "--force"]) == 0
    assert main(["convert", source, "a.pkl"]) == 1


def test_what_a_file_warns_of_does_not_steer_the_terminal(converted, here, capsys):
    from comfy_genart_nodes.gan.checkpoint import load_gan, save_gan

    gan = load_gan(converted / "sg2_64.safetensors")
    save_gan(here / "warns.safetensors", gan.generator, {"warnings": ["\x1b[2Jgone", 5]})
    assert main(["inspect", "warns.safetensors"]) == 0
    assert main(["convert", "warns.safetensors", "again.safetensors"]) == 0
    said = capsys.readouterr()
    assert "gone" in said.err and "gone" in said.out and "\x1b" not in said.err + said.out


def test_inspect_says_what_a_file_is(networks, here, capsys):
    assert main(["inspect", str(networks / "sg2_64_cond.pkl"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["family"] == "stylegan2"
    assert main(["inspect", str(networks / "sg2_64_cond.pkl")]) == 0
    plain = capsys.readouterr().out
    assert all(key in plain for key in found)


def test_interrupted_it_keeps_whole_pictures_and_no_half_of_an_archive(repository, here):
    """Ctrl-C in the midst of a long run, in a process of its own."""
    network = repository / "tests" / "fixtures" / "networks" / "sg2_64.pkl"
    command = [sys.executable, "-m", "comfy_genart_nodes.headless.cli", "sample", str(network)]
    process = subprocess.Popen(
        [*command, "--seeds", "0-4999", "--out", str(here / "many"), "--raw", str(here / "a.npz")],
        cwd=repository,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    until = time.monotonic() + 120
    while not list(here.glob("many/*.png")) and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said, said
    made = list((here / "many").iterdir())
    assert made and all(Image.open(path).size == (64, 64) for path in made)
    assert not list(here.glob("*a.npz*"))


def test_a_reader_that_has_seen_enough_is_no_error(networks, capsys, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:  # flushed at the end, as the interpreter does at its own
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["inspect", str(networks / "sg2_64.pkl")]) == 0
    assert capsys.readouterr().err == ""
