"""Where ComfyUI keeps things: model folders, the output folder, names that stay inside them."""

import filecmp
from collections.abc import Callable
from itertools import count
from pathlib import Path

import folder_paths

from ..errors import GenartError
from ..names import check_name

GANS = "genart_gan"
"""ComfyUI's key for the folders with GANs."""

_PACK = Path(__file__).resolve().parents[2]


def register() -> None:
    """Tell ComfyUI of the pack's model folders.

    GANs lie in `<models>/genart/gan`, then among the pack's own; folders that a person's
    `extra_model_paths.yaml` names for the same key stay. The pack's VAEs join ComfyUI's.
    """
    listed, _ = folder_paths.folder_names_and_paths.get(GANS, ([], set()))
    own = [str(saved_gans()), *listed, str(_PACK / "models" / "gan")]
    folder_paths.folder_names_and_paths[GANS] = (list(dict.fromkeys(own)), {".safetensors"})
    folder_paths.add_model_folder_path("vae", str(_PACK / "models" / "vae"))


def saved_gans() -> Path:
    """The folder that Save GAN writes into."""
    return Path(folder_paths.models_dir) / "genart" / "gan"


def gan_names() -> list[str]:
    """The GANs a person can choose from, as paths relative to their folders."""
    return folder_paths.get_filename_list(GANS)


def find_gan(name: str) -> Path:
    """The file of a GAN.

    Raises:
        GenartError: when there is none of that name.
    """
    path = folder_paths.get_full_path(GANS, name)
    if path is None:
        raise GenartError(
            f"There is no GAN {name!r}: put its .safetensors file into {saved_gans()} and choose "
            "it in the list (R refreshes it)."
        )
    return Path(path)


def keep_gan(name: str, write: Callable[[Path], None]) -> Path:
    """Let `write` make a new file for a GAN, where Load GAN finds it.

    A name that is taken gets a number, since the file may be open elsewhere. When the taken file
    holds the same bytes, it stays the only one.

    Args:
        name: the file's name without its suffix.
        write: writes the file at the path it is given.

    Returns:
        The file.

    Raises:
        GenartError: when the name is no plain file name.
    """
    plain = check_name(name.removesuffix(".safetensors"), "GAN")
    folder = saved_gans()
    folder.mkdir(parents=True, exist_ok=True)
    taken: list[Path] = []
    for number in count(1):
        path = folder / f"{plain}{'' if number == 1 else f'_{number}'}.safetensors"
        if not path.exists():
            break
        taken.append(path)
    write(path)
    twin = next((t for t in taken if filecmp.cmp(t, path, shallow=False)), None)
    if twin is not None:
        path.unlink()
    return twin or path


def input_folder() -> Path:
    """ComfyUI's input folder."""
    return Path(folder_paths.get_input_directory())


def output_folder() -> Path:
    """ComfyUI's output folder."""
    return Path(folder_paths.get_output_directory())
