"""Latents of any VAE to a video of any length."""

from collections.abc import Iterator
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..host import video
from ..host.images import to_image
from ..host.schema import field, schema, within_bounds
from ..host.vae import latents_of
from ..host.vae_passes import Passes

CATEGORY = "genart/latent"


class DecodeLatentsToVideo(io.ComfyNode):
    """Latents to a video file, frame by frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartDecodeLatentsToVideo",
            "Decode Latents to Video",
            CATEGORY,
            description=(
                "Decodes latents of any number into a video: every frame goes into the file as "
                "soon as it is made, so that memory does not grow with the length. One that was "
                "cancelled goes on where it was."
            ),
            search_aliases=["vae decode", "animation", "mp4", "latent walk", "batch decode"],
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                field(io.Vae, "vae", "The VAE of the latents."),
                field(
                    io.Latent,
                    "samples",
                    "One latent a frame; of latents with a time of their own, all their frames, "
                    "one batch entry after the other.",
                ),
                *video.video_fields("latent_video"),
                video.audio_field(),
            ],
            outputs=[video.video_result()],
        )

    @classmethod
    @within_bounds
    def execute(
        cls,
        vae: Any,
        samples: dict[str, Any],
        fps: float,
        filename_prefix: str,
        audio: Any = None,
    ) -> io.NodeOutput:
        """Decode batch by batch into the file."""
        passes = Passes(vae, total=0)
        items = passes.items(latents_of(samples))

        def make(start: int, end: int) -> Iterator[Tensor]:
            return (to_image(made) for made in passes.decoded(items[start:end]))

        height, width = (side * passes.factor for side in items.shape[-2:])
        lasting = items.ndim == 5 and items.shape[2] > 1
        footage = video.Footage(
            len(items),
            make,
            video.marked(passes.mark(), items),
            (width, height),
            part=1 if lasting else video.PART,  # a film is decoded whole
        )
        return video.save(footage, fps, filename_prefix, cls.hidden, audio)
