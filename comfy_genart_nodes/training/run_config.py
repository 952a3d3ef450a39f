"""What the runs of every kind of network have in common: settings, and which of them may change."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import GenartError, check_choice

if TYPE_CHECKING:
    from typing_extensions import Self

FITS = ("crop", "pad", "letterbox", "random")
STOP_RULES = ("kimg", "steps", "hours", "plateau_kimg")
CHANGEABLE = (
    *STOP_RULES,
    *("checkpoint_kimg", "sample_kimg", "keep_last", "keep_best", "measure_kimg"),
)
_LEAST = {
    "steps": 1,
    "hours": 0.001,
    "plateau_kimg": 0.001,
    "keep_last": 1,
    "keep_best": 0,
    "measure_kimg": 0,
    "held_out": 0,
}
_MORE_THAN_NOTHING = ("batch", "kimg", "rate", "ema_kimg", "checkpoint_kimg", "sample_kimg")


@dataclass(frozen=True, kw_only=True)
class RunConfig(ABC):
    """The settings that every training run has.

    Attributes:
        recipe: the name of the settings that the others were taken from.
        resolution: side of the square pictures.
        fit: how pictures of other shapes become square: their middle ("crop"), with the background
            beside them to the whole square ("pad") or likewise but never enlarged ("letterbox"),
            or a part of them chosen once at random ("random").
        background: colour behind transparent pixels and beside padded ones, by name or as #rrggbb.
        batch: pictures a step.
        seed: of everything random in the run.
        kimg: stop after so many thousand pictures ...
        steps: ... or after so many steps, where given ...
        hours: ... or of training, resumed or not ...
        plateau_kimg: ... or after so many thousand pictures without a better `SCORE`; whichever
            comes first.
        rate: of learning, at first.
        ema_kimg: half-life of the moving average of what is trained.
        parent: hash of the network that the run began from, whose family and shapes it has; None
            where it began from nothing.
        mirror: show every picture's mirror image too.
        precision: "fp32", "bf16", or "auto" for what the hardware does fastest.
        checkpoint_kimg: keep the state so often.
        sample_kimg: make a sheet of samples so often.
        keep_last: so many newest checkpoints are kept ...
        keep_best: ... and so many with the best `SCORE`.
        measure_kimg: measure so often; 0 for never.
        held_out: so many pictures are kept apart for that.
    """

    KIND: ClassVar[str]
    """What is trained, as `run.json` says it."""
    SCORE: ClassVar[str]
    """The measure by which checkpoints are compared; less is better."""
    SCORED: ClassVar[str]
    """What people call it."""

    recipe: str
    resolution: int = 64
    fit: str = "crop"
    background: str = "white"
    batch: int = 16
    seed: int = 0
    kimg: float = 1000.0
    steps: int | None = None
    hours: float | None = None
    plateau_kimg: float | None = None
    rate: float = 0.002
    ema_kimg: float = 10.0
    parent: str | None = None
    mirror: bool = False
    precision: str = "auto"
    checkpoint_kimg: float = 5.0
    sample_kimg: float = 5.0
    keep_last: int = 2
    keep_best: int = 1
    measure_kimg: float = 0.0
    held_out: int = 0

    def __post_init__(self) -> None:
        check_choice("fit", self.fit, FITS)
        check_choice("precision", self.precision, ("auto", "fp32", "bf16"))
        for name in _MORE_THAN_NOTHING:
            if not 0 < getattr(self, name) < math.inf:
                raise GenartError(f"{name} must be more than 0, not {getattr(self, name)}.")
        self._check_least(_LEAST)
        if not -(2**63) <= self.seed < 2**64:
            raise GenartError(f"seed must have at most 64 bits, and {self.seed} has more.")
        if self.plateau_kimg is not None and not self.measure_kimg:
            raise GenartError("plateau_kimg watches what is measured: set measure_kimg too.")

    def _check_least(self, least: Mapping[str, float]) -> None:
        """Refuse numbers below their least."""
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and not bound <= value < math.inf:
                raise GenartError(f"{name} must be at least {bound}, not {value}.")

    @property
    @abstractmethod
    def needs_features(self) -> bool:
        """Whether the run cannot do without ImageNet features."""

    def scored(self, value: float) -> str:
        """A value of `SCORE` as people read it."""
        return f"{self.SCORED} {value:.3g}"

    @property
    def last_step(self) -> int:
        """The step after which the run is finished."""
        by_kimg = max(1, round(self.kimg * 1000 / self.batch))
        return by_kimg if self.steps is None else min(by_kimg, self.steps)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = dataclasses.asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Self":
        """The inverse of `to_json`.

        Raises:
            GenartError: when a setting is unknown (a newer pack wrote it).
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise GenartError(
                f"This run has the setting {unknown[0]!r}, which this version of the pack does "
                "not know: update the pack."
            )
        settings: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in values.items()
        }
        return cls(**settings)


def differences(old: RunConfig, new: RunConfig, called: Mapping[str, str]) -> list[str]:
    """Settings that differ and may not, as "resolution 64 (now 32)".

    Args:
        old: the settings of a run.
        new: those asked for.
        called: what the person calls some of them.
    """
    a, b = old.to_json(), new.to_json()
    return [
        f"{called.get(name, name)} {_brief(a[name])} (now {_brief(b[name])})"
        for name in a
        if name not in CHANGEABLE and a[name] != b[name]
    ]


def _brief(value: Any) -> Any:
    """A setting for a sentence: of a hash its first letters."""
    return value[:12] if isinstance(value, str) else value
