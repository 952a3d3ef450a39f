"""An autoencoder of diffusers from its folder or file.

Only what lies there is read: nothing is fetched, and no code of a file is run.
"""

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import GenartError, shown
from ..latent.families import SCALES
from .adapter import Layout, PictureVAE, measured
from .config import TINY, Config, find_config, read_config
from .latent_spaces import ITSELF, LatentSpace, Patches, Scaled
from .weights import fill, fitted, read_weights, weight_files


def vae_files(path: Path) -> list[Path]:
    """The config and the weights of an autoencoder.

    Raises:
        GenartError: when one is missing.
    """
    config = find_config(path)
    return [config, *weight_files(path if path.is_file() else config.parent)]


def open_vae(path: Path, latents_of: str = ITSELF) -> PictureVAE:
    """Read an autoencoder.

    Args:
        path: a folder that `save_pretrained` of diffusers wrote, or one that has it as `vae`; or a
            file of weights beside its config.
        latents_of: whose latents an `AutoencoderTiny` makes, one of `SCALES`; `ITSELF` leaves
            them as they are.

    Returns:
        The autoencoder in evaluation mode, on the CPU, in float32 and without gradients.

    Raises:
        GenartError: when something is missing or damaged, or diffusers is not installed.
    """
    config_file, *files = vae_files(path)
    config = read_config(config_file)
    if latents_of != ITSELF and config.class_name != TINY:
        raise GenartError(
            f"{path.name} is a {config.class_name}, whose latents need no scale: set latents_of to "
            f"{ITSELF!r}."
        )
    made = diffusers_class(config.class_name)
    with torch.device("meta"):
        twin = _built(made, config)
    layout = _layout(twin, _space(twin, latents_of), config)
    state = fitted(read_weights(files), twin, config.class_name, path.name)
    network = _built(made, config)
    fill(network, state, path.name)
    network.eval().requires_grad_(False)
    return PictureVAE(network, layout, _space(network, latents_of), wide=config.wide)


def diffusers_class(name: str) -> Any:
    """A class of diffusers.

    Raises:
        GenartError: when diffusers is not installed, does not work here, or has no such class.
    """
    install = f'"{sys.executable}" -m pip install "diffusers>=0.36,<1"'
    try:
        found = importlib.import_module("diffusers.models.autoencoders")
    except ModuleNotFoundError as error:
        if error.name != "diffusers":
            raise GenartError(
                f"diffusers is installed, but lacks {error.name}: install it anew with {install}."
            ) from error
        raise GenartError(
            f"VAEs of diffusers need the package diffusers: install it with {install} and start "
            "ComfyUI again."
        ) from error
    except (ImportError, RuntimeError) as error:  # the second is how it reports the first
        raise GenartError(
            f"diffusers is installed, but does not work here ({shown(str(error), 80)}): install "
            f"one that does with {install}."
        ) from error
    if not hasattr(found, name):
        raise GenartError(
            f"The diffusers that is installed does not know {name} yet: install a newer one with "
            f"{install}."
        )
    return getattr(found, name)


def _built(made: Any, config: Config) -> nn.Module:
    """A network as its config describes it, with the weights of chance."""
    known = inspect.signature(made).parameters
    try:
        network: nn.Module = made(**{k: v for k, v in config.settings.items() if k in known})
    except Exception as error:  # its parts raise whatever comes of settings that nobody checked
        raise _unfit(config, error) from error
    return network


def _layout(twin: Any, space: LatentSpace, config: Config) -> Layout:
    try:
        return measured(twin, space)
    except Exception as error:  # as above
        raise _unfit(config, error) from error


def _unfit(config: Config, error: Exception) -> GenartError:
    return GenartError(
        f"{config.path.name} describes no {config.class_name} that works on pictures of three "
        f"channels ({shown(str(error).strip(), 80)}): copy it again."
    )


def _space(network: Any, latents_of: str) -> LatentSpace:
    if hasattr(network, "bn"):
        return Patches(network.bn)
    return Scaled(*SCALES.get(latents_of, (1.0, 0.0)))
