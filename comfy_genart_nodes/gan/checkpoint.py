"""Networks on disk: safetensors, with the spec as JSON in the one metadata key `genart`.

One key, sorted, without time or path: equal networks give equal bytes. A finished GAN and a
training checkpoint differ only in what else the file holds; the generator to use is always the
tensors named `g_ema.*`. Reading never executes anything.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import GenartError, shown
from ..tensor_files import FORMAT, NewerError, read, read_header, verify, write
from .networks.families import build, read_spec
from .networks.generator import Generator, Spec

__all__ = ["FORMAT", "NewerError", "read", "read_header", "verify", "write"]

_PREFIX = "g_ema."
_RIVAL = "d."


@dataclass(frozen=True, eq=False)
class LoadedGAN:
    """A generator and what is known of it.

    Attributes:
        generator: in evaluation mode, on the CPU, without gradients.
        spec: its shapes.
        info: name, data, licence, training; whatever its maker wrote down.
        hash: of family and weights; the same for every file that holds them.
        source: the file it was read from, where training can look for its discriminator.
    """

    generator: Generator
    spec: Spec
    info: dict[str, Any]
    hash: str
    source: Path | None = None


@dataclass(frozen=True, eq=False)
class LoadedDiscriminator:
    """What learned to tell pictures from those of a generator, beside it in its file.

    Attributes:
        settings: of its spec.
        tensors: its state, float32.
    """

    settings: dict[str, Any]
    tensors: dict[str, Tensor]


def fingerprint(family: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 over family and weights (as float32), in the order of their names.

    The spec is left out: latents keep their network when a spec learns a new field.
    """
    digest = hashlib.sha256(family.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def assemble(
    family: str, spec: Spec, tensors: dict[str, Tensor], info: dict[str, Any], name: str
) -> LoadedGAN:
    """A generator from its spec and weights, whichever kind of file they came from.

    Shapes are compared with the spec before a network of that spec takes any memory.

    Args:
        family: the network's.
        spec: its shapes.
        tensors: its state, under the names of its modules. Copied: what is mapped to a file would
            change with it, and keep it from being removed.
        info: what is known of it.
        name: of the file, for the message.

    Raises:
        GenartError: when tensors are missing, too many, or of another shape.
    """
    with torch.device("meta"):
        generator = build(family, spec)
    copies = fill(generator, tensors, f"the {family}", name)
    return LoadedGAN(generator, spec, info, fingerprint(family, copies))


def fill(network: nn.Module, tensors: dict[str, Tensor], what: str, name: str) -> dict[str, Tensor]:
    """Give a network on the meta device its weights, and put it into evaluation mode.

    Args:
        network: without memory so far.
        tensors: its state; copied.
        what: it is, for the message.
        name: of the file, for the message.

    Returns:
        The copies, in float32.

    Raises:
        GenartError: when tensors are missing, too many, or of another shape.
    """
    wanted = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    if wanted != found:
        wrong = sorted(set(wanted.items()) ^ set(found.items()))[0][0]
        raise GenartError(
            f"{name} does not hold {what} that it describes: tensor {shown(wrong, 80)} is "
            "missing, unknown or of another shape; save or download it again."
        )
    copies = {key: _as_float32(key, tensor, name) for key, tensor in tensors.items()}
    network.load_state_dict(copies, assign=True)
    network.eval().requires_grad_(False)
    return copies


def _as_float32(key: str, tensor: Tensor, name: str) -> Tensor:
    """A copy of a tensor, its numbers in a row."""
    try:
        return tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    except NotImplementedError as error:  # of the kinds that only some processors compute with
        raise GenartError(
            f"{name} holds the tensor {key} in {tensor.dtype}, which cannot be read: save it in "
            "float32 or bfloat16."
        ) from error


def load_gan(path: Path) -> LoadedGAN:
    """Read the generator of a GAN file of this pack or of a training checkpoint.

    Raises:
        GenartError: when the file is not a whole GAN file of this pack.
    """
    header = read_header(path)
    if "kind" in header:
        raise GenartError(
            f"{path.name} holds latents, not a network: choose a GAN here, and load it as latents."
        )
    family = header.get("family")
    spec = read_spec(family, header.get("spec"), path.name)
    info = header.get("info", {})
    if not isinstance(info, dict) or not isinstance(info.get("warnings", []), list):
        raise GenartError(
            f"{path.name} has a damaged header: what is known of the network is no list of names "
            "and values; save or download it again."
        )
    gan = assemble(str(family), spec, read(path, _PREFIX), info, path.name)
    return dataclasses.replace(gan, source=path)


def load_discriminator(path: Path) -> LoadedDiscriminator | None:
    """Read the discriminator of a training checkpoint; None where the file has none.

    Raises:
        GenartError: when the file is not a whole GAN file of this pack.
    """
    settings = read_header(path).get("discriminator")
    tensors = read(path, _RIVAL)
    if not isinstance(settings, dict) or not tensors:
        return None
    return LoadedDiscriminator(settings, tensors)


def save_gan(
    path: Path,
    generator: Generator,
    info: dict[str, Any],
    discriminator: LoadedDiscriminator | None = None,
) -> None:
    """Write a generator and what is known of it, with its discriminator or without.

    Raises:
        GenartError: when the folder cannot be written or the disk is full.
    """
    tensors = {_PREFIX + name: tensor for name, tensor in generator.state_dict().items()}
    settings = spec_settings(generator.spec)
    header: dict[str, Any] = {"family": generator.family, "spec": settings, "info": info}
    if discriminator is not None:
        header["discriminator"] = discriminator.settings
        tensors |= {_RIVAL + name: tensor for name, tensor in discriminator.tensors.items()}
    write(path, tensors, header)


def spec_settings(spec: Spec) -> dict[str, Any]:
    """What decides a network's shapes, as a header holds it."""
    return dataclasses.asdict(spec)  # type: ignore[call-overload]  # every family's is a dataclass
