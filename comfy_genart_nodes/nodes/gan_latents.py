"""Make a GAN's latents, walk between them, and pick, join and repeat them."""

from comfy_api.latest import io

from ..errors import check_choice
from ..gan.latents import GANLatent, from_seeds, join, pick, repeat
from ..gan.paths import path
from ..host import memory, sockets
from ..host.progress import Progress
from ..host.schema import field, result, schema, seed_field, within_bounds
from ..host.sockets import ManagedGAN
from ..ranges import read_ranges
from .journey import MOST_FRAMES, journey, loop_field, way_fields

CATEGORY = "genart/gan"
PATH_MODES = ["slerp z", "lerp w"]


class MakeGANLatent(io.ComfyNode):
    """Seeds to latents."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartMakeGANLatent",
            "GAN Latent",
            CATEGORY,
            description="Draws latents for a GAN: each seed stands for one picture.",
            search_aliases=["random z", "stylegan seed"],
            inputs=[
                field(sockets.Gan, "gan", "The GAN the latents are for."),
                seed_field("The first latent's seed; the next have the seeds after it."),
                field(
                    io.Int,
                    "batch_size",
                    "How many latents.",
                    default=1,
                    min=1,
                    max=MOST_FRAMES,
                ),
                field(
                    io.Int,
                    "class_index",
                    "Which class to make, counted from 0, where the GAN was trained with classes; "
                    "-1 for a GAN without classes.",
                    default=-1,
                    min=-1,
                    max=2**20,
                ),
            ],
            outputs=[
                result(sockets.GanLatents, "latents", "latents", "A batch in z, one for each seed.")
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, gan: ManagedGAN, seed: int, batch_size: int, class_index: int
    ) -> io.NodeOutput:
        """Draw the latents."""
        spec = gan.loaded.spec
        chosen = None if class_index < 0 else class_index
        return io.NodeOutput(from_seeds(spec, seed, batch_size, chosen, gan.loaded.hash))


class WalkGANLatents(io.ComfyNode):
    """A path through key latents."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartWalkGANLatents",
            "GAN Latent Path",
            CATEGORY,
            description="Walks from latent to latent: the frames of an animation for Sample GAN.",
            search_aliases=["interpolate", "latent walk", "slerp", "morph"],
            inputs=[
                field(
                    sockets.GanLatents,
                    "keys",
                    "The latents to visit, in their order: two or more.",
                ),
                field(io.Int, "frames", "Frames in all.", default=48, min=1, max=MOST_FRAMES),
                field(
                    io.Combo,
                    "mode",
                    "slerp z turns from key to key among the random numbers; lerp w walks "
                    "straight in the network's own space, which changes more evenly.",
                    options=PATH_MODES,
                    default="slerp z",
                ),
                loop_field("key"),
                field(
                    sockets.Gan,
                    "gan",
                    "The GAN the keys are for; lerp w needs it where the keys are in z.",
                    optional=True,
                ),
                *way_fields("key", optional=True),
            ],
            outputs=[result(sockets.GanLatents, "latents", "latents", "One latent a frame.")],
        )

    @classmethod
    @within_bounds
    def execute(
        cls,
        keys: GANLatent,
        frames: int,
        mode: str,
        loop: bool,
        gan: ManagedGAN | None = None,
        smooth: bool = False,
        easing: str = "linear",
        times: str = "",
    ) -> io.NodeOutput:
        """Walk; the network comes to its device where its mapping is needed."""
        check_choice("mode", mode, PATH_MODES)
        if gan is not None and mode == "lerp w":
            memory.load(gan.patcher)
        way = journey(loop, smooth, easing, times)
        done = Progress(frames).at
        return io.NodeOutput(path(keys, frames, mode, way, gan and gan.loaded, done))


class PickGANLatents(io.ComfyNode):
    """Some latents of a batch."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartPickGANLatents",
            "Pick GAN Latents",
            CATEGORY,
            description="Takes some latents out of a batch, in any order.",
            search_aliases=["select", "favourites"],
            inputs=[
                field(sockets.GanLatents, "latents", "The batch to choose from."),
                field(
                    io.String,
                    "indices",
                    "Which ones, counted from 0: as 0, 3, 5-8. A negative number counts from "
                    "the end.",
                    default="0",
                ),
            ],
            outputs=[
                result(
                    sockets.GanLatents,
                    "picked",
                    "picked latents",
                    "The chosen ones, in the order given.",
                )
            ],
        )

    @classmethod
    def execute(cls, latents: GANLatent, indices: str) -> io.NodeOutput:
        """Pick."""
        return io.NodeOutput(pick(latents, read_ranges(indices, len(latents))))


class JoinGANLatents(io.ComfyNode):
    """Two batches to one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartJoinGANLatents",
            "Join GAN Latents",
            CATEGORY,
            description="Puts two batches of latents of the same GAN one after the other.",
            search_aliases=["concat", "append"],
            inputs=[
                field(sockets.GanLatents, "first", "The batch that comes first."),
                field(sockets.GanLatents, "second", "The batch that follows."),
            ],
            outputs=[
                result(sockets.GanLatents, "joined", "joined latents", "Both batches as one.")
            ],
        )

    @classmethod
    def execute(cls, first: GANLatent, second: GANLatent) -> io.NodeOutput:
        """Join."""
        return io.NodeOutput(join(first, second))


class RepeatGANLatents(io.ComfyNode):
    """A batch several times."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartRepeatGANLatents",
            "Repeat GAN Latents",
            CATEGORY,
            description="Repeats a whole batch of latents, as to see them under other noise.",
            inputs=[
                field(sockets.GanLatents, "latents", "The batch to repeat."),
                field(
                    io.Int, "times", "How often it is there in the end.", default=2, min=1, max=256
                ),
            ],
            outputs=[
                result(
                    sockets.GanLatents,
                    "repeated",
                    "repeated latents",
                    "The batch, as often as asked.",
                )
            ],
        )

    @classmethod
    @within_bounds
    def execute(cls, latents: GANLatent, times: int) -> io.NodeOutput:
        """Repeat."""
        return io.NodeOutput(repeat(latents, times))
