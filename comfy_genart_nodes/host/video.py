"""Pictures to a video file as they are made, none of them kept."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import torch.nn.functional as F
from av.container import OutputContainer
from torch import Tensor

from ..files import written
from .progress import check_cancelled

BT709 = 1
"""The colour space that players take a video for which is larger than a stamp; so it is said."""

QUALITY = "16"
"""x264's constant rate factor: hard to tell from the pictures themselves."""


def write_mp4(path: Path, batches: Iterable[Tensor], fps: float, texts: dict[str, str]) -> None:
    """Write an H.264 video that any player and page shows, whole or not at all.

    Args:
        path: the file.
        batches: IMAGEs `[n, h, w, c]` in 0..1, all of one size. An odd side repeats its last line.
        fps: pictures a second.
        texts: what is written into the file beside them.

    Raises:
        GenartError: when the folder cannot be written or the disk is full.
        InterruptProcessingException: when the person pressed Cancel. Let it through.
    """
    keep_texts = {"movflags": "use_metadata_tags"}
    with (
        written(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options=keep_texts) as container,
    ):
        container.metadata.update(texts)
        stream = None
        for pictures in batches:
            for levels in _levels(pictures):
                check_cancelled()
                frame = av.VideoFrame.from_ndarray(levels.numpy(), format="rgb24")
                stream = stream or _stream(container, fps, frame)
                yuv = frame.reformat(format=stream.pix_fmt, dst_colorspace=BT709)
                container.mux(stream.encode(yuv))
        if stream is not None:
            container.mux(stream.encode(None))


def _stream(container: OutputContainer, fps: float, frame: av.VideoFrame) -> av.VideoStream:
    """A stream for frames of this size."""
    stream = container.add_stream("h264", rate=Fraction(fps).limit_denominator(1000))
    stream.width, stream.height = frame.width, frame.height
    stream.pix_fmt = "yuv420p"
    stream.options = {"crf": QUALITY}
    stream.codec_context.colorspace = BT709
    return stream


def _levels(pictures: Tensor) -> Tensor:
    """`[n, h, w, 3]` uint8 with even sides."""
    height, width = pictures.shape[1:3]
    rgb = pictures[..., :3].movedim(-1, 1)
    even = F.pad(rgb, (0, width % 2, 0, height % 2), mode="replicate")
    return (even * 255).round().clamp(0, 255).byte().movedim(1, -1).contiguous().cpu()
