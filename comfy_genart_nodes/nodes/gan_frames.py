"""Which part of the plane a GAN's pictures show: moved and turned, or a canvas of another size."""

from dataclasses import replace

from comfy_api.latest import io

from ..gan.networks.generator import Frame
from ..gan.networks.transforms import matrix
from ..gan.sampling import check_frame
from ..host import sockets
from ..host.schema import field, result, schema, within_bounds
from ..host.sockets import ManagedGAN

CATEGORY = "genart/gan"
LARGEST_SIDE = 8192


class TransformGAN(io.ComfyNode):
    """A GAN whose pictures are moved and turned."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartTransformGAN",
            "Transform GAN",
            CATEGORY,
            description=(
                "A StyleGAN3 whose pictures are turned and moved: it draws what lies beyond the "
                "old edge, instead of shifting pixels. Two in a row add up."
            ),
            search_aliases=["rotate", "translate", "stylegan3"],
            inputs=[
                field(sockets.Gan, "gan", "A StyleGAN3."),
                field(
                    io.Float,
                    "x",
                    "How far to the right, in widths of the picture.",
                    default=0.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                ),
                field(
                    io.Float,
                    "y",
                    "How far down, in heights of the picture.",
                    default=0.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                ),
                field(
                    io.Float,
                    "degrees",
                    "How far to turn around the picture's middle, counter-clockwise, before it is "
                    "moved.",
                    default=0.0,
                    min=-360.0,
                    max=360.0,
                    step=0.5,
                ),
            ],
            outputs=[
                result(
                    sockets.Gan,
                    "transformed",
                    "transformed GAN",
                    "The same network, its pictures turned and moved.",
                )
            ],
        )

    @classmethod
    @within_bounds
    def execute(cls, gan: ManagedGAN, x: float, y: float, degrees: float) -> io.NodeOutput:
        """Add the movement to the GAN's frame."""
        before, change = gan.frame.transform, matrix(x, y, degrees)
        after = change if before is None else change @ before
        return io.NodeOutput(_framed(gan, replace(gan.frame, transform=after)))


class SetGANCanvas(io.ComfyNode):
    """A GAN whose pictures have another size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartSetGANCanvas",
            "GAN Canvas",
            CATEGORY,
            description=(
                "A StyleGAN2 that fills a canvas of another size or shape: it goes on drawing, "
                "instead of stretching the picture."
            ),
            search_aliases=["size", "wide", "non-square", "panorama"],
            inputs=[
                field(sockets.Gan, "gan", "A StyleGAN2."),
                field(
                    io.Int,
                    "width",
                    "Width of the pictures in pixels.",
                    default=512,
                    min=8,
                    max=LARGEST_SIDE,
                    step=8,
                ),
                field(
                    io.Int,
                    "height",
                    "Height of the pictures in pixels.",
                    default=512,
                    min=8,
                    max=LARGEST_SIDE,
                    step=8,
                ),
            ],
            outputs=[
                result(
                    sockets.Gan,
                    "on_canvas",
                    "GAN on canvas",
                    "The same network, its pictures of this size.",
                )
            ],
        )

    @classmethod
    @within_bounds
    def execute(cls, gan: ManagedGAN, width: int, height: int) -> io.NodeOutput:
        """Set the canvas of the GAN's frame."""
        return io.NodeOutput(_framed(gan, replace(gan.frame, canvas=(height, width))))


def _framed(gan: ManagedGAN, frame: Frame) -> ManagedGAN:
    """The GAN in another frame, if it can show one."""
    check_frame(gan.loaded.generator, frame)
    return replace(gan, frame=frame)
