"""Latents in files and pictures come back to the bit; what was tampered with is refused."""

import base64
import json
import struct
import zlib

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan import checkpoint
from comfy_genart_nodes.gan.latent_files import (
    KEYWORD,
    from_text,
    load_latents,
    read_png,
    save_latents,
    to_text,
)
from comfy_genart_nodes.gan.latents import NO_SEED, GANLatent, pick
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.stylegan2 import StyleGAN2
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec


def numbers(*shape):
    """Awkward ones: no digits, tiny, huge, signed zeros, and random bits."""
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    flat = made.view(-1)
    flat[:5] = torch.tensor([0.0, -0.0, 1e-45, 3.4e38, 1 / 3])
    return made


LATENTS = {
    "z": GANLatent("z", numbers(3, 16), None, (0, 2**32 - 1, NO_SEED), "abc"),
    "classes": GANLatent("z", numbers(2, 16), torch.tensor([[0.7, 0.3], [1, 0]]), (5, 6), "abc"),
    "w": GANLatent("w", numbers(1, 8), None, (7,), ""),
    "w+": GANLatent("w+", numbers(2, 5, 8), None, (NO_SEED, NO_SEED), "abc"),
}


def same(a, b):
    def bits(tensor):
        return None if tensor is None else (tensor.shape, tensor.view(torch.int32).tolist())

    return (
        (a.space, a.seeds, a.model) == (b.space, b.seeds, b.model)
        and bits(a.tensor) == bits(b.tensor)
        and bits(a.classes) == bits(b.classes)
    )


@pytest.mark.parametrize("latent", LATENTS.values(), ids=LATENTS)
def test_files_give_back_every_bit_and_are_equal_for_equal_latents(latent, tmp_path):
    for name in ("a", "b"):
        save_latents(tmp_path / name, latent, {"note": "für später"})
    assert same(load_latents(tmp_path / "a"), latent)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def picture(path, text, **options):
    info = PngInfo()
    info.add_text("parameters", "another program's")
    if text is not None:
        info.add_text(KEYWORD, text, **options)
    Image.new("RGB", (8, 8), "red").save(path, format="PNG", pnginfo=info)
    return path


@pytest.mark.parametrize("latent", LATENTS.values(), ids=LATENTS)
@pytest.mark.parametrize("packed", [False, True])
def test_pictures_give_back_every_bit(latent, packed, tmp_path):
    one = pick(latent, [0])
    path = picture(tmp_path / "a.png", to_text(one, {"psi": 0.7}), zip=packed)
    assert same(read_png(path), one)


def test_the_text_survives_as_unicode_text_and_after_the_pixels(tmp_path):
    """Other programs write the same text as another kind of chunk, or at the end."""
    one, path = pick(LATENTS["w+"], [1]), tmp_path / "a.png"
    for packed in (False, True):
        info = PngInfo()
        info.add_itxt(KEYWORD, to_text(one), zip=packed)
        Image.new("L", (8, 8)).save(path, pnginfo=info)
        assert same(read_png(path), one)
    body = KEYWORD.encode() + b"\0" + to_text(one).encode()
    end = chunk(b"IEND", b"")
    path.write_bytes(picture(path, None).read_bytes()[: -len(end)] + chunk(b"tEXt", body) + end)
    assert same(read_png(path), one)


def test_a_picture_holds_one_latent():
    with pytest.raises(ValueError, match="one latent"):
        to_text(LATENTS["z"])


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_pictures_without_a_latent(tmp_path):
    with pytest.raises(GenartError, match="carries no latent"):
        read_png(picture(tmp_path / "plain.png", None))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(GenartError, match="not a PNG"):
        read_png(tmp_path / "a.jpg")
    for missing in (tmp_path / "none.png", tmp_path):
        with pytest.raises(GenartError, match="choose a picture that exists"):
            read_png(missing)


def test_a_picture_cut_off_anywhere_is_one_sentence(tmp_path):
    whole = picture(tmp_path / "a.png", to_text(LATENTS["w"]), zip=True).read_bytes()
    for length in range(0, len(whole) - 12, 7):
        (tmp_path / "b.png").write_bytes(whole[:length])
        try:
            assert same(read_png(tmp_path / "b.png"), LATENTS["w"])  # the text comes first
        except GenartError as error:
            assert "cut off" in str(error) or "not a PNG" in str(error)


def test_a_small_picture_cannot_ask_for_all_the_memory(tmp_path):
    packed = zlib.compress(b" " * 2**26, 9)
    bodies = {
        b"zTXt": KEYWORD.encode() + b"\0\0" + packed,
        b"iTXt": KEYWORD.encode() + b"\0\1\0\0\0" + packed,
    }
    head = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", 2**31, 2**31, 8, 2, 0, 0, 0)
    )
    for kind, body in bodies.items():
        (tmp_path / "a.png").write_bytes(head + chunk(kind, body) + chunk(b"IEND", b""))
        with pytest.raises(GenartError, match="damaged"):
            read_png(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(head + struct.pack(">I4s", 2**32 - 1, b"tEXt"))
    with pytest.raises(GenartError, match="which is no latent"):
        read_png(tmp_path / "a.png")


def tampered(**changes):
    found = {**json.loads(to_text(pick(LATENTS["classes"], [0]))), **changes}
    return json.dumps({key: value for key, value in found.items() if value is not ...})


def packed(shape, count, value=0.0):
    data = base64.b64encode(struct.pack("<f", value) * count).decode()
    return {"shape": shape, "float32": data}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "[" * 100_000,
        '{"format": 1}',
        tampered(format="1"),
        tampered(space="s"),
        tampered(space=["z"]),
        tampered(space="w+"),
        tampered(model=None),
        tampered(seeds=[]),
        tampered(seeds=[-1]),
        tampered(seeds=[2**32 + 1]),
        tampered(seeds=[True]),
        tampered(latents=...),
        tampered(latents="AAAA"),
        tampered(latents={"shape": [1, 1], "float32": "not base64"}),
        tampered(latents={"shape": [1, 1], "float32": [1]}),
        tampered(latents=packed([1, 4], 3)),
        tampered(latents=packed([1, -4], 4)),
        tampered(latents=packed([2**40, 2**40], 4)),
        tampered(latents=packed([1, float("inf")], 4)),
        tampered(latents=packed([2**60] * 10**5, 4)),
        tampered(latents=packed([1, 0], 0)),
        tampered(latents=packed([2, 2], 4)),
        tampered(latents=packed([1, 4], 4, float("nan"))),
        tampered(classes=packed([2, 2], 4)),
        tampered(classes=packed([1, 2], 2, float("inf"))),
    ],
)
def test_what_was_tampered_with_is_one_sentence(text):
    with pytest.raises(GenartError, match=r"damaged|not finite"):
        from_text(text, "a.png")


def test_newer_texts_are_named_so():
    with pytest.raises(GenartError, match="update the pack"):
        from_text(tampered(format=99), "a.png")


def test_a_damaged_checksum_is_noticed(tmp_path):
    path = picture(tmp_path / "a.png", to_text(LATENTS["w"]))
    data = bytearray(path.read_bytes())
    data[data.index(b'"w"') + 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(GenartError, match="damaged"):
        read_png(path)


def test_networks_and_latents_are_not_taken_for_each_other(tmp_path):
    spec = StyleGAN2Spec(resolution=32, z_dim=8, w_dim=8, channel_base=64, mapping_layers=1)
    generator = StyleGAN2(spec)
    initialise(generator, 0)
    checkpoint.save_gan(tmp_path / "gan", generator, {})
    with pytest.raises(GenartError, match="holds a network, not latents"):
        load_latents(tmp_path / "gan")
    save_latents(tmp_path / "latents", LATENTS["z"], {})
    with pytest.raises(GenartError, match="holds latents, not a network"):
        checkpoint.load_gan(tmp_path / "latents")


def test_damaged_files_are_one_sentence(tmp_path):
    header = {"kind": "gan_latents", "space": "z", "model": "", "seeds": [0, 1]}
    path = tmp_path / "a.safetensors"
    for tensors, seeds in (
        ({}, [0, 1]),
        ({"latents": torch.zeros(2, 4)}, [0]),
        ({"latents": torch.zeros(2, 3, 4)}, [0, 1]),
        ({"latents": torch.zeros(0, 4)}, []),
        ({"latents": torch.zeros(2, 4, dtype=torch.int32)}, [0, 1]),
        ({"latents": torch.zeros(2, 4).to(torch.float8_e4m3fn)}, [0, 1]),
        ({"latents": torch.full((2, 4), 1e300, dtype=torch.float64)}, [0, 1]),
        ({"latents": torch.full((2, 4), float("nan"))}, [0, 1]),
        ({"latents": torch.zeros(2, 4), "classes": torch.zeros(3, 1)}, [0, 1]),
    ):
        checkpoint.write(path, tensors, {**header, "seeds": seeds})
        with pytest.raises(GenartError, match=r"damaged|not finite"):
            load_latents(path)
    save_file({"latents": torch.zeros(2, 4)}, path)
    with pytest.raises(GenartError, match="not of this pack"):
        load_latents(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(GenartError, match="not a whole safetensors"):
        load_latents(path)
    with pytest.raises(GenartError, match="no file"):
        load_latents(tmp_path / "none")
