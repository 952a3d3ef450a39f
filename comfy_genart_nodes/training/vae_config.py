"""What the training run of a VAE is: every setting, and those that go well together, by name."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import GenartError, check_choice
from .run_config import RunConfig

MODELS = ("tiny", "kl", "vq", "fsq", "vector")
PIXELS = ("l1", "l2")
OPTIMISERS = ("adam", "muon")
FINE_TUNE = "fine-tune"
_LEAST = {"kl": 0, "perceptual": 0, "adversarial": 0, "adversarial_after": 0}
_SHAPES = {"latent_channels": (1, 512), "width": (8, 512), "codes": (2, 65536)}


@dataclass(frozen=True, kw_only=True)
class VAEConfig(RunConfig):
    """The settings of a VAE's training run, besides those that every run has.

    Attributes:
        model: of `MODELS`: TAESD's layout, which ComfyUI loads by itself ("tiny"); the one of
            latent diffusion ("kl"); the tiny one with a codebook (van den Oord et al. 2017) or with
            rounded numbers (Mentzer et al. 2023) in between; or one vector a picture ("vector";
            with a high `kl` the beta-VAE of Higgins et al. 2017).
        latent_channels: numbers a place; of a vector, all of them.
        width: channels of its layers.
        codes: of the codebook.
        decoder_only: the encoder stays as the parent has it, so that latents stay compatible.
        optimiser: "adam", or "muon" for the matrices between layers (`muon.py`): it learns sooner.
        pixel: how pictures are compared pixel by pixel, "l1" or "l2".
        kl: weight of the divergence from a normal distribution, in nats a picture over the numbers
            that a picture has: beside the mean over pixels it weighs as in the sum of both.
        perceptual: weight of the distance of features; 0 needs no package for them.
        adversarial: weight of the critic, adapted to the gradients (Esser et al. 2021).
        adversarial_after: thousand pictures before the critic joins.
        eq: in so many of the steps the latents are turned and made smaller, and the pictures
            likewise (Kouzelis et al. 2025): 0 to 1.
        augment: pictures are mirrored, turned, moved, resized and recoloured, each kind of change
            with this probability, as ADA changes what its discriminator sees: 0 to 1. What a VAE
            rebuilds of few pictures it then rebuilds of others, too.
    """

    KIND: ClassVar[str] = "vae"
    SCORE: ClassVar[str] = "mse"
    SCORED: ClassVar[str] = "PSNR"

    recipe: str = "tiny"
    rate: float = 0.0005
    model: str = "tiny"
    latent_channels: int = 4
    width: int = 64
    codes: int = 1024
    decoder_only: bool = False
    optimiser: str = "adam"
    pixel: str = "l1"
    kl: float = 1e-6
    perceptual: float = 1.0
    adversarial: float = 0.5
    adversarial_after: float = 50.0
    eq: float = 0.0
    augment: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("model", self.model, MODELS)
        check_choice("pixel", self.pixel, PIXELS)
        check_choice("optimiser", self.optimiser, OPTIMISERS)
        self._check_least(_LEAST)
        for name in ("eq", "augment"):
            if not 0 <= getattr(self, name) <= 1:
                raise GenartError(f"{name} must be from 0 to 1, not {getattr(self, name)}.")
        if self.parent is None:  # which has a family and shapes of its own
            self._check_shapes()

    def _check_shapes(self) -> None:
        """Refuse a network that would be too large, or not for pictures of this side."""
        self._check_least({name: least for name, (least, _) in _SHAPES.items()})
        for name, (_, most) in _SHAPES.items():
            if getattr(self, name) > most:
                raise GenartError(f"{name} must be at most {most}, not {getattr(self, name)}.")
        self.check_side(self.factor)

    def scored(self, value: float) -> str:
        """The squared error as PSNR."""
        return f"{self.SCORED} {-10 * math.log10(max(value, 1e-10)):.4g} dB"

    @property
    def needs_features(self) -> bool:
        """Whether pictures are compared by features."""
        return self.perceptual > 0

    @property
    def factor(self) -> int:
        """Pixels along a side for each place of the latents."""
        return self.resolution if self.model == "vector" else 8

    def check_side(self, factor: int) -> None:
        """Refuse a resolution that places of so many pixels do not divide.

        Raises:
            GenartError: when they do not.
        """
        below = max(self.resolution // factor, 1) * factor
        if self.resolution % factor or self.resolution < 8:
            raise GenartError(
                f"The sides of pictures for this VAE are multiples of {factor}, and resolution is "
                f"{self.resolution}: set it to {below} or {below + factor}."
            )

    def network(self) -> tuple[str, Any]:
        """Family and spec of the network that has no parent."""
        # Imported here: they bring torch, which a command's help can do without.
        from ..vae.networks.kl import KLSpec
        from ..vae.networks.tiny import TinySpec
        from ..vae.networks.vector import VectorSpec

        if self.model == "vector":
            return "vector", VectorSpec(self.resolution, self.latent_channels, self.width)
        if self.model == "kl":
            widths = tuple(self.width * times for times in (1, 2, 4, 4))
            return "kl", KLSpec(channels=self.latent_channels, widths=widths)
        kinds = {"tiny": "gauss", "vq": "vq", "fsq": "fsq"}
        return "tiny", TinySpec(
            channels=self.latent_channels,
            width=self.width,
            bottleneck=kinds[self.model],
            codes=self.codes,
        )


_SOON: dict[str, Any] = {"optimiser": "muon", "rate": 0.0015}

RECIPES: dict[str, dict[str, Any]] = {
    "tiny": _SOON,
    "kl": {"model": "kl", "rate": 0.0001, "batch": 8},
    "beta": {
        "model": "vector",
        "latent_channels": 32,
        "pixel": "l2",
        "kl": 0.02,
        "perceptual": 0.0,
        "adversarial": 0.0,
        "batch": 32,
        **_SOON,
    },
    "vq": {"model": "vq", "kl": 0.0, **_SOON},
    "fsq": {"model": "fsq", "kl": 0.0, **_SOON},
    FINE_TUNE: {"decoder_only": True, "kl": 0.0, "rate": 0.0001, "ema_kimg": 2.0, "batch": 8},
}
"""A small VAE that ComfyUI loads without this pack; the larger one of latent diffusion; a vector a
picture, whose numbers one can turn like knobs; codes, as of DALL-E's first stage, two ways; and a
VAE's decoder taught to draw as one's own pictures are drawn."""


def vae_settings(recipe: str, **given: Any) -> VAEConfig:
    """A run's settings: those of a recipe, but for those given.

    Raises:
        GenartError: when there is no such recipe, or a setting is impossible.
    """
    check_choice("recipe", recipe, tuple(RECIPES))
    return VAEConfig(**{**RECIPES[recipe], **given, "recipe": recipe})
