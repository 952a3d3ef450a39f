"""The laws of the house: which way the arrows run, what is light, and how long a file may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = ("latent", "sound", "gan", "vae", "training", "evaluation")
KNOWN = {
    "latent": (),
    "sound": (),
    "gan": ("latent",),
    "evaluation": (),
    "vae": ("gan", "latent"),
}
"""Which of the engine's rooms each may know."""
SERVER = ("comfy", "comfy_execution", "folder_paths", "server", "nodes", "execution")
NEVER_ON_START = ("torch", "PIL", "numpy", "comfy", "comfy_api", "folder_paths")
LINES = 420


def imports(path: Path, root: Path) -> Iterator[str]:
    """Full names of all that a file imports, inside functions and `if TYPE_CHECKING` too."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.fixture(scope="module")
def rooms(repository: Path) -> dict[str, set[str]]:
    """What each room of the pack imports; a file that stands in no room is its own."""
    pack, found = repository / "comfy_genart_nodes", {}
    for path in sorted(pack.rglob("*.py")):
        room = path.relative_to(pack).parts[0].removesuffix(".py")
        found.setdefault(room, set()).update(imports(path, repository))
    assert {*ENGINE, "host", "nodes", "headless"} <= set(found)
    return found


def ours(*rooms: str) -> tuple[str, ...]:
    return tuple(f"comfy_genart_nodes.{room}" for room in rooms)


def breaches(names: set[str], *forbidden: str) -> list[str]:
    return sorted(name for name in names if within(name, *forbidden))


def test_only_the_host_knows_the_server_and_only_the_nodes_its_api_too(rooms):
    assert within("comfy.utils", *SERVER) and breaches(rooms["host"], *SERVER)
    for room, names in rooms.items():
        if room != "host":
            assert breaches(names, *SERVER) == [], room
        if room not in ("host", "nodes"):
            assert breaches(names, "comfy_api") == [], room


def test_arrows_run_one_way(rooms):
    for room in ENGINE:
        assert breaches(rooms[room], *ours("host", "nodes", "headless")) == [], room
    for room, known in KNOWN.items():
        others = [other for other in ENGINE if other != room and other not in known]
        assert breaches(rooms[room], *ours(*others)) == [], room
    assert breaches(rooms["host"], *ours("nodes", "headless", "training", "evaluation")) == []
    assert breaches(rooms["headless"], *ours("host", "nodes")) == []


def python(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_package_and_its_command_are_light(repository):
    loaded = python(
        "import sys, comfy_genart_nodes, comfy_genart_nodes.headless.cli; print(*sys.modules)",
        repository,
    ).split()
    assert "comfy_genart_nodes.headless.cli" in loaded
    assert [name for name in NEVER_ON_START if name in loaded] == []


def test_the_door_stays_shut_without_comfyui(repository):
    door = python(
        "import importlib.util as u; s = u.spec_from_file_location('door', '__init__.py'); "
        "m = u.module_from_spec(s); s.loader.exec_module(m); print(*vars(m))",
        repository,
    ).split()
    assert "find_spec" in door and "comfy_entrypoint" not in door


def test_requirements_are_the_dependencies_and_never_torch(repository):
    tomllib = pytest.importorskip("tomllib")  # of Python 3.11
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    dependencies = project["project"]["dependencies"]
    lines = (repository / "requirements.txt").read_text(encoding="utf-8").splitlines()
    stripped = (line.split("#")[0].strip() for line in lines)
    assert sorted(filter(None, stripped)) == sorted(dependencies)
    assert [name for name in dependencies if name.startswith("torch")] == []


@pytest.fixture(scope="module")
def texts(repository: Path) -> dict[str, str]:
    """Every Python file of the project, by its path."""
    files = [repository / "__init__.py"]
    for folder in ("comfy_genart_nodes", "tests", "benchmarks"):
        files += (repository / folder).rglob("*.py")
    assert len(files) > 50
    return {path.relative_to(repository).as_posix(): path.read_text("utf-8") for path in files}


def test_every_file_says_what_it_is(texts):
    assert [name for name, text in texts.items() if not ast.get_docstring(ast.parse(text))] == []


def test_every_file_can_be_read_in_one_sitting(texts):
    lines = {name: len(text.splitlines()) for name, text in texts.items()}
    assert {n: k for n, k in lines.items() if k >= LINES} == {}
