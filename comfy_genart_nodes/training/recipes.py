"""Settings that go well together, by name; what stands in none of them keeps its default."""

from dataclasses import replace
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

_GENTLE = {"fastgan": "tiny", "dcgan": "classic"}
_TAUGHT = ("loss", "rate", "gamma", "augment", "ada_target", "freeze_d")
BYTES = 264
"""Of memory that a step takes for each picture, times its side, times the channel base: 66 MB at
64x64 and base 4096, in float32 with ADA and path lengths, measured on a CPU."""

FEW = 300
"""Below so many pictures a StyleGAN2 begins to copy before it is good."""
SOME = 2000
"""Below so many DiffAugment, which is there from the first step on, is taken to be ahead of ADA,
which comes with time: so it was with 840 of them (docs/training.md)."""


def choose(pictures: int, resolution: int, parent: bool) -> str:
    """The recipe for a number of pictures, a side, and whether there is a network to begin from."""
    if parent:
        return "fine-tune"
    fits_fastgan = resolution in (64, 128, 256, 512, 1024)
    if pictures < FEW and fits_fastgan:
        return "tiny"
    return "stylegan2" if pictures < SOME else "stylegan2-ada"


def automatic(
    pictures: int, resolution: int, parent: bool, memory: int | None, classes: bool = False
) -> tuple[str, int | None]:
    """What "auto" stands for where a run begins.

    Args:
        pictures: how many there are.
        resolution: their side.
        parent: whether there is a network to go on from, which has its own widths.
        memory: of the device in bytes, where it is known.
        classes: whether they have classes, which only a StyleGAN2 knows.

    Returns:
        The recipe, and the channel base where the usual one would not fit into the memory.
    """
    recipe = choose(max(pictures, FEW) if classes else pictures, resolution, parent)
    measured = recipe in ("stylegan2", "stylegan2-ada")  # the latter by `width`, which takes more
    return recipe, width(resolution, memory) if memory and measured else None


def told(recipe: str, pictures: int, parent: bool, narrow: int | None) -> str:
    """What "auto" has come to, in a line.

    Args:
        recipe: the one that was chosen ...
        pictures: ... for so many ...
        parent: ... and a network to go on from, or none.
        narrow: the channel base, where it was chosen too.
    """
    fits = f"; channel_base {narrow}, so that it fits into memory" if narrow else ""
    return f"recipe: {recipe}, for {pictures} pictures{' and a base' if parent else ''}{fits}"


def width(resolution: int, memory: int, pictures: int = 4) -> int | None:
    """The channel base at which a StyleGAN2 trains in a device's memory; None for the usual one.

    Args:
        resolution: side of the pictures.
        memory: of the device, in bytes. A quarter of it is left for weights and for the host.
        pictures: that are worked on at a time, at the least.
    """
    fits = int(0.75 * memory / (BYTES * resolution * pictures)) // 512 * 512
    return None if fits >= 64 * resolution else max(fits, 8 * resolution)


def fine_tuned(config: TrainConfig, family: str) -> TrainConfig:
    """The recipe "fine-tune" for a family that is taught in a way of its own.

    Args:
        config: of that recipe; what was chosen apart from it stays.
        family: of the network to go on from.
    """
    if family not in _GENTLE:
        return config
    own, usual = settings(_GENTLE[family]), settings(config.recipe)
    chosen = {name for name in _TAUGHT if getattr(config, name) != getattr(usual, name)}
    return replace(config, **{name: getattr(own, name) for name in _TAUGHT if name not in chosen})


def settings(recipe: str, **given: Any) -> TrainConfig:
    """A run's settings: those of a recipe, but for those given.

    DiffAugment and ADA take each other's place: whichever is given ends the recipe's other one. A
    network to go on from decides more of them when the run begins (`parents.descend`).

    Raises:
        GenartError: when there is no such recipe, or a setting is impossible.
    """
    check_choice("recipe", recipe, tuple(RECIPES))
    ended: dict[str, Any] = {}
    if "augment" in given and "ada_target" not in given:
        ended = {"ada_target": None}
    elif given.get("ada_target") is not None and "augment" not in given:
        ended = {"augment": ()}
    return TrainConfig(**{**RECIPES[recipe], **ended, **given, "recipe": recipe})
