"""Autoencoders of diffusers, tiny and with random weights, saved as diffusers saves them."""

from pathlib import Path
from typing import Any

import pytest
import torch

_DOWN, _UP = ["DownEncoderBlock2D"] * 2, ["UpDecoderBlock2D"] * 2
_BLOCKS = {"down_block_types": _DOWN, "up_block_types": _UP, "norm_num_groups": 4}
_KL = {**_BLOCKS, "block_out_channels": [8, 16]}
_DC = {
    f"{part}_{key}": value
    for part in ("encoder", "decoder")
    for key, value in {
        "block_types": ["ResBlock", "EfficientViTBlock"],
        "block_out_channels": [8, 16],
        "layers_per_block": [1, 1],
        "qkv_multiscales": [[], [5]],
    }.items()
}
_FILM = {"base_dim": 8, "z_dim": 4, "num_res_blocks": 1}
_FILM |= {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}

SETTINGS: dict[str, dict[str, Any]] = {
    "AutoencoderKL": {**_KL, "latent_channels": 16, "force_upcast": False},
    "AutoencoderTiny": {},
    "AsymmetricAutoencoderKL": {
        **_BLOCKS,
        "down_block_out_channels": [8, 16],
        "up_block_out_channels": [16, 24],
    },
    "VQModel": {**_KL, "num_vq_embeddings": 32},
    "AutoencoderDC": {**_DC, "latent_channels": 8, "attention_head_dim": 8},
    "ConsistencyDecoderVAE": {
        "encoder_block_out_channels": [8, 16, 16, 16],
        "encoder_layers_per_block": 1,
        "encoder_norm_num_groups": 4,
        "decoder_block_out_channels": [8, 8, 16, 16],
        "decoder_layers_per_block": 1,
        "decoder_norm_num_groups": 4,
    },
    "AutoencoderKLTemporalDecoder": {
        "block_out_channels": [32, 32],
        "down_block_types": _DOWN,
        "force_upcast": False,
    },
    "AutoencoderKLFlux2": {**_KL, "latent_channels": 4, "layers_per_block": 1},
    "AutoencoderKLHunyuanImage": {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 8,
        "block_out_channels": [32, 64],
        "layers_per_block": 1,
        "spatial_compression_ratio": 2,
        "sample_size": 32,
    },
    "AutoencoderKLQwenImage": {
        **_FILM,
        "dim_mult": [1, 2, 2],
        "temperal_downsample": [False, True],
    },
    "AutoencoderKLWan": {**_FILM, "dim_mult": [1, 2, 2, 2]},
}
"""What a class is built with."""

PICTURES = [name for name in SETTINGS if name not in ("AutoencoderKLQwenImage", "AutoencoderKLWan")]


def autoencoder(class_name: str, seed: int = 0, **more: Any) -> Any:
    """A network of diffusers, in evaluation mode."""
    autoencoders = pytest.importorskip("diffusers.models.autoencoders")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = getattr(autoencoders, class_name)(**SETTINGS[class_name] | more).eval()
        if class_name == "AutoencoderTiny":  # else all its pictures are black
            with torch.no_grad():
                network.encoder.layers[-1].weight.mul_(10)
                network.decoder.layers[-1].weight.mul_(3)
                network.decoder.layers[-1].bias.add_(0.5)
        for name, buffer in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.uniform_(0.5, 2.0)
    return network


def save(folder: Path, class_name: str, seed: int = 0, **how: Any) -> Any:
    """Write a network to a folder, and return it."""
    network = autoencoder(class_name, seed)
    network.save_pretrained(folder, **how)
    return network


def encoded(network: Any, pictures: torch.Tensor) -> torch.Tensor:
    """Latents of ComfyUI's kind, worked out with diffusers alone."""
    made = network.encode(pictures)
    if hasattr(made, "latent_dist"):
        latents = made.latent_dist.mode()
    else:
        latents = made.latents if hasattr(made, "latents") else made.latent
    if type(network).__name__ == "AutoencoderKLFlux2":  # what diffusers leaves to its pipeline
        n, c, h, w = latents.shape
        patches = latents.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
        patches = patches.reshape(n, 4 * c, h // 2, w // 2)
        latents = (patches - _column(network.bn.running_mean)) / _deviation(network)
    return latents


def decoded(network: Any, latents: torch.Tensor) -> torch.Tensor:
    """Pictures of latents of ComfyUI's kind, made with diffusers alone."""
    kind = type(network).__name__
    if kind == "AutoencoderKLTemporalDecoder":
        return network.decode(latents, num_frames=len(latents)).sample
    if kind == "ConsistencyDecoderVAE":
        each = (
            network.decode(one, generator=torch.Generator().manual_seed(0)).sample
            for one in latents.split(1)
        )
        return torch.cat(list(each))
    if kind == "AutoencoderKLFlux2":
        latents = latents * _deviation(network) + _column(network.bn.running_mean)
        n, c, h, w = latents.shape
        patches = latents.reshape(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3)
        latents = patches.reshape(n, c // 4, h * 2, w * 2)
    return network.decode(latents).sample


def _column(values: torch.Tensor) -> torch.Tensor:
    return values.view(1, -1, 1, 1)


def _deviation(network: Any) -> torch.Tensor:
    return torch.sqrt(_column(network.bn.running_var) + network.config.batch_norm_eps)
