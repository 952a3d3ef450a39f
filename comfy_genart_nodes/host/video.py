"""Pictures to a video file as they are made, none of them kept; an interrupted one goes on.

A video is written in parts, files of their own that are joined without encoding anew. A part is
whole or absent, and what decides its pictures is in the name of its folder: after Cancel or a crash
the same video finds the parts it has, and its file is, byte for byte, that of one never stopped.
"""

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch
import torch.nn.functional as F
from av.container import OutputContainer
from comfy_api.latest import InputImpl, io, ui
from torch import Tensor

from ..errors import GenartError
from ..files import try_lock, unwritable, written
from . import outputs
from .folders import output_folder
from .images import to_bytes, to_picture
from .progress import Progress, check_cancelled, show_text
from .schema import field, result
from .sound import Soundtrack, waveform_of

BT709 = 1
"""The colour space that players take a video for which is larger than a stamp; so it is said."""

QUALITY = "16"
"""x264's constant rate factor: hard to tell from the pictures themselves."""

PART = 64
"""Latents of a part: what a crash costs. Each begins with a whole picture, which takes room."""

FORMAT = 1
"""Of parts: to be raised when they are encoded in another way, for parts of two do not go together.
"""

KEPT_DAYS = 7
"""Parts that nobody went on with for so long are removed when another video is begun."""


@dataclass(frozen=True, eq=False)
class Footage:
    """The pictures of a video, yet to be made.

    Attributes:
        count: of how many latents.
        make: IMAGEs `[n, h, w, c]` of latents from one place to before another, in batches, all
            of one size. An odd side repeats its last line.
        mark: of all that decides what they look like, as `marked` gives it.
        size: about their width and height, for `%width%` in names.
        part: latents of a part.
    """

    count: int
    make: Callable[[int, int], Iterable[Tensor]]
    mark: str
    size: tuple[int, int]
    part: int = PART


def video_fields(prefix: str) -> list[io.Input]:
    """Speed and name of a video's file: what `save` takes beside the sound."""
    return [
        field(io.Float, "fps", "Frames a second.", default=24.0, min=1.0, max=240.0, step=0.01),
        field(
            io.String,
            "filename_prefix",
            "The file's name in ComfyUI's output folder, up to its number; folders inside "
            "it are made.",
            default=prefix,
        ),
    ]


def audio_field() -> io.Input:
    """The sound of a video."""
    return field(
        io.Audio, "audio", "A sound for the video, which is as long as its frames.", optional=True
    )


def video_result() -> io.Output:
    """The output of a node that saves a video."""
    return result(io.Video, "video", "video", "The file, for Save Video and other video nodes.")


def save(
    footage: Footage,
    fps: float,
    prefix: str,
    hidden: io.HiddenHolder,
    audio: Mapping[str, Any] | None = None,
) -> io.NodeOutput:
    """Write an H.264 video that any player and page shows, whole or not at all, and show it.

    Args:
        footage: its pictures.
        fps: pictures a second.
        prefix: its name in the output folder.
        hidden: of the node, for the workflow that is written into the file.
        audio: its sound, ComfyUI's AUDIO.

    Returns:
        ComfyUI's VIDEO.

    Raises:
        GenartError: when the prefix leaves the output folder, the folder cannot be written, the
            disk is full, or AUDIO holds no sound or several.
        InterruptProcessingException: when the person pressed Cancel. Let it through.
    """
    outputs.series(prefix, *footage.size)  # refused now, not when hours of pictures are made
    if audio is not None:
        waveform_of(audio)
    decides = (footage.mark, fps, QUALITY, footage.part, FORMAT, av.__version__)
    folder = unfinished() / marked(*decides)
    _forget_abandoned(folder)
    with _alone(folder):
        parts = _parts(folder, footage, fps)
        path = outputs.series(prefix, *footage.size).path(".mp4")  # others may have been saved
        _join(path, parts, outputs.workflow_texts(hidden), audio)
    shutil.rmtree(folder, ignore_errors=True)
    shown = ui.PreviewVideo([outputs.shown(path)])
    return io.NodeOutput(InputImpl.VideoFromFile(str(path)), ui=shown)


def unfinished() -> Path:
    """The folder with parts of videos that are not finished; its folders bear their marks.

    In the output folder, for ComfyUI empties its folder for temporary files when it starts.
    """
    return output_folder() / "genart" / "unfinished_videos"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others from making the same video in the same folder meanwhile.

    Raises:
        GenartError: when another one does.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a+b")
    except OSError as error:
        raise unwritable(folder, error) from error
    with file:
        held = True
        with suppress(OSError):  # on a disk without locks nobody is kept away
            held = try_lock(file)
        if not held:
            raise GenartError(
                "Another ComfyUI is making this very video: wait for it, or name another file and "
                "change something of what it shows."
            )
        yield


def _whole(part: Path) -> bool:
    """Whether a part is there and can be read: disks lose files."""
    try:
        with av.open(str(part)) as made:
            return made.streams.video[0].frames > 0
    except (OSError, ValueError, IndexError):
        return False


def marked(*values: object) -> str:
    """A hash of tensors, of dataclasses that hold some, and of what prints all that it is."""
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype} {tuple(value.shape)};".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        elif is_dataclass(value):
            digest.update(marked(*(getattr(value, each.name) for each in fields(value))).encode())
        else:
            digest.update(f"{value!r};".encode())
    return digest.hexdigest()[:32]


def _parts(folder: Path, footage: Footage, fps: float) -> list[Path]:
    """All parts of a video; those that are missing are made."""
    progress, told = Progress(footage.count), False
    parts = []
    for start in range(0, footage.count, footage.part):
        end = min(start + footage.part, footage.count)
        part = folder / f"{start:08}.mp4"
        parts.append(part)
        if _whole(part):
            progress.at(end)
            continue
        if start and not told:
            show_text(f"Goes on at {start} of {footage.count} latents.")
        told = True
        _write(part, _seen(footage.make(start, end), progress, start, end), fps)
    return parts


def _seen(batches: Iterable[Tensor], progress: Progress, done: int, end: int) -> Iterator[Tensor]:
    """The same batches; the node shows how far they are, and the last picture.

    Of films, which have more pictures than latents, it shows the part's end when it is near.
    """
    for pictures in batches:
        yield pictures
        done = min(done + len(pictures), end)
        progress.at(done, preview=to_picture(pictures[-1]))


def _write(path: Path, batches: Iterable[Tensor], fps: float) -> None:
    """Encode one part."""
    with written(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
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


def _join(
    path: Path, parts: list[Path], texts: dict[str, str], audio: Mapping[str, Any] | None
) -> None:
    """Put parts behind each other into one file, as they are, with texts and sound beside them."""
    keep_texts = {"movflags": "use_metadata_tags"}
    with (
        written(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options=keep_texts) as container,
    ):
        container.metadata.update(texts)
        with av.open(str(parts[0])) as first:
            # Opaque: without an encoder of its own, whose tables would not be the parts'.
            stream = container.add_stream_from_template(first.streams.video[0], opaque=True)
        track = None if audio is None else Soundtrack(container, audio)
        begins, lead = 0, None
        for part in parts:
            check_cancelled()
            begins, lead = _append(container, stream, part, begins, lead, track)
        if track is not None:
            track.close()


def _append(
    container: OutputContainer,
    stream: av.VideoStream,
    part: Path,
    begins: int,
    lead: int | None,
    track: Soundtrack | None,
) -> tuple[int, int | None]:
    """Put a part at a time of the whole, in its unit, and what is heard meanwhile.

    Args:
        container: the file.
        stream: of it.
        part: to append.
        begins: when.
        lead: when the first part's decoding begins, which a part of one or two frames does later.
        track: the sound.

    Returns:
        When it ends, and the lead.
    """
    first = None
    with av.open(str(part)) as source:
        given = source.streams.video[0]
        assert given.time_base is not None
        ends = begins + (given.duration or 0)
        if track is not None:
            track.until(float(ends * given.time_base))
        for packet in source.demux(given):
            if packet.dts is None or packet.pts is None:  # the last, which is empty
                continue
            first = packet.dts if first is None else first
            lead = first if lead is None else lead
            packet.pts += begins
            packet.dts += begins + lead - first
            packet.stream = stream
            container.mux(packet)
    return ends, lead


def _stream(container: OutputContainer, fps: float, frame: av.VideoFrame) -> av.VideoStream:
    """A stream for frames of this size."""
    stream = container.add_stream("h264", rate=Fraction(fps).limit_denominator(1001))
    stream.width, stream.height = frame.width, frame.height
    stream.pix_fmt = "yuv420p"
    options = {"crf": QUALITY}
    if "AVX512" in torch.backends.cpu.get_cpu_capability():
        # x264's code for AVX-512 gives other bytes from time to time (core 165: where it looks
        # ahead); at all other times they are those of its code for AVX2.
        options["x264-params"] = "asm=avx2"
    stream.options = options
    stream.codec_context.colorspace = BT709
    return stream


def _levels(pictures: Tensor) -> Tensor:
    """`[n, h, w, 3]` uint8 with even sides."""
    height, width = pictures.shape[1:3]
    rgb = torch.from_numpy(to_bytes(pictures)[..., :3]).movedim(-1, 1)
    if height % 2 or width % 2:
        rgb = F.pad(rgb, (0, width % 2, 0, height % 2), mode="replicate")
    return rgb.movedim(1, -1).contiguous()


def _forget_abandoned(ours: Path) -> None:
    """Remove parts that nobody has gone on with for long."""
    oldest = time.time() - KEPT_DAYS * 24 * 3600
    for folder in unfinished().glob("*"):
        with suppress(OSError):  # another ComfyUI may be as fast
            ends = re.fullmatch("[0-9a-f]{32}", folder.name)  # and no run of that name
            if ends and folder != ours and folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
