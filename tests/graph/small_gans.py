"""Small GANs with random weights, and graphs that draw with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prompts import Graph, NodeError

from comfy_genart_nodes.gan.checkpoint import save_gan
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.stylegan2 import StyleGAN2
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec


def write_gan(path: Path, seed: int, c_dim: int = 0, img_channels: int = 3) -> None:
    """A small network with random weights, and noise strong enough to see."""
    spec = StyleGAN2Spec(
        resolution=32,
        z_dim=16,
        w_dim=16,
        c_dim=c_dim,
        img_channels=img_channels,
        channel_base=256,
        channel_max=16,
        mapping_layers=2,
    )
    generator = StyleGAN2(spec)
    initialise(generator, seed)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.5)
        generator.mapping.w_avg.normal_(std=0.1, generator=torch.Generator().manual_seed(seed))
    save_gan(path, generator, {"name": path.stem, "licence": "CC0"})


def latents(graph: Graph, gan: list[Any], seed: int, count: int, **more: Any) -> list[Any]:
    values = {"seed": seed, "batch_size": count, "class_index": -1} | more
    return graph.node("GenartMakeGANLatent", gan=gan, **values)


def sampled(graph: Graph, gan: list[Any], of: list[Any], **more: Any) -> list[Any]:
    values = {"psi": 1.0, "cutoff": -1, "noise_mode": "const", "noise_seed": 0} | more
    return graph.node("GenartSampleGAN", gan=gan, latents=of, **values)


def pictures(server: Any, seed: int = 0, count: int = 4, **more: Any) -> np.ndarray:
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    made = sampled(graph, gan, latents(graph, gan, seed, count), **more)
    return graph.pictures(server, made)


def refusal(server: Any, graph: Graph, last: list[Any]) -> NodeError:
    """The one sentence with which a graph fails."""
    graph.node("PreviewAny", source=last)
    with pytest.raises(NodeError) as caught:
        graph.run(server)
    message = caught.value.message
    assert "\n" not in message and "Traceback" not in message
    assert message.endswith(".")
    return caught.value
