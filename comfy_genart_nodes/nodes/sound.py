"""Sound as curves that pictures can follow, and a beat to try them with."""

from typing import Any

from comfy_api.latest import io, ui

from ..errors import check_choice
from ..host.images import read_image
from ..host.progress import share_shown
from ..host.schema import field, result, schema, seed_field, within_bounds
from ..host.sound import audio_of, waveform_of
from ..sound.beat import RATE, beat
from ..sound.curves import KINDS, curve
from ..sound.plot import plot

CATEGORY = "genart/sound"


class MakeAudioCurve(io.ComfyNode):
    """A sound to one number a frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartMakeAudioCurve",
            "Audio Curve",
            CATEGORY,
            description=(
                "Listens to a sound and gives a number from 0 to 1 for each frame of a video, for "
                "what is to move with it."
            ),
            search_aliases=["audio reactive", "music", "beat", "amplitude", "onset", "fft"],
            inputs=[
                field(io.Audio, "audio", "The sound: from Load Audio, or of a video."),
                field(
                    io.Combo,
                    "follow",
                    "Loudness: of all. Onsets: beats and notes, as they begin. Low: bass and bass "
                    "drum, below 250 Hz. Mid: voices and most instruments. High: cymbals and "
                    "hiss, above 4000 Hz.",
                    options=list(KINDS),
                    default=KINDS[0],
                ),
                field(
                    io.Float,
                    "fps",
                    "Frames a second: as many as the video has.",
                    default=24.0,
                    min=1.0,
                    max=240.0,
                    step=0.01,
                ),
                field(
                    io.Float,
                    "attack",
                    "Seconds in which the curve follows when the sound gets louder: 0 at once, "
                    "more is softer.",
                    default=0.0,
                    min=0.0,
                    max=60.0,
                    step=0.01,
                ),
                field(
                    io.Float,
                    "release",
                    "Seconds in which the curve falls when the sound gets quieter: with 0 it "
                    "flickers, with more every beat rings on.",
                    default=0.25,
                    min=0.0,
                    max=60.0,
                    step=0.01,
                ),
                field(
                    io.Float,
                    "gain",
                    "1: the strongest moment is 1. More lifts quiet moments, and cuts off what is "
                    "above 1.",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.05,
                ),
            ],
            outputs=[
                result(
                    io.Float,
                    "curve",
                    "curve",
                    "A list of numbers, one a frame, as other packs' audio nodes take it too.",
                ),
                result(io.Int, "frames", "frames", "How many frames the sound lasts."),
                result(io.Image, "picture", "picture", "The curve as a picture."),
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, audio: Any, follow: str, fps: float, attack: float, release: float, gain: float
    ) -> io.NodeOutput:
        """Listen."""
        check_choice("follow", follow, KINDS)
        waveform, rate = waveform_of(audio)
        made = curve(waveform, rate, follow, fps, attack, release, gain, share_shown())
        picture = read_image(plot(made, fps, follow))
        shown = ui.PreviewImage(picture, cls=cls)
        return io.NodeOutput(made.tolist(), len(made), picture, ui=shown)


class MakeTestBeat(io.ComfyNode):
    """A sound that everyone has."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartMakeTestBeat",
            "Test Beat",
            CATEGORY,
            description=(
                "A few bars of drums and bass, made on the spot, to try with what moves to sound "
                "before you have your own."
            ),
            search_aliases=["drums", "music", "rhythm", "synth", "audio"],
            inputs=[
                seed_field("Of the bass line."),
                field(
                    io.Float, "bpm", "Beats a minute.", default=112.0, min=30.0, max=300.0, step=1.0
                ),
                field(io.Int, "bars", "Of four beats each.", default=4, min=1, max=256),
            ],
            outputs=[result(io.Audio, "audio", "audio", "The sound, in stereo; yours to use.")],
        )

    @classmethod
    @within_bounds
    def execute(cls, seed: int, bpm: float, bars: int) -> io.NodeOutput:
        """Play."""
        return io.NodeOutput(audio_of(beat(seed, bpm, bars), RATE))
