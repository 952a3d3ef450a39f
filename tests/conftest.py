import comfy_genart_nodes  # noqa: F401, I001 - first, so that the inner package wins over the root door

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def repository() -> Path:
    """The clone's root folder."""
    return Path(__file__).resolve().parents[1]
