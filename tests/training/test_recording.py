"""Steps that are played from a recording; only CUDA records, so that a player stands in for it.

What a recording needs holds on any device: it gets the same numbers as a step that is worked, and a
step orders the same work whatever the numbers are.
"""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from comfy_genart_nodes.training.recipes import settings
from comfy_genart_nodes.training.recording import Recorder
from comfy_genart_nodes.training.step import Training

SMALL = {"batch": 8, "channel_base": 64, "channel_max": 8, "z_dim": 16, "w_dim": 16}
RECIPES = {
    "stylegan2": settings("stylegan2", **SMALL, resolution=32, mirror=True),
    "stylegan2-ada": settings("stylegan2-ada", **SMALL, resolution=32, classes=True),
    "tiny": settings("tiny", **SMALL, resolution=64),
    "r3gan": settings("r3gan", **SMALL, resolution=32),
    "classic": settings("classic", **SMALL, resolution=64),
}
STEPS = (0, 16, 32, 4, 8, 12, 1, 2, 3)  # thrice with R1, with path lengths, with neither


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 3, 64, 64), dtype=np.uint8)


def begin(recipe: str, pictures: np.ndarray) -> Training:
    labels = np.arange(len(pictures)) % 3 if RECIPES[recipe].classes else None
    side, device = RECIPES[recipe].resolution, torch.device("cpu")
    pictures = pictures[:, :, :side, :side]
    return Training(RECIPES[recipe], pictures, device, "fp32", labels=labels)


class Played:
    """Works where CUDA would play: from the memory that the recorder has filled."""

    def __init__(self) -> None:
        self.recorded = self.played = 0

    def __call__(self, work: Any, memory: Any) -> tuple[Any, Any]:
        self.recorded += 1

        def play() -> Any:
            self.played += 1
            return work()

        return play, memory


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_played_step_gets_what_a_worked_one_gets(recipe, pictures):
    worked, played = begin(recipe, pictures), begin(recipe, pictures)
    capture = Played()
    played.recorder = Recorder(capture)
    played.ada_p = worked.ada_p = 0.2 if recipe == "stylegan2-ada" else 0.0
    for step in STEPS:
        worked.step = played.step = step
        reports = worked.advance(), played.advance()
        assert {k: float(v) for k, v in reports[0].items()} == {
            k: float(v) for k, v in reports[1].items()
        }
    kinds = {"stylegan2": 2, "stylegan2-ada": 3, "tiny": 1, "r3gan": 1, "classic": 1}[recipe]
    assert (capture.recorded, capture.played) == (kinds, len(STEPS) - kinds)
    for (name, one), other in zip(worked.tensors().items(), played.tensors().values(), strict=True):
        assert torch.equal(one, other), name


class Ordered(TorchDispatchMode):
    """Which operations are ordered, with every argument that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        plain = torch.utils._pytree.tree_map(
            lambda x: tuple(x.shape) if isinstance(x, torch.Tensor) else x, (args, kwargs)
        )
        if function.namespace != "profiler":
            self.operations.append(f"{function} {plain}")
        return made


@pytest.mark.parametrize("recipe", RECIPES)
def test_steps_of_a_kind_order_the_same_work(recipe, pictures):
    """A number of Python's that one step differs by would be played again with the next."""
    training = begin(recipe, pictures)
    training.recorder = Recorder(Played())
    kinds = defaultdict(list)
    for step in STEPS:
        training.step, training.ada_p = step, 0.2 if recipe == "stylegan2-ada" else 0.0
        kind, teach = training._kind, training._teach

        def listened(kind=kind, teach=teach):
            with Ordered() as ordered:
                report = teach()
            kinds[kind].append(ordered.operations)
            return report

        training._teach = listened
        training.advance()
        training._teach = teach
    for first, *later in kinds.values():  # the first also prepares what is kept for the others
        assert first and len(later) > 1
        assert all(operations == later[0] for operations in later)


def test_what_cannot_be_recorded_is_worked_and_said(pictures):
    training, plain = begin("classic", pictures), begin("classic", pictures)

    def refuse(work: Any, memory: Any) -> Any:
        """As when memory runs out half-way: what was gathered is nothing."""
        for parameter in training.d.parameters():
            parameter.grad = torch.full_like(parameter, torch.nan)
        raise RuntimeError("operation not permitted when stream is capturing")

    training.recorder = Recorder(refuse)
    training.advance()
    with pytest.warns(UserWarning, match="not recorded"):
        training.advance()
    assert not training.recorder.usable
    training.advance()
    for _ in range(3):
        plain.advance()
    pairs = zip(training.tensors().items(), plain.tensors().values(), strict=True)
    for (name, one), other in pairs:
        assert torch.equal(one, other), name


def test_where_memory_is_short_recordings_go_before_the_batch_is_halved(pictures):
    """Theirs is taken from every other step; smaller pieces would never be recorded again."""
    training, plain = begin("stylegan2", pictures), begin("stylegan2", pictures)
    training.recorder = Recorder(Played())
    score, short = training.players.score, []

    def cramped(seen: Any, classes: Any) -> torch.Tensor:
        if training._penalised and training.recorder.holds:
            short.append(training.step)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return score(seen, classes)

    training.players.score = cramped
    for step in (1, 2, 3):
        training.step = plain.step = step
        training.advance()
        plain.advance()
    assert training.recorder.holds
    with pytest.warns(UserWarning, match="not recorded.*memory"):
        for step in (16, 17, 32):
            training.step = plain.step = step
            training.advance()
            plain.advance()
    assert (short, training.micro) == ([16], 8)
    assert not training.recorder.usable
    pairs = zip(training.tensors().items(), plain.tensors().values(), strict=True)
    for (name, one), other in pairs:
        assert torch.equal(one, other), name


def test_a_new_rate_and_a_restored_state_are_recorded_anew(pictures):
    training = begin("classic", pictures)
    capture = Played()
    training.recorder = Recorder(capture)
    for _ in range(3):
        training.advance()
    kept = {name: tensor.clone() for name, tensor in training.tensors().items()}
    training.slow_down(0.5)
    for _ in range(2):
        training.advance()
    training.restore(kept, 3)
    for _ in range(2):
        training.advance()
    assert capture.recorded == 3
