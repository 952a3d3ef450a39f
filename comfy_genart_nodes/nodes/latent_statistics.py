"""Latents in figures: what they are like, and one given what another is like."""

from typing import Any

from comfy_api.latest import io

from ..errors import check_choice
from ..host import latents as host
from ..host.memory import collect
from ..host.progress import Progress, say
from ..host.schema import field, result, schema, within_bounds
from ..host.vae import latents_of
from ..latent import doctor
from ..latent.matching import WAYS, How, match

CATEGORY = "genart/latent"


class ExamineLatent(io.ComfyNode):
    """What a latent is, and what is wrong with it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartExamineLatent",
            "Latent Doctor",
            CATEGORY,
            description=(
                "Says what latents are (noise, pictures, of which model) in figures, and what is "
                "wrong with them in words."
            ),
            search_aliases=["debug latent", "statistics", "nan", "std", "kurtosis", "inspect"],
            is_output_node=True,
            inputs=[field(io.Latent, "samples", "Latents of pictures or films, of any model.")],
            outputs=[result(io.String, "report", "report", "What the node shows, as text.")],
        )

    @classmethod
    def execute(cls, samples: dict[str, Any]) -> io.NodeOutput:
        """Look at each."""
        latents = latents_of(samples)
        text = doctor.report(latents, Progress(len(latents)).at)
        return io.NodeOutput(text, ui=say(text))


class MatchLatentStatistics(io.ComfyNode):
    """A latent with the contrast of another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartMatchLatentStatistics",
            "Match Latent Statistics",
            CATEGORY,
            description=(
                "Gives latents the contrast and colour of a reference, or how much fine detail it "
                "has, channel by channel."
            ),
            search_aliases=["adain", "color match", "normalize", "contrast", "transfer"],
            inputs=[
                field(io.Latent, "samples", "The latents to change."),
                field(
                    io.Latent,
                    "reference",
                    "What they are to be like, of the same VAE: as many, or one for all (or one "
                    "latent for several references).",
                ),
                field(
                    io.Combo,
                    "how",
                    "moments: mean and deviation of each channel, which is colour and contrast. "
                    "spectrum: how coarse and fine detail are balanced too; it needs latents of "
                    "one size.",
                    options=list(WAYS),
                    default="moments",
                ),
                field(
                    io.Float,
                    "strength",
                    "0 changes nothing, 1 gives all of it, more exaggerates.",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                ),
            ],
            outputs=[result(io.Latent, "matched", "latents", "The latents, changed.")],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, samples: dict[str, Any], reference: dict[str, Any], how: str, strength: float
    ) -> io.NodeOutput:
        """Match, one after the other."""
        check_choice("how", how, WAYS)
        chosen: How = "moments" if how == "moments" else "spectrum"
        wired = {"samples": samples, "reference": reference}
        read = {name: host.samples_of(name, latent) for name, latent in wired.items()}
        host.check_channels(read)
        x, like = host.as_many(read)
        pieces = (
            match(one[None], other[None], chosen, strength)
            for one, other in zip(x, like, strict=True)
        )
        made = collect(pieces, len(x), Progress(len(x)).at)
        changed = samples | {"samples": made}
        if len(made) > len(read["samples"]):  # one latent like each of several references
            changed["batch_index"] = host.index_of(samples, 1) * len(made)
        return io.NodeOutput(changed)
