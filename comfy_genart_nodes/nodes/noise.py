"""Noise that travels from frame to frame, for samplers."""

from typing import Any

from comfy_api.latest import io

from ..errors import check_choice
from ..host.noise import TravellingNoise, with_noise
from ..host.schema import field, result, schema, seed_field, within_bounds
from ..latent.noise import NoiseLoop, SeedTravel
from ..ranges import LARGEST_SEED, read_seeds
from .journey import MOST_FRAMES, journey, journey_fields

CATEGORY = "genart/latent"
PATHS = ["circle", "wander"]
BATCH, TIME = "batch", "time"
ALONG = [BATCH, TIME]


def _frames_fields() -> list[io.Input]:
    return [
        field(
            io.Int,
            "frames",
            "How many frames there are in all. 0: as many as latents. A number is needed where a "
            "sampler gets them in parts, from Rebatch Latents.",
            default=0,
            min=0,
            max=MOST_FRAMES,
        ),
        field(
            io.Combo,
            "along",
            "batch: each latent of the batch is a frame. time: each moment of the one film is, in "
            "latents of a video model.",
            options=ALONG,
            default=BATCH,
        ),
    ]


class TravelNoise(io.ComfyNode):
    """From seed to seed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartTravelNoise",
            "Noise Travel",
            CATEGORY,
            description=(
                "Noise that turns from one seed's into the next's, frame by frame: an animation "
                "from the picture of one seed to that of another."
            ),
            search_aliases=["seed travel", "slerp noise", "interpolate seeds", "RandomNoise"],
            inputs=[
                field(
                    io.String,
                    "seeds",
                    "The seeds to travel through, in their order: two or more, as 1, 7, 20-22.",
                    default="1, 7, 20",
                ),
                *_frames_fields(),
                *journey_fields("seed"),
            ],
            outputs=[
                result(io.Noise, "noise", "noise", "For SamplerCustomAdvanced: frame by frame.")
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, seeds: str, frames: int, along: str, loop: bool, smooth: bool, easing: str, times: str
    ) -> io.NodeOutput:
        """Say which way."""
        check_choice("along", along, ALONG)
        travel = SeedTravel(read_seeds(seeds), journey(loop, smooth, easing, times))
        return io.NodeOutput(TravellingNoise(travel, frames, along == TIME))


class LoopNoise(io.ComfyNode):
    """Round and back to one seed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartLoopNoise",
            "Noise Loop",
            CATEGORY,
            description=(
                "Noise that changes from frame to frame and comes back to where it began: an "
                "animation without an end from one seed."
            ),
            search_aliases=["seed travel", "seamless loop", "cinemagraph", "RandomNoise"],
            inputs=[
                seed_field(
                    "Of the noise; a circle begins with this seed's own picture.",
                    most=LARGEST_SEED,
                ),
                field(
                    io.Combo,
                    "path",
                    "circle: in equal steps. wander: on several circles at once, now slower, now "
                    "faster, as things drift.",
                    options=PATHS,
                    default="circle",
                ),
                *_frames_fields(),
            ],
            outputs=[
                result(io.Noise, "noise", "noise", "For SamplerCustomAdvanced: frame by frame.")
            ],
        )

    @classmethod
    @within_bounds
    def execute(cls, seed: int, path: str, frames: int, along: str) -> io.NodeOutput:
        """Say which way."""
        check_choice("path", path, PATHS)
        check_choice("along", along, ALONG)
        travel = NoiseLoop(seed, "circle" if path == "circle" else "wander")
        return io.NodeOutput(TravellingNoise(travel, frames, along == TIME))


class SetModelNoise(io.ComfyNode):
    """Any NOISE for samplers that take only a seed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartSetModelNoise",
            "Noise for KSampler",
            CATEGORY,
            description=(
                "Lets a KSampler, or any other sampler, begin with noise of your choice: it goes "
                "in with the model."
            ),
            search_aliases=["seed travel", "custom noise", "patch", "batch seeds"],
            inputs=[
                field(io.Model, "model", "The model on its way to the sampler."),
                field(io.Noise, "noise", "From Noise Travel, Noise Loop, or any other."),
                field(io.Latent, "samples", "The same latents that go into the sampler."),
            ],
            outputs=[
                result(io.Model, "with_noise", "MODEL", "The model, which brings its noise along.")
            ],
        )

    @classmethod
    def execute(cls, model: Any, noise: Any, samples: dict[str, Any]) -> io.NodeOutput:
        """Wrap the model."""
        return io.NodeOutput(with_noise(model, noise, samples))
