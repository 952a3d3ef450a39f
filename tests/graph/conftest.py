"""What graph tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_gans import write_gan
from training_runs import write_pictures


@pytest.fixture(scope="module")
def gans(server: Any) -> Iterator[Path]:
    """The server's folder of GANs, with a few small ones."""
    folder = server.base / "models" / "genart" / "gan"
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    write_gan(folder / "test_a.safetensors", 1)
    write_gan(folder / "test_b.safetensors", 2)
    write_gan(folder / "test_classes.safetensors", 3, c_dim=3)
    yield folder
    for path in set(folder.iterdir()) - before:
        path.unlink()


@pytest.fixture(scope="module")
def folder(server: Any) -> str:
    """Eight small pictures in the server's input folder, by their folder's name."""
    path = server.base / "input" / "test pictures"
    write_pictures(path)
    return path.name
