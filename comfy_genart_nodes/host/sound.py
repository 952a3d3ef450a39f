"""ComfyUI's AUDIO as the engine's waveform, and back; and as the sound of a video."""

from collections.abc import Mapping
from typing import Any

import av
from av.container import OutputContainer
from torch import Tensor

from ..errors import GenartError

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Samples a second that AAC knows; others are played at 48,000."""


def waveform_of(audio: Mapping[str, Any] | None) -> tuple[Tensor, int]:
    """The one sound of an AUDIO, `[channels, samples]`, and its samples a second.

    Raises:
        GenartError: when it holds several, or none, or numbers that are none.
    """
    if audio is None:  # of a video without sound
        raise GenartError("This video has no sound: choose one that has, or wire Load Audio.")
    waveform, rate = audio["waveform"], int(audio["sample_rate"])
    if waveform.ndim != 3:
        raise GenartError(
            f"This AUDIO has the shape {list(waveform.shape)} and not that of a batch, channels, "
            "samples: wire Load Audio."
        )
    if len(waveform) != 1 or 0 in waveform.shape:
        raise GenartError(
            f"This AUDIO holds {len(waveform) if waveform.numel() else 'no'} sounds: wire one "
            "alone."
        )
    if not waveform.isfinite().all():
        raise GenartError("This sound holds values that are no numbers: look at what made it.")
    return waveform[0].cpu(), rate


def audio_of(waveform: Tensor, rate: int) -> dict[str, Any]:
    """A waveform `[channels, samples]` as AUDIO."""
    return {"waveform": waveform[None], "sample_rate": rate}


class Soundtrack:
    """The sound of a video that is being written; as much of it as there are pictures.

    Args:
        container: the video's file.
        audio: one sound. Of more than two channels the mix is heard.

    Raises:
        GenartError: when it holds several, or none.
    """

    def __init__(self, container: OutputContainer, audio: Mapping[str, Any]) -> None:
        waveform, self.rate = waveform_of(audio)
        self.waveform = waveform if len(waveform) <= 2 else waveform.mean(dim=0, keepdim=True)
        self.layout = "stereo" if len(self.waveform) == 2 else "mono"
        played = self.rate if self.rate in AAC_RATES else 48_000
        self.container, self.at = container, 0
        self.stream = container.add_stream("aac", rate=played, layout=self.layout)

    def until(self, seconds: float) -> None:
        """Write what is heard up to a time, before the pictures behind it are written."""
        end = min(round(seconds * self.rate), self.waveform.shape[1])
        if end > self.at:
            part = self.waveform[:, self.at : end].float().clamp(-1, 1).contiguous()
            frame = av.AudioFrame.from_ndarray(part.numpy(), format="fltp", layout=self.layout)
            frame.sample_rate, frame.pts = self.rate, self.at
            self.container.mux(self.stream.encode(frame))
            self.at = end

    def close(self) -> None:
        """Write what the encoder has kept back."""
        self.container.mux(self.stream.encode(None))
