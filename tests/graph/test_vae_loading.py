"""Load VAE (Diffusers) in a real ComfyUI: core's nodes with it, and how it refuses."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from prompts import Graph, NodeError, forget
from safetensors.torch import load_file, save_file
from small_gans import refusal
from tiny_vaes import PICTURES, autoencoder, decoded, encoded, save

NUMBERS = itertools.count()
FILMS = ["AutoencoderKLQwenImage", "AutoencoderKLWan"]


@pytest.fixture(scope="module")
def vaes(server: Any) -> Any:
    """Networks of diffusers, which lie in the server's models/vae under the name of their class."""
    folder = server.base / "models" / "vae" / "test"
    made = {name: save(folder / name, name) for name in [*PICTURES, *FILMS]}
    yield made
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    """Two pictures whose sides no factor divides."""
    return torch.rand(2, 51, 37, 3, generator=torch.Generator().manual_seed(4))


def loaded(graph: Graph, class_name: str, **more: Any) -> list[Any]:
    return graph.node("GenartLoadDiffusersVAE", vae_name=f"vae/test/{class_name}", **more)


def numbers(server: Any, graph: Graph, **tensors: torch.Tensor) -> list[Any]:
    """Tensors as the outputs of a node: image, mask, latent."""
    name = f"numbers_{next(NUMBERS)}.safetensors"
    save_file(tensors, server.base / "input" / name)
    return graph.node("GenartTestReadNumbers", name=name)


def result(server: Any, graph: Graph, **wired: Any) -> dict[str, torch.Tensor]:
    """What comes out of links of a graph."""
    name = f"numbers_{next(NUMBERS)}.safetensors"
    graph.node("GenartTestWriteNumbers", name=name, **wired)
    graph.run(server)
    return load_file(server.base / "output" / name)


def cropped(image: torch.Tensor, factor: int) -> torch.Tensor:
    """Pictures as a network takes them, of the middle that core takes."""
    h, w = (side // factor * factor for side in image.shape[1:3])
    top, left = (side % factor // 2 for side in image.shape[1:3])
    return image[:, top : top + h, left : left + w].movedim(-1, 1) * 2 - 1


def seen(pictures: torch.Tensor) -> torch.Tensor:
    """A network's pictures as an IMAGE."""
    return (pictures / 2 + 0.5).clamp(0, 1).movedim(1, -1)


@torch.no_grad()
@pytest.mark.parametrize("class_name", PICTURES)
def test_core_encodes_and_decodes_as_diffusers_does(server, vaes, image, class_name):
    network, graph = vaes[class_name], Graph()
    vae = loaded(graph, class_name)
    latent = graph.node("VAEEncode", vae=vae, pixels=numbers(server, graph, image=image))
    back = graph.node("VAEDecode", vae=vae, samples=latent)
    made = result(server, graph, image=back, latent=latent)
    factor = made["image"].shape[1] // made["samples"].shape[2]
    assert made["image"].shape[1] == 51 // factor * factor
    expected = encoded(network, cropped(image, factor))
    assert torch.allclose(made["samples"], expected, atol=1e-4)
    again = seen(decoded(network, expected))
    assert torch.allclose(made["image"], again, atol=1e-4) and again.std() > 0.005


@torch.no_grad()
@pytest.mark.parametrize("class_name", FILMS)
def test_core_encodes_and_decodes_films(server, vaes, class_name):
    """Qwen-Image makes pictures, each of its own; to Wan a batch is a film."""
    image = torch.rand(5, 32, 32, 3, generator=torch.Generator().manual_seed(5))
    network, graph = vaes[class_name], Graph()
    vae = loaded(graph, class_name)
    latent = graph.node("VAEEncode", vae=vae, pixels=numbers(server, graph, image=image))
    back = graph.node("VAEDecode", vae=vae, samples=latent)
    made = result(server, graph, image=back, latent=latent)
    x = cropped(image, 1)
    x = x.unsqueeze(2) if class_name == FILMS[0] else x.movedim(0, 1)[None]
    expected = encoded(network, x)
    assert torch.allclose(made["samples"], expected, atol=1e-4)
    frames = decoded(network, expected).movedim(2, 1).flatten(0, 1)
    assert torch.allclose(made["image"], seen(frames), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("class_name", [*PICTURES, *FILMS])
def test_the_tiled_nodes_take_it(server, vaes, class_name):
    """Where one tile holds the whole, tiled is whole, for core blends equal tiles."""
    image = torch.rand(1, 32, 64, 3, generator=torch.Generator().manual_seed(6))
    network, graph = vaes[class_name], Graph()
    vae, pixels = loaded(graph, class_name), numbers(server, graph, image=image)
    tiles = {"tile_size": 512, "overlap": 64, "temporal_size": 64, "temporal_overlap": 8}
    latent = graph.node("VAEEncodeTiled", vae=vae, pixels=pixels, **tiles)
    back = graph.node("VAEDecodeTiled", vae=vae, samples=latent, **tiles)
    made = result(server, graph, image=back, latent=latent)
    x = cropped(image, 1)
    expected = encoded(network, x.unsqueeze(2) if class_name in FILMS else x)
    assert torch.allclose(made["samples"], expected, atol=1e-4)
    pictures = decoded(network, expected)
    frames = pictures[:, :, 0] if class_name in FILMS else pictures
    assert torch.allclose(made["image"], seen(frames), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("class_name", ["AutoencoderKL", "AutoencoderTiny", "AutoencoderDC"])
def test_small_tiles_cover_the_whole(server, vaes, class_name):
    image = torch.rand(1, 128, 96, 3, generator=torch.Generator().manual_seed(6))
    graph = Graph()
    vae, pixels = loaded(graph, class_name), numbers(server, graph, image=image)
    tiles = {"tile_size": 64, "overlap": 16, "temporal_size": 64, "temporal_overlap": 8}
    latent = graph.node("VAEEncodeTiled", vae=vae, pixels=pixels, **tiles)
    back = graph.node("VAEDecodeTiled", vae=vae, samples=latent, **tiles)
    made = result(server, graph, image=back, latent=latent)
    expected = encoded(vaes[class_name], cropped(image, 1))
    assert made["samples"].shape == expected.shape and made["image"].shape == image.shape
    whole = seen(decoded(vaes[class_name], expected))
    for tiled, one in ((made["samples"], expected), (made["image"], whole)):
        assert (tiled - one).abs().mean() < 0.5 * one.std()


@torch.no_grad()
@pytest.mark.parametrize("class_name", ["AutoencoderKL", "AutoencoderTiny", "VQModel"])
def test_inpainting_hides_what_is_under_the_mask(server, vaes, image, class_name):
    mask = torch.zeros(2, 51, 37)
    mask[:, 20:30, 10:20] = 1
    graph = Graph()
    read = numbers(server, graph, image=image, mask=mask)
    vae = loaded(graph, class_name)
    wired = {"pixels": read, "mask": [read[0], 1], "grow_mask_by": 0}
    latent = graph.node("VAEEncodeForInpaint", vae=vae, **wired)
    made = result(server, graph, latent=latent)
    hidden = (image - 0.5) * (1 - mask[..., None]) + 0.5
    factor = 8 if class_name == "AutoencoderTiny" else 2
    expected = encoded(vaes[class_name], cropped(hidden, factor))
    assert torch.allclose(made["samples"], expected, atol=1e-4)
    assert made["noise_mask"].shape[-2:] == (51 // factor * factor, 37 // factor * factor)


@torch.no_grad()
def test_a_saved_tiny_one_loads_without_this_pack(server, vaes, image):
    graph = Graph()
    vae = loaded(graph, "AutoencoderTiny", latents_of="SDXL")
    graph.node("VAESave", vae=vae, filename_prefix="vae/test_tiny")
    graph.run(server)
    (saved,) = (server.base / "output" / "vae").glob("test_tiny*")
    shutil.move(saved, server.base / "models" / "vae" / "test" / "stock_tiny.safetensors")
    graph = Graph()
    stock = graph.node("VAELoader", vae_name="test/stock_tiny.safetensors")
    latent = graph.node("VAEEncode", vae=stock, pixels=numbers(server, graph, image=image))
    made = result(
        server, graph, image=graph.node("VAEDecode", vae=stock, samples=latent), latent=latent
    )
    own = encoded(vaes["AutoencoderTiny"], cropped(image, 8))
    assert torch.allclose(made["samples"] * 0.13025, own, atol=1e-4)
    expected = seen(decoded(vaes["AutoencoderTiny"], own))
    assert torch.allclose(made["image"], expected, atol=1e-4)


@torch.no_grad()
def test_a_saved_one_of_sds_shapes_loads_without_this_pack(server, vaes, image):
    folder = server.base / "models" / "vae" / "test" / "of_sd"
    shapes = {"block_out_channels": [128, 256, 512, 512], "norm_num_groups": 32}
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 4, "layers_per_block": 2}
    network = autoencoder(
        "AutoencoderKL", **shapes, **blocks, up_block_types=["UpDecoderBlock2D"] * 4
    )
    network.save_pretrained(folder)
    graph = Graph()
    graph.node("VAESave", vae=loaded(graph, "of_sd"), filename_prefix="vae/test_of_sd")
    graph.run(server)
    (saved,) = (server.base / "output" / "vae").glob("test_of_sd*")
    shutil.move(saved, folder.parent / "stock_kl.safetensors")
    graph = Graph()
    stock = graph.node("VAELoader", vae_name="test/stock_kl.safetensors")
    latent = graph.node("VAEEncode", vae=stock, pixels=numbers(server, graph, image=image))
    back = graph.node("VAEDecode", vae=stock, samples=latent)
    made = result(server, graph, image=back, latent=latent)
    expected = encoded(network, cropped(image, 8))
    assert torch.allclose(made["samples"], expected, atol=1e-4)
    assert torch.allclose(made["image"], seen(decoded(network, expected)), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("class_name", ["AutoencoderKL", "VQModel"])
def test_others_are_saved_under_the_names_of_diffusers(server, vaes, class_name):
    graph = Graph()
    prefix = f"vae/test_{class_name}"
    graph.node("VAESave", vae=loaded(graph, class_name), filename_prefix=prefix)
    graph.run(server)
    (saved,) = (server.base / "output").glob(f"{prefix}*")
    kept, own = load_file(saved), vaes[class_name].state_dict()
    assert set(kept) == set(own)
    assert all(torch.equal(kept[name], value) for name, value in own.items())


def test_a_ksampler_works_between_encode_and_decode(server, vaes):
    graph = Graph()
    graph.node("GenartTestWriteTinyDiffusion", seed=3)
    graph.run(server)
    image = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(7))

    def painted(denoise: float) -> dict[str, torch.Tensor]:
        graph = Graph()
        unet = {"unet_name": "tiny_sd3.safetensors", "weight_dtype": "default"}
        text = graph.node("GenartTestNoText")
        vae = loaded(graph, "AutoencoderKL")
        pixels = numbers(server, graph, image=image)
        sampled = graph.node(
            "KSampler",
            model=graph.node("UNETLoader", **unet),
            seed=1,
            steps=2,
            cfg=1.0,
            sampler_name="euler",
            scheduler="simple",
            positive=text,
            negative=text,
            latent_image=graph.node("VAEEncode", vae=vae, pixels=pixels),
            denoise=denoise,
        )
        back = graph.node("VAEDecode", vae=vae, samples=sampled)
        return result(server, graph, image=back, latent=sampled)

    kept, changed = painted(0.0), painted(0.7)
    own = encoded(vaes["AutoencoderKL"], cropped(image, 2))
    assert torch.allclose(kept["samples"], own, atol=1e-4)
    assert changed["image"].shape == image.shape
    assert (changed["image"] - kept["image"]).abs().max() > 0.01


def test_the_list_has_folders_pipelines_and_files(server, vaes):
    models = server.base / "models"
    folder = models / "vae" / "test" / "AutoencoderTiny"
    shutil.copytree(folder, models / "diffusers" / "sd" / "vae")
    shutil.copy(folder / "config.json", models / "vae" / "test" / "alone.json")
    weights = folder / "diffusion_pytorch_model.safetensors"
    shutil.copy(weights, models / "vae" / "test" / "alone.safetensors")
    shutil.copy(weights, models / "vae" / "test" / "bare.safetensors")
    try:
        node = server.get("/object_info/GenartLoadDiffusersVAE")["GenartLoadDiffusersVAE"]
        names = node["input"]["required"]["vae_name"][1]["options"]
        own = {f"vae/test/{name}" for name in vaes}
        assert own | {"diffusers/sd", "vae/test/alone.safetensors"} <= set(names)
        assert not {name for name in names if "bare" in name or "diffusion_pytorch" in name}
        for name in ("diffusers/sd", "vae/test/alone.safetensors"):
            graph = Graph()
            vae = graph.node("GenartLoadDiffusersVAE", vae_name=name)
            seen = graph.node("PreviewAny", source=[vae[0], 1])
            (text,) = graph.run(server)[seen[0]]["text"]
            assert text.startswith("AutoencoderTiny: latents of 4 channels")
    finally:
        shutil.rmtree(models / "diffusers" / "sd")


def test_a_newer_file_is_read_again(server, vaes, image):
    folder = server.base / "models" / "vae" / "test" / "changing"

    def latents(seed: int) -> torch.Tensor:
        save(folder, "AutoencoderTiny", seed)
        graph = Graph()
        vae, pixels = loaded(graph, "changing"), numbers(server, graph, image=image)
        latent = graph.node("VAEEncode", vae=vae, pixels=pixels)
        return result(server, graph, latent=latent)["samples"]

    assert not torch.equal(latents(1), latents(2))


@pytest.mark.parametrize(
    "name",
    [
        "vae/test/gone",
        "vae/../../secret",
        "/etc",
        "vae/",
        "vae",
        "",
        "unet/a",
        "vae/a\0b",
        "vae//etc",
    ],
)
def test_a_name_stays_in_its_folder(server, vaes, name):
    graph = Graph()
    vae = graph.node("GenartLoadDiffusersVAE", vae_name=name)
    assert "There is no VAE" in refusal(server, graph, vae).message


def test_what_is_wrong_is_said_in_a_sentence(server, vaes):
    folder: Path = server.base / "models" / "vae" / "test" / "broken"
    save(folder, "AutoencoderTiny")
    path = folder / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    graph = Graph()
    assert "download or save it again" in refusal(server, graph, loaded(graph, "broken")).message
    (folder / "config.json").unlink()
    graph = Graph()
    assert "has no config.json" in refusal(server, graph, loaded(graph, "broken")).message
    for class_name, choice, says in (
        ("VQModel", "SDXL", "VQModel, whose latents need no scale"),
        ("AutoencoderTiny", "SD 7", "latents_of cannot be"),
    ):
        graph = Graph()
        vae = loaded(graph, class_name, latents_of=choice)
        assert says in refusal(server, graph, vae).message


@pytest.mark.parametrize("node", ["VAEDecode", "VAEDecodeTiled"])
def test_latents_of_another_family_are_named(server, vaes, node):
    graph = Graph()
    read = numbers(server, graph, samples=torch.zeros(1, 4, 16, 16))
    tiles = {"tile_size": 64, "overlap": 32, "temporal_size": 64, "temporal_overlap": 8}
    more = tiles if node == "VAEDecodeTiled" else {}
    back = graph.node(node, vae=loaded(graph, "AutoencoderKL"), samples=[read[0], 2], **more)
    graph.node("PreviewImage", images=back)
    with pytest.raises(NodeError, match=r"have 4 channels .*SD 1.5.* takes 16 channels .*Flux"):
        graph.run(server)


def test_a_small_memory_brings_it_back(server, vaes, image):
    """Unloaded by the host, it works again as before."""
    graph = Graph()
    pixels = numbers(server, graph, image=image)
    latent = graph.node("VAEEncode", vae=loaded(graph, "AutoencoderDC"), pixels=pixels)
    first = result(server, graph, latent=latent)["samples"]
    forget(server)
    again = Graph(dict(graph.nodes))
    assert torch.equal(result(server, again, latent=latent)["samples"], first)
