"""Networks on disk: safetensors, with the spec as JSON in the one metadata key `genart`.

One key, sorted, without time or path: equal networks give equal bytes. A finished GAN and a
training checkpoint differ only in what else the file holds; the generator to use is always the
tensors named `g_ema.*`. Reading never executes anything.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import GenartError
from ..files import written
from .spec import StyleGAN2Spec
from .stylegan2 import Generator

FORMAT = 1
_KEY = "genart"
_PREFIX = "g_ema."


@dataclass(frozen=True, eq=False)
class LoadedGAN:
    """A generator and what is known of it.

    Attributes:
        generator: in evaluation mode, on the CPU, without gradients.
        spec: its shapes.
        info: name, data, licence, training; whatever its maker wrote down.
        hash: of spec and weights; the same for every file that holds them.
    """

    generator: Generator
    spec: StyleGAN2Spec
    info: dict[str, Any]
    hash: str


def write(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON header, whole or not at all.

    Raises:
        GenartError: when the folder cannot be written or the disk is full.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"format": FORMAT, **header}, sort_keys=True, ensure_ascii=True)
    with written(path) as temporary:
        try:
            save_file(plain, temporary, metadata={_KEY: text})
        except SafetensorError as error:  # what a full disk looks like from here
            raise OSError(str(error)) from error
        temporary.chmod(0o644)  # safetensors lets nobody but the owner read


def read_header(path: Path) -> dict[str, Any]:
    """The JSON header of a file that `write` made.

    Raises:
        GenartError: when the file is missing, truncated, foreign or newer than this pack.
    """
    if not path.is_file():
        raise GenartError(f"There is no file {path}: choose one that exists.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise GenartError(
            f"{path.name} is not a whole safetensors file ({error}): download or save it again."
        ) from error
    try:
        header = json.loads(metadata[_KEY])
        version = int(header["format"])
    except (KeyError, ValueError, TypeError) as error:
        raise GenartError(
            f"{path.name} is a safetensors file, but not a GAN of this pack: it has no 'genart' "
            "header. Files of other tools must be converted first."
        ) from error
    if version > FORMAT:
        raise GenartError(
            f"{path.name} was written by a newer version of this pack (format {version}, this one "
            f"reads {FORMAT}): update the pack."
        )
    return header


def read(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """Tensors whose names begin with a prefix, the prefix removed.

    Raises:
        GenartError: when the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name[len(prefix) :]: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise GenartError(
            f"{path.name} cannot be read ({error}): download or save it again."
        ) from error


def read_spec(header: dict[str, Any], name: str) -> StyleGAN2Spec:
    """The generator's spec from a header.

    Raises:
        GenartError: when the family or a setting is unknown.
    """
    family, spec = header.get("family"), header.get("spec")
    if family != "stylegan2" or not isinstance(spec, dict):
        raise GenartError(f"{name} holds a network of family {family!r}, which is not known here.")
    types = {field.name: field.type for field in dataclasses.fields(StyleGAN2Spec)}
    for key, value in spec.items():
        if key not in types or type(value) is not types[key]:
            raise GenartError(f"{name} has the unknown network setting {key}={value!r}.")
    return StyleGAN2Spec(**spec)


def fingerprint(spec: StyleGAN2Spec, tensors: dict[str, Tensor]) -> str:
    """SHA-256 over spec and weights (as float32), in the order of their names."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(spec), sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_gan(path: Path) -> LoadedGAN:
    """Read the generator of a GAN file or of a training checkpoint.

    Shapes are compared with the spec before a network of that spec takes any memory.

    Raises:
        GenartError: when the file is not a whole GAN file of this pack.
    """
    header = read_header(path)
    spec = read_spec(header, path.name)
    tensors = read(path, _PREFIX)
    with torch.device("meta"):
        generator = Generator(spec)
    wanted = {name: tuple(tensor.shape) for name, tensor in generator.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != found:
        wrong = sorted(set(wanted.items()) ^ set(found.items()))[0][0]
        raise GenartError(
            f"{path.name} does not hold what its own header says: tensor {wrong} is missing or of "
            "another shape. Save or download it again."
        )
    # Copied: what is mapped to the file would change with it, and keep it from being removed.
    copies = {name: tensor.to(torch.float32, copy=True) for name, tensor in tensors.items()}
    generator.load_state_dict(copies, assign=True)
    generator.eval().requires_grad_(False)
    return LoadedGAN(generator, spec, dict(header.get("info", {})), fingerprint(spec, tensors))


def save_gan(path: Path, generator: Generator, info: dict[str, Any]) -> None:
    """Write a generator and what is known of it.

    Raises:
        GenartError: when the folder cannot be written or the disk is full.
    """
    tensors = {_PREFIX + name: tensor for name, tensor in generator.state_dict().items()}
    spec = dataclasses.asdict(generator.spec)
    write(path, tensors, {"family": "stylegan2", "spec": spec, "info": info})
