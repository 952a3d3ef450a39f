"""Hostile and damaged files: nothing in them runs, and each ends in one sentence."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from damaged_files import damaged, genuine
from hostile import hostile
from pickle_parts import call, name, text

REAL = ("r3gan_64_cond", "sg3r_64", "sg2_64_resnet")
MEGABYTE = 2**20


@dataclass
class Corpus:
    """What became of every file, by its title."""

    hostile: dict[str, dict[str, str]]
    damaged: dict[str, dict[str, str]]
    canary: Path
    control: Path
    report: dict[str, Any]

    @property
    def all(self) -> dict[str, dict[str, str]]:
        return self.hostile | self.damaged


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Corpus:
    """All files, opened one after the other in one guarded process."""
    folder, aside = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("aside")
    canary, control = aside / "canary", aside / "control"
    networks = [repository / "tests/fixtures/networks" / f"{each}.pkl" for each in REAL]
    bad = hostile(canary)
    poison = call(name("os", "system"), text(f"echo > {canary}"))
    bad["a real network with poison beside it"] = (
        networks[0].read_bytes()[:-1] + text("more") + poison + b"s."
    )
    broken = dict(damaged(genuine(), 40, seed=1))
    broken |= damaged({path.stem: path.read_bytes() for path in networks}, 8, seed=2)
    titles = {}
    for number, (title, data) in enumerate({**bad, **broken}.items()):
        path = folder / f"{number:04}{'.safetensors' if 'safetensors' in title else '.pkl'}"
        path.write_bytes(data)
        titles[path.name] = title
    (aside / "control.pkl").write_bytes(hostile(control)["running: os.system"])
    done = subprocess.run(
        [
            sys.executable,
            repository / "tests/guarded_opening.py",
            folder,
            aside / "control.pkl",
            *networks,
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    outcomes = {titles[name]: found for name, found in report["outcomes"].items()}
    return Corpus(
        {title: outcomes[title] for title in bad},
        {title: outcomes[title] for title in broken},
        canary,
        control,
        report,
    )


def test_the_corpus_is_large(corpus):
    assert len(corpus.hostile) >= 200 and len(corpus.damaged) >= 200
    opened = [title for title, found in corpus.damaged.items() if "opened" in found]
    assert opened  # damage to a weight is none to the file


def test_the_guard_is_awake(corpus):
    assert any(": os.system " in event for event in corpus.report["control"])
    assert corpus.control.exists()


def test_nothing_is_run_imported_or_written(corpus):
    assert corpus.report["events"] == []
    assert not corpus.canary.exists()


def test_nothing_hostile_opens(corpus):
    assert [title for title, found in corpus.hostile.items() if "opened" in found] == []


def test_every_refusal_is_one_sentence(corpus):
    raised = {title: found for title, found in corpus.all.items() if "raised" in found}
    assert raised == {}
    sentences = {t: found["refused"] for t, found in corpus.all.items() if "refused" in found}
    one = re.compile(r"(?![^.!?]*$)[^\n\r\x00-\x1f]{20,400}(?<=\.)")
    assert {t: s for t, s in sentences.items() if not one.fullmatch(s)} == {}
    assert {t: s for t, s in sentences.items() if re.search(r"[.!?]\s+[A-Z]", s)} == {}


@pytest.mark.parametrize(
    "what", ["os.system", "builtins.eval", "builtins.getattr", "subprocess.Popen"]
)
def test_the_sentence_names_what_a_file_asks_for(corpus, what):
    assert any(what in found.get("refused", "") for found in corpus.hostile.values())


def test_memory_stays_small(corpus):
    assert corpus.report["memory"] < 200 * MEGABYTE
