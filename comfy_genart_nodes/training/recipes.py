"""Settings that go well together, by name; what stands in none of them keeps its default."""

from typing import Any

from ..errors import check_choice
from .config import TrainConfig

RECIPES: dict[str, dict[str, Any]] = {
    "stylegan2": {},
    "stylegan2-ada": {"augment": (), "ada_target": 0.6, "path_length": 2.0},
    "r3gan": {"loss": "r3gan"},
    "fine-tune": {"augment": (), "ada_target": 0.6, "ema_kimg": 2.0, "freeze_d": 2},
    "tiny": {
        "family": "fastgan",
        "loss": "hinge",
        "z_dim": 256,
        "batch": 8,
        "rate": 0.0002,
        "gamma": 0.0,
        "ema_kimg": 5.5,
    },
    "classic": {
        "family": "dcgan",
        "z_dim": 100,
        "batch": 32,
        "rate": 0.0002,
        "gamma": 0.0,
        "augment": (),
    },
}
"""StyleGAN2 with DiffAugment; with ADA and path lengths; with R3GAN's loss; a network goes on with
other pictures (gentler average, since it begins good); FastGAN for tens to hundreds of pictures;
DCGAN as textbooks have it."""

FEW = 300
"""Below so many pictures a StyleGAN2 begins to copy before it is good."""


def choose(pictures: int, resolution: int, parent: bool) -> str:
    """The recipe for a number of pictures, a side, and whether there is a network to begin from."""
    if parent:
        return "fine-tune"
    fits_fastgan = resolution in (64, 128, 256, 512, 1024)
    return "tiny" if pictures < FEW and fits_fastgan else "stylegan2-ada"


def settings(recipe: str, **given: Any) -> TrainConfig:
    """A run's settings: those of a recipe, but for those given.

    A network to go on from decides more of them when the run begins (`parents.descend`).

    Raises:
        GenartError: when there is no such recipe, or a setting is impossible.
    """
    check_choice("recipe", recipe, tuple(RECIPES))
    return TrainConfig(**{**RECIPES[recipe], **given, "recipe": recipe})
