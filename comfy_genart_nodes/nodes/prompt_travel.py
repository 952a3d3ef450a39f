"""Prompts that turn into each other, frame by frame."""

from comfy_api.latest import io

from ..host.conditioning import Conditioning, in_batches, parts_of
from ..host.memory import check_bytes
from ..host.progress import share_shown
from ..host.schema import field, result, schema, within_bounds
from ..latent.prompts import travel
from .journey import MOST_FRAMES, journey, journey_fields

CATEGORY = "genart/latent"
"""Steps of the bar."""


class TravelPrompt(io.ComfyNode):
    """From prompt to prompt."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartTravelPrompt",
            "Prompt Travel",
            CATEGORY,
            description=(
                "Prompts that turn into each other: one for each frame of a batch, for a sampler."
            ),
            search_aliases=["prompt schedule", "morph", "interpolate", "conditioning average"],
            inputs=[
                field(io.Conditioning, "prompt_1", "Where it begins."),
                field(io.Conditioning, "prompt_2", "Where it goes next."),
                field(io.Conditioning, "prompt_3", "And next.", optional=True),
                field(io.Conditioning, "prompt_4", "And next.", optional=True),
                field(
                    io.Int,
                    "frames",
                    "How many frames in all: as many as the sampler has latents.",
                    default=48,
                    min=1,
                    max=MOST_FRAMES,
                ),
                field(
                    io.Int,
                    "batch_size",
                    "How many frames the sampler gets at a time: the same as in Rebatch Latents. "
                    "0: all at once.",
                    default=0,
                    min=0,
                    max=4096,
                ),
                *journey_fields("prompt"),
            ],
            outputs=[
                result(
                    io.Conditioning,
                    "prompts",
                    "prompts",
                    "For the sampler: a prompt for each frame, a batch after the other.",
                    is_output_list=True,
                )
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls,
        prompt_1: Conditioning,
        prompt_2: Conditioning,
        frames: int,
        batch_size: int,
        loop: bool,
        smooth: bool,
        easing: str,
        times: str,
        prompt_3: Conditioning | None = None,
        prompt_4: Conditioning | None = None,
    ) -> io.NodeOutput:
        """Travel."""
        wired = [each for each in (prompt_1, prompt_2, prompt_3, prompt_4) if each is not None]
        keys = [parts_of(each, number) for number, each in enumerate(wired, 1)]
        each = sum(part[0].numel() * part.element_size() for part in keys[0].values())
        check_bytes(frames * each, f"{frames:,} prompts")
        way = journey(loop, smooth, easing, times)
        made = travel(keys, way, frames, share_shown())
        return io.NodeOutput(in_batches(prompt_1, made, batch_size))
