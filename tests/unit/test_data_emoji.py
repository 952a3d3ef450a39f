"""The emoji set: who is a person, what is held out, and a folder that is whole or absent."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.headless import cli, data

TONES = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")
JOBS = ("1f33e", "1f373", "1f393", "1f3a4", "1f680", "1f52c", "2695-fe0f", "1f3a8", "1f4bb")
PEOPLE = [
    f"{person}{tone}-200d-{job}"
    for person in ("1f468", "1f469", "1f9d1")
    for tone in ("", *(f"-{tone}" for tone in TONES))
    for job in JOBS
]
OTHERS = ["1f34c", "1f431", "2764-fe0f", "0023-fe0f-20e3", "1f468-200d-1f469-200d-1f467"]


def archive(path: Path, members: dict[str, bytes], link: str | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return path


@pytest.fixture
def emoji(tmp_path: Path, monkeypatch) -> Path:
    """An archive of the real one's shape with stand-in pictures, pinned in place of the real."""
    members = {f"package/assets/{name}.webp": name.encode() for name in PEOPLE + OTHERS}
    members |= {"package/README.md": b"x", "package/assets/../../../evil.webp": b"x"}
    members |= {"/package/assets/abs.webp": b"x", "package/assets/deep/1f466.webp": b"x"}
    path = archive(tmp_path / "emoji.tgz", members, link="package/assets/1f467.webp")
    monkeypatch.setattr(data, "SHA512", hashlib.sha512(path.read_bytes()).hexdigest())
    return path


def stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", ["1f466", "1f469-1f3fd-200d-1f680", "1f575-fe0f", "1f46e"])
def test_single_people_are_people(name: str) -> None:
    assert data.is_person(name)


@pytest.mark.parametrize(
    "name",
    [
        *OTHERS,
        "1f468-200d-2764-fe0f-200d-1f468",  # a couple
        "1f469-1f3fb-200d-1f91d-200d-1f469-1f3fc",  # holding hands
        "1f468-200d-1f9bd",  # whole figure in a wheelchair
        "1f9da-200d-2640-fe0f",  # fairy
        "1f647",  # bowing
        "1f9cf-1f3ff",  # cropped
        "1f930-1f3fd",  # from the side
        "1f3fb",  # a skin tone alone
    ],
)
def test_others_are_not(name: str) -> None:
    assert not data.is_person(name)


def test_tones_and_genders_share_a_subject_and_jobs_do_not() -> None:
    assert len({data.subject(name) for name in PEOPLE}) == len(JOBS)
    assert len({data.subject(n) for n in ("1f468", "1f469-1f3fb", "1f9d1", "1f471-1f3ff")}) == 1
    assert data.subject("1f575-fe0f-200d-2640-fe0f") == data.subject("1f575-1f3fd")
    assert data.subject("1f466") != data.subject("1f468") != data.subject("1f468-200d-1f680")


def test_the_split_parts_subjects_and_is_the_same_for_ever() -> None:
    chosen = data.held_out(PEOPLE, 20)
    assert 20 <= len(chosen) < len(PEOPLE)
    assert not {map(data.subject, chosen)} & {map(data.subject, set(PEOPLE) - chosen)}
    assert chosen == data.held_out(reversed(PEOPLE), 20)
    assert {data.subject(name) for name in chosen} == {"1f393", "1f680"}


def test_people_are_written_once_and_nothing_leaves_the_folder(emoji: Path, tmp_path) -> None:
    home = tmp_path / "home"
    train, judge, count, judged = data.fetch_emoji(home / "emoji", source=emoji)
    assert stems(train) | stems(judge) == set(PEOPLE)
    assert not stems(train) & stems(judge)
    assert (len(stems(train)), len(stems(judge))) == (count, judged)
    assert judged >= len(PEOPLE) / 10
    assert (train / "1f468-200d-1f373.webp").read_bytes() == b"1f468-200d-1f373"
    assert "MIT" in (home / "emoji/LICENSE").read_text()
    assert {p.name for p in (home / "emoji").iterdir()} == {"LICENSE", train.name, judge.name}
    assert {p.name for p in home.iterdir()} == {"emoji"}
    before = tree(home)
    data.fetch_emoji(home / "emoji", source=emoji)
    assert tree(home) == before


def test_all_and_no_held_out(emoji: Path, tmp_path: Path) -> None:
    train, judge, _, judged = data.fetch_emoji(tmp_path / "e", "all", 0, emoji)
    assert stems(train) == set(PEOPLE + OTHERS)
    assert judged == 0 and not judge.exists()


def test_an_interrupted_run_is_finished_by_the_next(emoji: Path, tmp_path, monkeypatch) -> None:
    whole = data.fetch_emoji(tmp_path / "whole", source=emoji)[0].parent
    original = Path.write_bytes
    written: list[Path] = []

    def full_disk(self: Path, content: bytes) -> int:
        written.append(self)
        if len(written) == 30:
            raise OSError(28, "No space left on device")
        return original(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(GenartError, match="No space left"):
            data.fetch_emoji(tmp_path / "cut", source=emoji)
    assert set(tree(tmp_path / "cut")) == {"LICENSE"}
    data.fetch_emoji(tmp_path / "cut", source=emoji)
    assert tree(tmp_path / "cut") == tree(whole)


def test_other_files_are_never_overwritten(emoji: Path, tmp_path: Path) -> None:
    mine = tmp_path / "e/people/mine.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(GenartError, match="other files"):
        data.fetch_emoji(tmp_path / "e", source=emoji)
    assert mine.read_bytes() == b"mine" and len(list(mine.parent.iterdir())) == 1


def test_a_wrong_or_absent_archive_is_refused(tmp_path: Path) -> None:
    wrong = archive(tmp_path / "wrong.tgz", {"package/assets/1f466.webp": b"x"})
    with pytest.raises(GenartError, match="SHA-512"):
        data.fetch_emoji(tmp_path / "e", source=wrong)
    with pytest.raises(GenartError, match="--from"):
        data.fetch_emoji(tmp_path / "e", source=tmp_path / "absent.tgz")
    assert not (tmp_path / "e").exists()


def test_no_network_is_one_sentence(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(GenartError, match="check the network"):
        data.fetch_emoji(tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_held_out_leaves_something_to_train_on(emoji: Path, tmp_path: Path) -> None:
    for number in (-1, len(PEOPLE) - 1, len(PEOPLE)):
        with pytest.raises(GenartError, match="--held-out"):
            data.fetch_emoji(tmp_path / "e", "people", number, emoji)


def test_the_command_names_the_folders_it_made(emoji: Path, tmp_path: Path, capsys) -> None:
    arguments = ["data", "emoji", str(tmp_path / "e"), "--held-out", "20", "--from", str(emoji)]
    assert cli.main(arguments) == 0
    train, judge = tmp_path / "e/people", tmp_path / "e/people-held-out"
    said = capsys.readouterr().out
    assert f"{train}: {len(stems(train))} pictures" in said
    assert f"{judge}: {len(stems(judge))} held out" in said
    assert cli.main(["data", "emoji", str(tmp_path / "e"), "--from", str(tmp_path)]) == 1
    assert "--from" in capsys.readouterr().err
