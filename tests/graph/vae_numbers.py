"""Exact pictures and latents into a graph and out of it, and VAEs to send them through."""

import itertools
from typing import Any

import torch
from prompts import Graph
from safetensors.torch import load_file, save_file

_NUMBERS = itertools.count()


def numbers(server: Any, graph: Graph, **tensors: torch.Tensor) -> list[Any]:
    """Tensors as the outputs of a node: image, mask, samples."""
    name = f"vae_numbers_{next(_NUMBERS)}.safetensors"
    save_file(tensors, server.base / "input" / name)
    return graph.node("GenartTestReadNumbers", name=name)


def image(server: Any, graph: Graph, pictures: torch.Tensor) -> list[Any]:
    """Pictures `[n, h, w, c]` as an IMAGE."""
    return numbers(server, graph, image=pictures)


def latent(server: Any, graph: Graph, samples: torch.Tensor) -> list[Any]:
    """Latents as a LATENT."""
    return [numbers(server, graph, samples=samples)[0], 2]


def results(server: Any, graph: Graph, **links: list[Any]) -> dict[str, torch.Tensor]:
    """What comes out of links of a graph: images as they are, latents as their samples.

    Names of latents begin with `latent`; other links are images.
    """
    files = {}
    for name, link in links.items():
        kind = "latent" if name.startswith("latent") else "image"
        files[name] = f"vae_numbers_{next(_NUMBERS)}.safetensors"
        graph.node("GenartTestWriteNumbers", name=files[name], **{kind: link})
    graph.run(server)
    found = {name: load_file(server.base / "output" / file) for name, file in files.items()}
    return {
        name: kept["samples" if name.startswith("latent") else "image"]
        for name, kept in found.items()
    }


def text(server: Any, graph: Graph, link: list[Any]) -> str:
    """A text or number that comes out of a link, as the page shows it."""
    shown = graph.node("PreviewAny", source=link)
    return graph.run(server)[shown[0]]["text"][0]


def random_vae(graph: Graph, layout: str = "tiny", exact: bool = False) -> list[Any]:
    """A VAE of random weights in a layout of ComfyUI's."""
    return graph.node("GenartTestRandomVAE", layout=layout, exact=exact)
