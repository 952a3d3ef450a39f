"""What tests of whole trainings share."""

from collections.abc import Callable
from pathlib import Path

import pytest
import runs

from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.picture_sets import PictureSet, open_folder
from comfy_genart_nodes.training.run_config import RunConfig
from comfy_genart_nodes.training.run_folder import RunFolder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PictureSet:
    """Sixteen coloured squares."""
    folder = tmp_path_factory.mktemp("squares") / "pictures"
    runs.save_squares(folder)
    return open_folder(folder)


@pytest.fixture
def begin(
    request: pytest.FixtureRequest, tmp_path: Path, pictures: PictureSet
) -> Callable[..., RunFolder]:
    """Begins a run on the squares, by the settings of the test's file where it has its own."""
    usual = getattr(request.module, "CONFIG", runs.CONFIG)

    def begin(name: str = "a", config: RunConfig = usual) -> RunFolder:
        return prepare(tmp_path / "genart", name, pictures, config, "cpu", threads=1)

    return begin
