"""What decides a picture beside its seed: class, styles of other latents, centres of truncation."""

from dataclasses import replace

from comfy_api.latest import io

from ..gan.centres import find_centres
from ..gan.classes import read_classes, with_classes
from ..gan.latents import GANLatent
from ..gan.styles import check_mixable, mix
from ..host import memory, sockets
from ..host.progress import Progress
from ..host.schema import field, result, schema, seed_field, within_bounds
from ..host.sockets import ManagedGAN
from ..ranges import read_ranges

CATEGORY = "genart/gan"


class SetGANClass(io.ComfyNode):
    """The same latents as other classes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartSetGANClass",
            "GAN Class",
            CATEGORY,
            description=(
                "Says which class each latent becomes, or a blend of classes, in a GAN that was "
                "trained with classes."
            ),
            search_aliases=["label", "conditional"],
            inputs=[
                field(sockets.Gan, "gan", "The GAN the latents are for."),
                field(sockets.GanLatents, "latents", "Latents in z, as from GAN Latent."),
                field(
                    io.String,
                    "classes",
                    "3: class 3 for all. 0, 3, 9: one for each latent. 0:0.7 + 3:0.3: a blend. "
                    "Classes are counted from 0.",
                    default="0",
                ),
            ],
            outputs=[
                result(
                    sockets.GanLatents,
                    "as_class",
                    "latents as class",
                    "The same latents as these classes.",
                )
            ],
        )

    @classmethod
    def execute(cls, gan: ManagedGAN, latents: GANLatent, classes: str) -> io.NodeOutput:
        """Set the classes."""
        spec = gan.loaded.spec
        chosen = read_classes(spec, classes, len(latents))
        return io.NodeOutput(with_classes(spec, latents, chosen))


class MixGANLatents(io.ComfyNode):
    """Some layers of one latent, the others of another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartMixGANLatents",
            "Mix GAN Latents",
            CATEGORY,
            description=(
                "Style mixing: takes some layers from other latents. The first layers decide pose "
                "and shape, the last ones colour and texture."
            ),
            search_aliases=["style mixing", "blend", "crossover"],
            inputs=[
                field(sockets.Gan, "gan", "The GAN the latents are for."),
                field(sockets.GanLatents, "latents", "What keeps its other layers."),
                field(
                    sockets.GanLatents,
                    "styles",
                    "What these layers come from: one latent for all, or as many.",
                ),
                field(
                    io.String,
                    "layers",
                    "Which layers to take, counted from 0, the coarsest: as 0, 3, 5-8; 4- is all "
                    "from 4 on.",
                    default="4-",
                ),
                field(
                    io.Float,
                    "amount",
                    "1 takes them, 0 leaves all as it is, 0.5 lies half way.",
                    default=1.0,
                    min=-2.0,
                    max=2.0,
                    step=0.05,
                ),
            ],
            outputs=[
                result(
                    sockets.GanLatents,
                    "mixed",
                    "mixed latents",
                    "As many as the first latents, with a style for each layer (w+).",
                )
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, gan: ManagedGAN, latents: GANLatent, styles: GANLatent, layers: str, amount: float
    ) -> io.NodeOutput:
        """Mix; the network comes to its device, since its mapping may be needed."""
        generator = gan.loaded.generator
        check_mixable(generator.spec)
        chosen = read_ranges(layers, generator.spec.num_ws, "layer")
        memory.load(gan.patcher)
        return io.NodeOutput(mix(generator, latents, styles, chosen, amount))


class FindGANCentres(io.ComfyNode):
    """Several averages of a GAN instead of one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartFindGANCentres",
            "Find GAN Centres",
            CATEGORY,
            description=(
                "Finds the centres around which a GAN's styles gather. Truncated towards the "
                "nearest of them, pictures get cleaner and stay more different than towards the "
                "one average."
            ),
            search_aliases=["multimodal truncation", "cluster", "k-means"],
            inputs=[
                field(sockets.Gan, "gan", "The GAN."),
                field(io.Int, "count", "How many centres.", default=16, min=1, max=256),
                field(
                    io.Int,
                    "samples",
                    "How many styles to look at: more gives steadier centres and takes longer.",
                    default=20000,
                    min=256,
                    max=200000,
                ),
                seed_field("Which styles to look at.", control=False),
            ],
            outputs=[
                result(
                    sockets.GanLatents,
                    "centres",
                    "centres",
                    "Latents in w, the one of the largest group first: for Sample GAN's centres, "
                    "or to be sampled themselves.",
                )
            ],
        )

    @classmethod
    @within_bounds
    def execute(cls, gan: ManagedGAN, count: int, samples: int, seed: int) -> io.NodeOutput:
        """Find them; the node shows how far it is."""
        memory.load(gan.patcher)
        progress = Progress(1)
        found = find_centres(gan.loaded.generator, count, samples, seed, progress.at)
        return io.NodeOutput(replace(found, model=gan.loaded.hash))
