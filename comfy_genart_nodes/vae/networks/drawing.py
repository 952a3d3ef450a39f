"""The first weights of networks without normalisation."""

import torch
from torch import Tensor, nn

_GAIN = 2**0.5


def draw_weights(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every convolution and linear layer so that features keep their size (He et al. 2015).

    Args:
        network: its biases become zero.
        generator: all that is drawn comes from it, layer by layer.
    """
    for layer in network.modules():
        if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            continue
        numbers = layer.weight[0].numel()  # that one result is made of
        if isinstance(layer, nn.ConvTranspose2d):
            numbers = layer.weight[:, 0].numel() // (layer.stride[0] * layer.stride[1])
        nn.init.normal_(layer.weight, std=_GAIN / numbers**0.5, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


@torch.no_grad()
def dampen(weight: Tensor) -> None:
    """Make results of a last layer small, so that a network begins by saying little."""
    weight.mul_(0.1)
