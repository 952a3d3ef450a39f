"""The way of a LATENT through several: the frames of an animation."""

from typing import Any

import torch
from comfy_api.latest import io

from ..errors import check_choice
from ..host import latents as host
from ..host.progress import Progress, say
from ..host.schema import field, result, schema, within_bounds
from ..latent.journey import gone
from ..latent.laws import path
from .journey import MOST_FRAMES, journey, journey_fields
from .latent_blends import (
    CATEGORY,
    MODES,
    law_for,
    mode_field,
    more_latents,
    sizes_field,
    told,
    wired_latents,
)


class WalkLatents(io.ComfyNode):
    """A path through key latents."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartWalkLatents",
            "Latent Path",
            CATEGORY,
            description=(
                "Goes from latent to latent, through as many as you like, and back to the first: "
                "the frames of an animation, of noise or of encoded pictures."
            ),
            search_aliases=["interpolate", "latent walk", "keyframes", "slerp", "morph", "loop"],
            inputs=[
                field(
                    io.Latent,
                    "keys",
                    "The latents to visit, in their order: a batch, or the first of several.",
                ),
                *more_latents("More latents to visit, after those before it: one, or a batch."),
                field(io.Int, "frames", "Frames in all.", default=48, min=1, max=MOST_FRAMES),
                mode_field("great circles over the whole latent"),
                *journey_fields("key"),
                sizes_field(),
            ],
            outputs=[
                result(
                    io.Latent,
                    "path",
                    "latents",
                    "One latent a frame. A sampler gives all of them the same noise, so that "
                    "nothing flickers.",
                ),
                result(io.String, "about", "about", "What the latents were taken for."),
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls,
        keys: dict[str, Any],
        frames: int,
        mode: str,
        loop: bool,
        smooth: bool,
        easing: str,
        times: str,
        sizes: str,
        **more: dict[str, Any],
    ) -> io.NodeOutput:
        """Walk."""
        check_choice("mode", mode, MODES)
        wired, way = wired_latents({"keys": keys}, more), journey(loop, smooth, easing, times)
        samples = torch.cat([*host.alike(wired, sizes).values()])
        host.check_room(frames, samples, host.numbers_of_masks([*wired.values()]))
        law = law_for(mode, samples)
        made = gone(path(samples, way, frames, law), range(frames), Progress(frames).at)
        masks = None
        if any("noise_mask" in latent for latent in wired.values()):
            masks = host.masks_blended([*wired.values()], way.shares(len(samples), frames))
        index = host.index_of(keys, len(keys["samples"]))[:1] * frames
        about = told([law])
        return io.NodeOutput(host.carried(keys, made, masks, index), about, ui=say(about))
