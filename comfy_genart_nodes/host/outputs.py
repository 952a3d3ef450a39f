"""New files in ComfyUI's output folder: their names, what is written into them, how they show."""

import json
from dataclasses import dataclass
from pathlib import Path

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import io, ui
from comfy_execution.graph_utils import ExecutionBlocker
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ..errors import GenartError
from ..files import written
from .folders import inside, output_folder


@dataclass(frozen=True)
class Series:
    """Files of one prefix, numbered on from those there are, as ComfyUI's Save Image names them.

    Attributes:
        folder: where they lie.
        stem: their name up to the number; `%batch_num%` in it stands for the place in a batch.
        first: the next number.
    """

    folder: Path
    stem: str
    first: int

    def path(self, suffix: str, place: int = 0) -> Path:
        """The file for one place of a batch."""
        stem = self.stem.replace("%batch_num%", str(place))
        return self.folder / f"{stem}_{self.first + place:05}_{suffix}"


def series(prefix: str, width: int, height: int) -> Series:
    """Where files of a prefix go, which may name folders inside the output folder, and `%width%`.

    Raises:
        GenartError: when the prefix leaves the output folder.
    """
    root = output_folder()
    path = inside(root, prefix)
    if path is None or path == root:
        raise GenartError(
            f"{prefix!r} is no name in ComfyUI's output folder: use a name, or folders inside it "
            "and a name."
        )
    place, stem, first, _, _ = folder_paths.get_save_image_path(prefix, str(root), width, height)
    return Series(Path(place), stem, first)


def workflow_texts(hidden: io.HiddenHolder) -> dict[str, str]:
    """What ComfyUI writes into files, so that its page opens the workflow from them.

    Nothing where ComfyUI was told to write none.

    Args:
        hidden: of a node that asked for `io.Hidden.prompt` and `io.Hidden.extra_pnginfo`.
    """
    if args.disable_metadata:
        return {}
    texts = {} if hidden.prompt is None else {"prompt": hidden.prompt}
    return {name: json.dumps(text) for name, text in (texts | (hidden.extra_pnginfo or {})).items()}


def save_png(path: Path, image: Tensor, texts: dict[str, str]) -> None:
    """Write one picture `[h, w, c]` in 0..1 and its texts, rounded as Save Image rounds it.

    Raises:
        GenartError: when the folder cannot be written or the disk is full.
    """
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    levels = (image.cpu() * 255).clamp(0, 255).byte().numpy()
    with written(path) as temporary:
        Image.fromarray(levels).save(temporary, "PNG", pnginfo=info, compress_level=4)


def shown(path: Path) -> ui.SavedResult:
    """A file under ComfyUI's output folder, as nodes report it to the page and to scripts."""
    place = path.relative_to(output_folder())
    subfolder = "" if place.parent == Path() else place.parent.as_posix()
    return ui.SavedResult(place.name, subfolder, io.FolderType.output)


def nothing() -> ExecutionBlocker:
    """An output that is not there yet: nodes behind it are passed over, without an error."""
    return ExecutionBlocker(None)
