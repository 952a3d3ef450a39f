"""What an artist sees: ComfyUI's V3 nodes."""

from comfy_api.latest import ComfyExtension, io

from ..host import folders
from . import dataset, gan, gan_latents, training

NODES: list[type[io.ComfyNode]] = [
    gan.LoadGAN,
    gan.SaveGAN,
    gan.SampleGAN,
    gan_latents.MakeGANLatent,
    gan_latents.WalkGANLatents,
    gan_latents.PickGANLatents,
    gan_latents.JoinGANLatents,
    gan_latents.RepeatGANLatents,
    dataset.OpenPictureFolder,
    training.TrainGAN,
]


class GenartExtension(ComfyExtension):
    """The pack, as ComfyUI takes it in."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes."""
        return NODES


async def comfy_entrypoint() -> GenartExtension:
    """Called once by ComfyUI while it loads the pack."""
    folders.register()
    return GenartExtension()
