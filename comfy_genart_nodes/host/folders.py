"""Where ComfyUI keeps things: model folders, the output folder, names that stay inside them."""

import filecmp
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from itertools import count
from pathlib import Path

import folder_paths

from ..errors import GenartError
from ..files import unwritable
from ..names import check_name

GANS = "genart_gan"
"""ComfyUI's key for the folders with GANs."""

GAN_SUFFIXES = (".safetensors", ".pkl", ".pt", ".pth")
"""What a file with a GAN may end in; what it really is, its content says."""

LATENT_SUFFIX = ".safetensors"
"""What files of latents end in."""

_PACK = Path(__file__).resolve().parents[2]
_OUTPUT = "[output]"


def register() -> None:
    """Tell ComfyUI of the pack's model folders.

    GANs lie in `<models>/genart/gan`, then among the pack's own; folders that a person's
    `extra_model_paths.yaml` names for the same key stay. The pack's VAEs join ComfyUI's. The first
    folder is made, so that a person finds where files go.
    """
    with suppress(OSError):  # models that only an administrator may change
        saved_gans().mkdir(parents=True, exist_ok=True)
    listed, _ = folder_paths.folder_names_and_paths.get(GANS, ([], set()))
    own = [str(saved_gans()), *listed, str(_PACK / "models" / "gan")]
    folder_paths.folder_names_and_paths[GANS] = (list(dict.fromkeys(own)), set(GAN_SUFFIXES))
    folder_paths.add_model_folder_path("vae", str(_PACK / "models" / "vae"))


def saved_gans() -> Path:
    """The folder that Save GAN writes into."""
    return Path(folder_paths.models_dir) / "genart" / "gan"


def saved_latents() -> Path:
    """The folder that Save GAN Latents writes into."""
    return output_folder() / "genart" / "latents"


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
            f"There is no GAN {name!r}: put its file ({', '.join(GAN_SUFFIXES)}) into "
            f"{saved_gans()} and choose it in the list (R refreshes it)."
        )
    return Path(path)


def latents_names() -> list[str]:
    """Files of latents to choose from: those that Save GAN Latents wrote, then the input folder's.

    Saved ones are called as ComfyUI calls files of its output folder: `genart/latents/a [output]`.
    """
    own = (f"{path} {_OUTPUT}" for path in _files(saved_latents(), output_folder()))
    return [*own, *_files(input_folder(), input_folder())]


def find_latents(name: str) -> Path:
    """The file of latents that `latents_names` calls `name`.

    Raises:
        GenartError: when there is none of that name.
    """
    return _find(name, "file of latents", "make one with Save GAN Latents")


def picture_names() -> list[str]:
    """The pictures of the input folder, as Load Image lists them."""
    names = [path.name for path in input_folder().glob("*") if path.is_file()]
    return sorted(folder_paths.filter_files_content_types(names, ["image"]))


def find_picture(name: str) -> Path:
    """A picture of the input folder (or, as ComfyUI writes it, `a.png [output]`).

    Raises:
        GenartError: when there is none of that name.
    """
    return _find(name, "picture", "upload it with the button on the node")


def _files(folder: Path, root: Path) -> list[str]:
    """Files of latents in a folder, as paths relative to a root."""
    return sorted(path.relative_to(root).as_posix() for path in folder.glob(f"*{LATENT_SUFFIX}"))


def _find(name: str, what: str, hint: str) -> Path:
    """The file that ComfyUI's name means, which may not leave ComfyUI's folders."""
    plain, folder = folder_paths.annotated_filepath(name)
    path = inside(Path(folder or input_folder()), plain)
    if path is None or not path.is_file():
        raise GenartError(
            f"There is no {what} {name!r}: {hint} and choose it in the list (R refreshes it)."
        )
    return path


def inside(folder: Path, name: str) -> Path | None:
    """A path in a folder, None where the name leads out of it or no file can have it.

    Links are not followed: people link folders into ComfyUI's.
    """
    path = Path(os.path.normpath(folder / name))
    return path if path.is_relative_to(folder) and "\0" not in name else None


def content_mark(path: Path) -> str:
    """SHA-256 of a file, by which runs know whether it changed; equal on every machine."""
    state = path.stat()
    return _hashed(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _hashed(path: Path, size: int, changed: int) -> str:
    """The hash of a file as it is at this size and time."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def keep_gan(name: str, write: Callable[[Path], None]) -> Path:
    """Let `write` make a new file for a GAN, where Load GAN finds it.

    Args:
        name: the file's name without its suffix.
        write: writes the file at the path it is given.

    Returns:
        The file.

    Raises:
        GenartError: when the name is no plain file name.
    """
    return keep_new(saved_gans(), name, "GAN", write)


def keep_latents(name: str, write: Callable[[Path], None]) -> Path:
    """Let `write` make a new file for latents, where Load GAN Latents finds it.

    Args, result and errors as of `keep_gan`.
    """
    return keep_new(saved_latents(), name, "file of latents", write)


def saved_vaes() -> Path:
    """The folder that Save VAE (Layouts) writes into: one of those of Load VAE."""
    return Path(folder_paths.models_dir) / "vae"


def keep_vae(name: str, write: Callable[[Path], None]) -> Path:
    """Let `write` make a new file for a VAE, where Load VAE finds it.

    Args, result and errors as of `keep_gan`.
    """
    return keep_new(saved_vaes(), name, "VAE", write)


def keep_vae_folder(name: str, write: Callable[[Path], None]) -> Path:
    """Let `write` make a new folder for a VAE; a name that is taken gets a number.

    Args, result and errors as of `keep_gan`.
    """
    plain = check_name(name, "VAE")
    paths = (saved_vaes() / f"{plain}{'' if n == 1 else f'_{n}'}" for n in count(1))
    path = next(path for path in paths if not path.exists())
    write(path)
    return path


def keep_new(folder: Path, name: str, what: str, write: Callable[[Path], None]) -> Path:
    """Let `write` make a new safetensors file in a folder.

    A name that is taken gets a number, since the file may be open elsewhere. When the taken file
    holds the same bytes, it stays the only one.

    Args:
        folder: made where it is missing.
        name: the file's name, with or without its suffix.
        what: it holds, for the message: as "GAN".
        write: writes the file at the path it is given.

    Returns:
        The file.

    Raises:
        GenartError: when the name is no plain file name, or the folder cannot be made.
    """
    plain = check_name(name.removesuffix(".safetensors"), what)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    taken: list[Path] = []
    for number in count(1):
        path = folder / f"{plain}{'' if number == 1 else f'_{number}'}.safetensors"
        if not path.exists():
            break
        taken.append(path)
    write(path)
    filecmp.clear_cache()  # which trusts times, that some disks keep to two seconds
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
