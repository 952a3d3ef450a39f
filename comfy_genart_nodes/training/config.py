"""What the training run of a GAN is: every setting."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..errors import GenartError, check_choice
from ..gan.networks.stylegan2_spec import StyleGAN2Spec
from .run_config import RunConfig

if TYPE_CHECKING:
    from ..gan.networks.dcgan import DCGANSpec
    from ..gan.networks.fastgan import FastGANSpec

POLICIES = ("colour", "translation", "cutout")
FAMILIES = ("stylegan2", "fastgan", "dcgan")
LOSSES = ("logistic", "minimax", "hinge", "r3gan")

# FastGAN's widths at each side, in shares of 64 (Liu et al. 2021's code has them, its paper not).
_FASTGAN = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 0.5, 512: 0.25, 1024: 0.125}
_LEAST_SIDE = {"fastgan": 64, "dcgan": 8}
_MOST_SIDE = 1024
_NAMES = {
    "fastgan": "FastGAN, the network of the recipe tiny,",
    "dcgan": "DCGAN, the network of the recipe classic,",
}
_LEAST = {"gamma": 0, "path_length": 0, "freeze_d": 0}


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    """The settings of a GAN's training run, besides those that every run has.

    Attributes:
        family: of the generator, of `FAMILIES`; its discriminator is the one of its paper.
        loss: of `LOSSES`.
        classes: sub-folders are classes.
        channel_base: the networks' width (`StyleGAN2Spec`); None for 64 channels at the
            pictures' side.
        channel_max, mapping_layers, z_dim, w_dim: their other sizes.
        gamma: weight of R1 (and of R2, in loss "r3gan"); None for .0002 * resolution^2 / batch
            (Karras et al. 2020, ADA).
        path_length: weight of path length regularisation (Karras et al. 2020); 0 for none.
        augment: DiffAugment's policies, of `POLICIES`.
        ada_target: in their place ADA (Karras et al. 2020), whose strength follows how often the
            discriminator recognises pictures of the set, towards so much; None for DiffAugment.
        freeze_d: so many of the discriminator's blocks, those nearest the picture, stay as the
            parent has them (Mo et al. 2020).
    """

    KIND: ClassVar[str] = "gan"
    SCORE: ClassVar[str] = "kid"
    SCORED: ClassVar[str] = "KID"

    recipe: str = "stylegan2"
    family: str = "stylegan2"
    loss: str = "logistic"
    classes: bool = False
    channel_base: int | None = None
    channel_max: int = 512
    mapping_layers: int = 2
    z_dim: int = 512
    w_dim: int = 512
    gamma: float | None = None
    path_length: float = 0.0
    augment: tuple[str, ...] = POLICIES
    ada_target: float | None = None
    freeze_d: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("loss", self.loss, LOSSES)
        for policy in self.augment:
            check_choice("augment", policy, POLICIES)
        self._check_least(_LEAST)
        if self.ada_target is not None and not 0 < self.ada_target < 1:
            raise GenartError(f"ada_target lies between 0 and 1, not at {self.ada_target}.")
        if self.parent is None:  # which has a family and shapes of its own
            check_choice("family", self.family, FAMILIES)
            self.generator_spec()

    @property
    def needs_features(self) -> bool:
        """Whether it measures KID."""
        return self.measure_kimg > 0

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
            raise GenartError(
                f"{_NAMES[self.family]} knows no classes: choose the recipe stylegan2-ada, or "
                "train without classes."
            )
        least = _LEAST_SIDE[self.family]
        known = [least << i for i in range(9) if least << i <= _MOST_SIDE]
        if self.resolution not in known:
            listed = ", ".join(map(str, known))
            raise GenartError(
                f"{_NAMES[self.family]} makes pictures of side {listed}, not {self.resolution}: "
                "choose one of them, or another recipe."
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
