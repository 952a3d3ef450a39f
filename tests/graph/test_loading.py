"""What the pack adds to the start of an untouched ComfyUI, from a path with blanks and umlauts.

That it loads through a link, the session's server shows.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from comfy_genart_nodes.headless.comfyui import command, free_port
from comfy_genart_nodes.headless.provision import ComfyUI, provision

IMPORT = re.compile(r"import time: +\d+ \| +\d+ \| +(.+)")  # as `-X importtime` reports each
NO_PART = shutil.ignore_patterns(".*", "__pycache__", "build", "out", "*.egg-info")


@dataclass
class Start:
    """A ComfyUI that loaded its nodes and ended: the modules it imported, the lines it said."""

    modules: set[str]
    lines: list[str]


def start(base: Path) -> Start:
    comfyui = ComfyUI(provision(), (sys.executable, "-X", "importtime"), base)
    done = subprocess.run(
        [*command(comfyui, free_port()), "--quick-test-for-ci"],
        cwd=comfyui.folder,
        env={**os.environ, "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    found = {line: IMPORT.fullmatch(line) for line in lines}
    modules = {match[1] for match in found.values() if match}
    assert "torch" in modules
    return Start(modules, [line for line in lines if line and not found[line]])


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    """Where the clone will lie."""
    return tmp_path_factory.mktemp("Basis für Bilder") / "custom_nodes" / "Größen und Räume"


@pytest.fixture(scope="module")
def starts(pack, repository) -> tuple[Start, Start]:
    """The same ComfyUI without the pack and with it."""
    pack.parent.mkdir()
    bare = start(pack.parents[1])
    shutil.copytree(repository, pack, ignore=NO_PART)
    return bare, start(pack.parents[1])


def test_it_loads_without_a_word(starts, pack):
    bare, loaded = starts
    said = [line for line in loaded.lines if line not in bare.lines]
    assert len(said) == 2, said
    assert said[0].startswith("Import times for custom nodes")
    assert re.fullmatch(rf" *[\d.]+ seconds: {re.escape(str(pack))}", said[1])


def test_it_imports_only_itself_and_the_standard_library(starts, pack):
    """Above all nothing heavy, and no other copy of the pack that the Python happens to have."""
    bare, loaded = starts
    added = loaded.modules - bare.modules
    ours = {name for name in added if pack.name in name}
    assert any(name.endswith(".nodes") for name in ours)
    assert {name.split(".")[0] for name in added - ours} <= sys.stdlib_module_names
