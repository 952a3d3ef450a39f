"""What a training run is: every setting, and which of them may change when it goes on."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import GenartError, check_choice
from ..gan.networks.stylegan2_spec import StyleGAN2Spec

if TYPE_CHECKING:
    from ..gan.networks.dcgan import DCGANSpec
    from ..gan.networks.fastgan import FastGANSpec

POLICIES = ("colour", "translation", "cutout")
FAMILIES = ("stylegan2", "fastgan", "dcgan")
LOSSES = ("logistic", "minimax", "hinge", "r3gan")
FITS = ("crop", "pad", "letterbox", "random")
STOP_RULES = ("kimg", "steps", "hours", "plateau_kimg")
CHANGEABLE = (
    *STOP_RULES,
    *("checkpoint_kimg", "sample_kimg", "keep_last", "keep_best", "measure_kimg"),
)


# FastGAN's widths at each side, in shares of 64 (Liu et al. 2021's code has them, its paper not).
_FASTGAN = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 0.5, 512: 0.25, 1024: 0.125}
_LEAST_SIDE = {"fastgan": 64, "dcgan": 8}
_MOST_SIDE = 1024
_LEAST = {
    "steps": 1,
    "hours": 0.001,
    "plateau_kimg": 0.001,
    "gamma": 0,
    "path_length": 0,
    "freeze_d": 0,
    "keep_last": 1,
    "keep_best": 0,
    "measure_kimg": 0,
    "held_out": 0,
}


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a GAN training run.

    Attributes:
        recipe: the name of the settings that the others were taken from.
        family: of the generator, of `FAMILIES`; its discriminator is the one of its paper.
        loss: of `LOSSES`.
        resolution: side of the square pictures.
        fit: how pictures of other shapes become square: their middle ("crop"), with the background
            beside them to the whole square ("pad") or likewise but never enlarged ("letterbox"),
            or a part of them chosen once at random ("random").
        background: colour behind transparent pixels and beside padded ones, by name or as #rrggbb.
        classes: sub-folders are classes.
        batch: pictures a step.
        seed: of everything random in the run.
        kimg: stop after so many thousand pictures ...
        steps: ... or after so many steps, where given ...
        hours: ... or of training, resumed or not ...
        plateau_kimg: ... or after so many thousand pictures without a better KID; whichever comes
            first.
        channel_base: the networks' width (`StyleGAN2Spec`); None for 64 channels at the
            pictures' side.
        channel_max, mapping_layers, z_dim, w_dim: their other sizes.
        rate: Adam's learning rate, of both networks.
        gamma: weight of R1 (and of R2, in loss "r3gan"); None for .0002 * resolution^2 / batch
            (Karras et al. 2020, ADA).
        path_length: weight of path length regularisation (Karras et al. 2020); 0 for none.
        ema_kimg: half-life of the generator's moving average.
        augment: DiffAugment's policies, of `POLICIES`.
        ada_target: in their place ADA (Karras et al. 2020), whose strength follows how often the
            discriminator recognises pictures of the set, towards so much; None for DiffAugment.
        parent: hash of the network that the run began from, whose family and shapes it has; None
            where it began from nothing.
        freeze_d: so many of the discriminator's blocks, those nearest the picture, stay as the
            parent has them (Mo et al. 2020).
        mirror: show every picture's mirror image too.
        precision: "fp32", "bf16", or "auto" for what the hardware does fastest.
        checkpoint_kimg: keep the state so often.
        sample_kimg: make a sheet of samples so often.
        keep_last: so many newest checkpoints are kept ...
        keep_best: ... and so many with the best KID.
        measure_kimg: measure KID and its company so often; 0 for never.
        held_out: so many pictures are kept apart for that.
    """

    recipe: str = "stylegan2"
    family: str = "stylegan2"
    loss: str = "logistic"
    resolution: int = 64
    fit: str = "crop"
    background: str = "white"
    classes: bool = False
    batch: int = 16
    seed: int = 0
    kimg: float = 1000.0
    steps: int | None = None
    hours: float | None = None
    plateau_kimg: float | None = None
    channel_base: int | None = None
    channel_max: int = 512
    mapping_layers: int = 2
    z_dim: int = 512
    w_dim: int = 512
    rate: float = 0.002
    gamma: float | None = None
    path_length: float = 0.0
    ema_kimg: float = 10.0
    augment: tuple[str, ...] = ("colour", "translation", "cutout")
    ada_target: float | None = None
    parent: str | None = None
    freeze_d: int = 0
    mirror: bool = False
    precision: str = "auto"
    checkpoint_kimg: float = 5.0
    sample_kimg: float = 5.0
    keep_last: int = 2
    keep_best: int = 1
    measure_kimg: float = 0.0
    held_out: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("loss", LOSSES), ("fit", FITS)):
            check_choice(name, getattr(self, name), choices)
        for policy in self.augment:
            check_choice("augment", policy, POLICIES)
        check_choice("precision", self.precision, ("auto", "fp32", "bf16"))
        for name in ("batch", "kimg", "rate", "ema_kimg", "checkpoint_kimg", "sample_kimg"):
            if not 0 < getattr(self, name) < math.inf:
                raise GenartError(f"{name} must be more than 0, not {getattr(self, name)}.")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise GenartError(f"{name} must be at least {least}, not {value}.")
        if self.ada_target is not None and not 0 < self.ada_target < 1:
            raise GenartError(f"ada_target lies between 0 and 1, not at {self.ada_target}.")
        if self.plateau_kimg is not None and not self.measure_kimg:
            raise GenartError("plateau_kimg watches the KID: set measure_kimg too.")
        if self.parent is None:  # which has a family and shapes of its own
            check_choice("family", self.family, FAMILIES)
            self.generator_spec()

    def generator_spec(self, classes: int = 0) -> "StyleGAN2Spec | FastGANSpec | DCGANSpec":
        """The generator's, for so many classes.

        Raises:
            GenartError: when the family knows no classes, or not this side.
        """
        base = self.width
        if self.family == "stylegan2":
            return StyleGAN2Spec(
                resolution=self.resolution,
                c_dim=classes,
                z_dim=self.z_dim,
                w_dim=self.w_dim,
                channel_base=base,
                channel_max=self.channel_max,
                mapping_layers=self.mapping_layers,
            )
        if classes:
            raise GenartError(f"A {self.family} knows no classes: take a StyleGAN2 for them.")
        least = _LEAST_SIDE[self.family]
        known = [least << i for i in range(9) if least << i <= _MOST_SIDE]
        if self.resolution not in known:
            listed = ", ".join(map(str, known))
            raise GenartError(
                f"A {self.family} makes pictures of side {listed}, not {self.resolution}."
            )
        sides = [4 << i for i in range(9) if 4 << i <= self.resolution]
        # Imported here: they bring torch, which a command's help can do without.
        if self.family == "dcgan":
            from ..gan.networks.dcgan import DCGANSpec

            widths = tuple(min(base // (2 * side), self.channel_max) for side in sides[:-1])
            return DCGANSpec(widths=widths, z_dim=self.z_dim)
        from ..gan.networks.fastgan import FastGANSpec

        widths = tuple(max(1, round(base / self.resolution * _FASTGAN[side])) for side in sides)
        return FastGANSpec(widths=widths, z_dim=self.z_dim)

    @property
    def width(self) -> int:
        """`channel_base`, chosen where not given."""
        return self.channel_base or 64 * self.resolution

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


def differences(old: TrainConfig, new: TrainConfig, called: Mapping[str, str]) -> list[str]:
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
