"""What lies between latents of any VAE or sampler: ways, blends, sheets."""

from collections.abc import Iterator
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..errors import GenartError, check_choice
from ..host import latents as host
from ..host.memory import collect
from ..host.progress import Progress, say
from ..host.schema import field, result, schema, within_bounds
from ..latent.laws import AUTO, LAWS, Law, atlas, between, blend, corner_weights, law_of
from ..ranges import read_numbers
from .journey import MOST_FRAMES

CATEGORY = "genart/latent"
MODES = [AUTO, *LAWS]
WAYS: dict[Law, str] = {
    "noise": "taken for noise, which stays noise",
    "picture": "taken for encoded pictures, whose contrast is kept",
    "straight": "averaged in straight lines",
}
MORE = "second", "third", "fourth"


def mode_field(noise: str) -> io.Input:
    """How to go between latents.

    Args:
        noise: what is done with noise, for the tooltip.
    """
    return field(
        io.Combo,
        "mode",
        f"auto looks at what the latents are. noise: {noise}, so that a sampler gets noise of full "
        "strength. picture: straight lines, each channel with the mean and deviation between the "
        "latents', so that nothing goes grey. straight: plain means.",
        options=MODES,
        default=AUTO,
    )


def sizes_field() -> io.Input:
    """What to do where sides differ."""
    return field(
        io.Combo,
        "sizes",
        "Latents of different sides: refuse them, or scale them to the first and cut off what "
        "stands over. Scaled noise is no longer noise.",
        options=host.SIZES,
        default=host.REFUSE,
    )


class InterpolateLatents(io.ComfyNode):
    """From one latent to another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartInterpolateLatents",
            "Interpolate Latents",
            CATEGORY,
            description=(
                "Goes from one latent to another, in one step or many: what lies between noises is "
                "noise, and what lies between pictures keeps its contrast."
            ),
            search_aliases=["slerp", "lerp", "morph", "tween", "latent blend", "animation"],
            inputs=[
                field(io.Latent, "a", "Where it begins. A batch goes pair by pair."),
                field(
                    io.Latent,
                    "b",
                    "Where it ends: as many latents as a, or one for all (or a is one for all).",
                ),
                field(
                    io.Int,
                    "frames",
                    "1: only the latent at t. More: so many for each pair, from a to b, both "
                    "included.",
                    default=1,
                    min=1,
                    max=MOST_FRAMES,
                ),
                field(
                    io.Float,
                    "t",
                    "Where, with frames 1: 0 is a, 1 is b. Below 0 and above 1 it goes on in the "
                    "same direction, which exaggerates.",
                    default=0.5,
                    min=-1.0,
                    max=2.0,
                    step=0.01,
                ),
                mode_field("great circles over the whole latent"),
                sizes_field(),
            ],
            outputs=[
                result(
                    io.Latent,
                    "between",
                    "latents",
                    "All frames of the first pair, then of the next. A sampler gives the frames "
                    "of a pair the same noise.",
                ),
                result(io.String, "about", "about", "What the latents were taken for."),
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, a: dict[str, Any], b: dict[str, Any], frames: int, t: float, mode: str, sizes: str
    ) -> io.NodeOutput:
        """Interpolate, pair by pair."""
        check_choice("mode", mode, MODES)
        pairs = host.as_many(host.alike({"a": a, "b": b}, sizes))
        times = torch.tensor([t], dtype=torch.float64)
        if frames > 1:
            times = torch.linspace(0, 1, frames, dtype=torch.float64)
        count, total = len(pairs[0]), len(pairs[0]) * frames
        host.check_room(total, pairs[0], host.numbers_of_masks([a, b]))
        laws: list[Law] = []

        def steps() -> Iterator[Tensor]:
            for pair in zip(*pairs, strict=True):
                both = torch.stack(pair)
                laws.append(law_for(mode, both))
                for part in host.parts(frames, both):
                    yield between(both, times[part], laws[-1])

        made = collect(steps(), total, Progress(total).at)
        masks = host.masks_between(a, b, count, times)
        index = [i for i in host.index_of(a, count) for _ in range(frames)]
        about = told(laws)
        return io.NodeOutput(host.carried(a, made, masks, index), about, ui=say(about))


class BlendLatents(io.ComfyNode):
    """Several latents as one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartBlendLatents",
            "Blend Latents",
            CATEGORY,
            description=(
                "Makes one latent of several, each with its weight: of noises noise of full "
                "strength, of pictures one that keeps its contrast."
            ),
            search_aliases=["average", "mean", "mix", "weighted sum", "lol", "centroid"],
            inputs=[
                field(io.Latent, "first", "A latent, or a batch to be blended."),
                *more_latents("Another latent or batch, to be blended with the first."),
                field(
                    io.String,
                    "weights",
                    "One number for each latent, as 2, 1, .5; a single number: all alike. Each "
                    "line makes one result.",
                    default="1",
                    multiline=True,
                ),
                mode_field("the sum that keeps its strength"),
                sizes_field(),
            ],
            outputs=[
                result(io.Latent, "blended", "latents", "One latent for each line of weights."),
                result(io.String, "about", "about", "What the latents were taken for."),
            ],
        )

    @classmethod
    def execute(
        cls, first: dict[str, Any], weights: str, mode: str, sizes: str, **more: dict[str, Any]
    ) -> io.NodeOutput:
        """Blend."""
        check_choice("mode", mode, MODES)
        wired = wired_latents({"first": first}, more)
        samples = torch.cat([*host.alike(wired, sizes).values()])
        rows = _weights(weights, len(samples))
        host.check_room(len(rows), samples, host.numbers_of_masks([*wired.values()]))
        law = law_for(mode, samples)
        pieces = (blend(samples, rows[part], law) for part in host.parts(len(rows), samples))
        made = collect(pieces, len(rows), Progress(len(rows)).at)
        masks = host.masks_blended([*wired.values()], rows)
        index = host.index_of(first, len(first["samples"]))[:1] * len(rows)
        about = told([law])
        return io.NodeOutput(host.carried(first, made, masks, index), about, ui=say(about))


class GridLatents(io.ComfyNode):
    """A sheet between four corners."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartGridLatents",
            "Latent Grid",
            CATEGORY,
            description=(
                "An atlas: four latents in the corners of a sheet, and on it what lies between "
                "them, row by row."
            ),
            search_aliases=["atlas", "map", "interpolate", "contact sheet", "four corners"],
            inputs=[
                field(
                    io.Latent,
                    "first",
                    "The top left corner; or a batch of all four, top left, top right, bottom "
                    "left, bottom right.",
                ),
                *more_latents("The next corner, where it is not in the first input."),
                field(io.Int, "rows", "Latents down.", default=5, min=2, max=64),
                field(io.Int, "columns", "Latents across.", default=5, min=2, max=64),
                mode_field("great circles over the whole latent"),
                sizes_field(),
            ],
            outputs=[
                result(
                    io.Latent,
                    "atlas",
                    "latents",
                    "The sheet, row by row: Image Grid with as many columns shows it.",
                ),
                result(io.String, "about", "about", "What the latents were taken for."),
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls,
        first: dict[str, Any],
        rows: int,
        columns: int,
        mode: str,
        sizes: str,
        **more: dict[str, Any],
    ) -> io.NodeOutput:
        """Fill the sheet."""
        check_choice("mode", mode, MODES)
        wired = wired_latents({"first": first}, more)
        corners = torch.cat([*host.alike(wired, sizes).values()])
        if len(corners) != 4:
            raise GenartError(
                f"An atlas has four corners, and here are {len(corners)} latents: wire a batch of "
                "four, or four inputs."
            )
        count = rows * columns
        host.check_room(count, corners, host.numbers_of_masks([*wired.values()]))
        right = torch.linspace(0, 1, columns, dtype=torch.float64).repeat(rows)
        down = torch.linspace(0, 1, rows, dtype=torch.float64).repeat_interleave(columns)
        law = law_for(mode, corners)
        pieces = (atlas(corners, right[p], down[p], law) for p in host.parts(count, corners))
        made = collect(pieces, count, Progress(count).at)
        masks = host.masks_blended([*wired.values()], corner_weights(right, down))
        index = host.index_of(first, len(first["samples"]))[:1] * count
        about = told([law])
        return io.NodeOutput(host.carried(first, made, masks, index), about, ui=say(about))


def more_latents(tooltip: str) -> list[io.Input]:
    """Sockets for further latents, none of which has to be wired."""
    return [field(io.Latent, name, tooltip, optional=True) for name in MORE]


def wired_latents(leading: dict[str, Any], more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Those of the inputs that are wired, in the order of the sockets."""
    known = leading | {name: more.get(name) for name in MORE}
    return {name: latent for name, latent in known.items() if latent is not None}


def law_for(mode: str, samples: Tensor) -> Law:
    """The one that was asked for, or that the samples obey."""
    return law_of(samples) if mode == AUTO else next(law for law in LAWS if law == mode)


def told(laws: list[Law]) -> str:
    """What latents were taken for, in a line."""
    if len(set(laws)) == 1:
        return f"{WAYS[laws[0]].capitalize()}."
    counts = [f"{laws.count(law)} {WAYS[law]}" for law in LAWS if law in laws]
    return "; ".join(counts) + "."


def _weights(text: str, count: int) -> Tensor:
    """Weights as a person wrote them: `[lines, count]`."""
    rows = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        numbers = read_numbers(line, "weights")
        rows.append(numbers * count if len(numbers) == 1 else numbers)
        if len(rows[-1]) != count:
            raise GenartError(
                f"There are {count} latents and {len(numbers)} weights in {line!r}: give one for "
                "each, or a single one for all."
            )
    if not rows:
        raise GenartError("There are no weights: write one for each latent, as 2, 1, .5.")
    return torch.tensor(rows, dtype=torch.float64)
