"""Autoencoders of this pack in a real ComfyUI: in files that it reads by itself, and as objects."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from prompts import Graph, NodeError
from safetensors.torch import load_file, save_file
from small_vaes import KINDS, loaded, small

from comfy_genart_nodes.vae.files import load_vae, save_vae

NUMBERS = itertools.count()
TINY = [settings for family, settings in KINDS if family == "tiny"]


@pytest.fixture(scope="module")
def folder(server: Any) -> Any:
    """A folder of the server's models/vae."""
    made = server.base / "models" / "vae" / "own"
    made.mkdir(parents=True)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    """Two pictures of the beta-VAE's side."""
    return torch.rand(2, 32, 32, 3, generator=torch.Generator().manual_seed(4))


def signed(image: torch.Tensor) -> torch.Tensor:
    return image.movedim(-1, 1) * 2 - 1


def seen(pictures: torch.Tensor) -> torch.Tensor:
    return (pictures / 2 + 0.5).clamp(0, 1).movedim(1, -1)


def round_trip(
    server: Any,
    graph: Graph,
    vae: list[Any],
    image: torch.Tensor,
    nodes: str = "VAE{}",
    **more: Any,
) -> dict[str, torch.Tensor]:
    """Latents and pictures as nodes of ComfyUI make them of pictures."""
    name = f"own_{next(NUMBERS)}.safetensors"
    save_file({"image": image}, server.base / "input" / name)
    pixels = graph.node("GenartTestReadNumbers", name=name)
    latent = graph.node(nodes.format("Encode"), vae=vae, pixels=pixels, **more)
    back = graph.node(nodes.format("Decode"), vae=vae, samples=latent, **more)
    graph.node("GenartTestWriteNumbers", name=name, image=back, latent=latent)
    graph.run(server)
    return load_file(server.base / "output" / name)


def agrees(made: dict[str, torch.Tensor], network: Any, image: torch.Tensor) -> bool:
    z = network.encode(signed(image))
    pictures = seen(network.decode(z))
    assert pictures.std() > 0.01
    return torch.allclose(made["samples"], z, atol=1e-4) and torch.allclose(
        made["image"], pictures, atol=1e-4
    )


def saved(server: Any, vae: list[Any], graph: Graph) -> Path:
    """The file that core's Save VAE writes."""
    prefix = f"vae/own_{next(NUMBERS)}"
    graph.node("VAESave", vae=vae, filename_prefix=prefix)
    graph.run(server)
    (path,) = (server.base / "output").glob(f"{prefix}*")
    return path


@torch.no_grad()
@pytest.mark.parametrize("shape", [{}, {"width": 64, "blocks": 3, "channels": 16}], ids=str)
def test_a_tiny_one_in_the_stock_layout_is_comfyuis_own(server, folder, image, shape):
    """Of any width: ComfyUI's TAESD has its 64 channels, and makes the same numbers."""
    network = small("tiny", **shape)
    name = f"tiny_{network.channels}.safetensors"
    save_vae(folder / name, loaded(network), "stock")
    graph = Graph()
    vae = graph.node("VAELoader", vae_name=f"own/{name}")
    made = round_trip(server, graph, vae, image)
    assert made["samples"].shape == (2, network.channels, 4, 4)
    assert agrees(made, network, image)
    again = load_vae(saved(server, vae, graph))
    assert agrees(made, again.network, image)


@torch.no_grad()
@pytest.mark.parametrize("around", [True, False])
def test_a_kl_vae_in_the_stock_layout_is_comfyuis_own(server, folder, image, around):
    network = small("kl", widths=(128, 256, 512), layers=2, around=around)
    save_vae(folder / f"kl_{around}.safetensors", loaded(network), "stock")
    graph = Graph()
    vae = graph.node("VAELoader", vae_name=f"own/kl_{around}.safetensors")
    made = round_trip(server, graph, vae, image)
    assert agrees(made, network, image)
    held = load_vae(saved(server, vae, graph))
    assert held.network.spec == network.spec and agrees(made, held.network, image)


@torch.no_grad()
@pytest.mark.parametrize(("family", "settings"), KINDS, ids=str)
def test_core_encodes_and_decodes_with_all_of_them(server, folder, image, family, settings):
    network = small(family, **settings)
    name = f"{family}_{next(NUMBERS)}.safetensors"
    save_vae(folder / name, loaded(network), "own")
    graph = Graph()
    vae = graph.node("GenartTestOwnVAE", name=f"own/{name}")
    made = round_trip(server, graph, vae, image)
    assert agrees(made, network, image)
    again = load_vae(saved(server, vae, graph))
    assert again.network.family == family and agrees(made, again.network, image)


@torch.no_grad()
@pytest.mark.parametrize("settings", TINY, ids=str)
def test_the_seamless_nodes_know_tiny_ones(server, folder, settings):
    """Larger than a tile of ComfyUI's, which would be seen."""
    image = torch.rand(1, 640, 64, 3, generator=torch.Generator().manual_seed(6))
    network = small("tiny", **settings)
    name = f"seamless_{next(NUMBERS)}.safetensors"
    save_vae(folder / name, loaded(network), "own")
    graph = Graph()
    vae = graph.node("GenartTestOwnVAE", name=f"own/{name}")
    made = round_trip(server, graph, vae, image, "Genart{}Seamless", memory=1)
    assert agrees(made, network, image)


@torch.no_grad()
def test_a_stock_file_of_codes_decodes_what_this_pack_encodes(server, folder, image):
    """ComfyUI without this pack knows no codes, but makes the same pictures of those it gets."""
    network = small("tiny", bottleneck="fsq", levels=(5, 4))
    save_vae(folder / "codes.safetensors", loaded(network), "stock")
    graph = Graph()
    own = graph.node("GenartTestOwnVAE", name="own/codes.safetensors")
    stock = graph.node("VAELoader", vae_name="own/codes.safetensors")
    name = f"own_{next(NUMBERS)}.safetensors"
    save_file({"image": image}, server.base / "input" / name)
    pixels = graph.node("GenartTestReadNumbers", name=name)
    latent = graph.node("VAEEncode", vae=own, pixels=pixels)
    back = graph.node("VAEDecode", vae=stock, samples=latent)
    graph.node("GenartTestWriteNumbers", name=name, image=back, latent=latent)
    graph.run(server)
    assert agrees(load_file(server.base / "output" / name), network, image)


def test_what_is_wrong_is_said_in_a_sentence(server, folder, image):
    save_vae(folder / "vector.safetensors", loaded(small("vector")), "own")
    graph = Graph()
    vae = graph.node("GenartTestOwnVAE", name="own/vector.safetensors")
    large = torch.zeros(1, 64, 64, 3)
    with pytest.raises(NodeError, match=r"takes pictures of 32x32 pixels, not 64x64: .*\.$"):
        round_trip(server, graph, vae, large)
