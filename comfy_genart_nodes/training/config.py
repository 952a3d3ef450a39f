"""What a training run is: every setting, and which of them may change when it goes on."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ..errors import GenartError
from ..gan.networks.stylegan2_spec import StyleGAN2Spec

POLICIES = ("colour", "translation", "cutout")
STOP_RULES = ("kimg", "steps")


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a GAN training run.

    Attributes:
        resolution: side of the square pictures.
        batch: pictures a step.
        seed: of everything random in the run.
        kimg: stop after so many thousand pictures ...
        steps: ... or after so many steps, where given; whichever comes first.
        channel_base: the networks' width (`StyleGAN2Spec`); None for 64 channels at the
            pictures' side.
        channel_max, mapping_layers, z_dim, w_dim: their other sizes.
        rate: Adam's learning rate, of both networks.
        gamma: weight of R1; None for .0002 * resolution^2 / batch (Karras et al. 2020, ADA).
        ema_kimg: half-life of the generator's moving average.
        augment: DiffAugment's policies, of `POLICIES`.
        mirror: show every picture's mirror image too.
        precision: "fp32", "bf16", or "auto" for what the hardware does fastest.
        checkpoint_kimg: keep the state so often.
        sample_kimg: make a sheet of samples so often.
    """

    resolution: int = 64
    batch: int = 16
    seed: int = 0
    kimg: float = 1000.0
    steps: int | None = None
    channel_base: int | None = None
    channel_max: int = 512
    mapping_layers: int = 2
    z_dim: int = 512
    w_dim: int = 512
    rate: float = 0.002
    gamma: float | None = None
    ema_kimg: float = 10.0
    augment: tuple[str, ...] = ("colour", "translation", "cutout")
    mirror: bool = False
    precision: str = "auto"
    checkpoint_kimg: float = 5.0
    sample_kimg: float = 5.0

    def __post_init__(self) -> None:
        _ = self.spec
        unknown = [name for name in self.augment if name not in POLICIES]
        if unknown:
            raise GenartError(
                f"There is no augmentation {unknown[0]!r}: choose from {', '.join(POLICIES)}."
            )
        if self.precision not in ("auto", "fp32", "bf16"):
            raise GenartError(f"Precision is auto, fp32 or bf16, not {self.precision!r}.")
        positive = ("batch", "kimg", "rate", "ema_kimg", "checkpoint_kimg", "sample_kimg")
        for name in positive:
            if not 0 < getattr(self, name) < math.inf:
                raise GenartError(f"{name} must be more than 0, not {getattr(self, name)}.")
        if self.steps is not None and self.steps < 1:
            raise GenartError(f"steps must be at least 1, not {self.steps}.")

    @property
    def spec(self) -> StyleGAN2Spec:
        """The generator's."""
        return StyleGAN2Spec(
            resolution=self.resolution,
            z_dim=self.z_dim,
            w_dim=self.w_dim,
            channel_base=self.channel_base or 64 * self.resolution,
            channel_max=self.channel_max,
            mapping_layers=self.mapping_layers,
        )

    @property
    def r1_weight(self) -> float:
        """Gamma, chosen where not given."""
        return self.gamma if self.gamma is not None else 2e-4 * self.resolution**2 / self.batch

    @property
    def last_step(self) -> int:
        """The step after which the run is finished."""
        by_kimg = max(1, round(self.kimg * 1000 / self.batch))
        return by_kimg if self.steps is None else min(by_kimg, self.steps)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**dataclasses.asdict(self), "augment": list(self.augment)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainConfig":
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
        return cls(**{**values, "augment": tuple(values.get("augment", ()))})


def differences(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Settings other than the stop rules that differ, as "resolution 64 (now 32)"."""
    a, b = old.to_json(), new.to_json()
    return [
        f"{name} {a[name]} (now {b[name]})"
        for name in a
        if name not in STOP_RULES and a[name] != b[name]
    ]
