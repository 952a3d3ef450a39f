"""What decides the shapes of a network. Light: a command line can know it without torch."""

from dataclasses import dataclass

from ...errors import GenartError
from .sizes import check_choice, check_sizes


def resolutions(resolution: int) -> list[int]:
    """The sides of the blocks, from the constant's (4 to 7) up to `resolution`, each the double.

    Raises:
        GenartError: when the resolution is not 4, 5, 6 or 7 times a power of two in 32..1024.
    """
    sides = [resolution]
    while sides[0] % 2 == 0 and sides[0] >= 8:
        sides.insert(0, sides[0] // 2)
    if not (4 <= sides[0] <= 7 and 32 <= resolution <= 1024):
        allowed = [b << k for b in (4, 5, 6, 7) for k in range(3, 9) if b << k <= 1024]
        near = sorted(sorted(allowed, key=lambda r: abs(r - resolution))[:2])
        raise GenartError(
            f"A StyleGAN2 cannot have resolution {resolution}: it must be 4, 5, 6 or 7 times a "
            f"power of two from 32 to 1024; the nearest are {near[0]} and {near[1]}."
        )
    return sides


@dataclass(frozen=True)
class StyleGAN2Spec:
    """Everything that decides the shapes of a StyleGAN2 generator.

    Attributes:
        resolution: side of the square picture.
        z_dim: length of z.
        w_dim: length of w.
        c_dim: number of classes, 0 for none.
        img_channels: channels of the picture.
        channel_base: a block of side r has `channel_base / r` channels, ...
        channel_max: ... at most this many.
        mapping_layers: layers of the mapping network.
        architecture: "skip" (each block adds to the picture), "resnet" or "orig" (a plain chain).
        conv_clamp: largest magnitude of features, in networks trained with half precision;
            0 for no limit.
    """

    resolution: int = 256
    z_dim: int = 512
    w_dim: int = 512
    c_dim: int = 0
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    mapping_layers: int = 8
    architecture: str = "skip"
    conv_clamp: float = 0.0

    def __post_init__(self) -> None:
        resolutions(self.resolution)
        check_choice("A StyleGAN2", self, "architecture", ("skip", "resnet", "orig"))
        limits: dict[str, tuple[float, float]] = {
            "z_dim": (1, 1 << 20),
            "w_dim": (1, 1 << 20),
            "c_dim": (0, 1 << 20),
            "img_channels": (1, 1 << 20),
            "channel_base": (1, 1 << 20),
            "channel_max": (1, 1 << 20),
            "mapping_layers": (1, 64),
            "conv_clamp": (0, 1e6),
        }
        check_sizes("A StyleGAN2", self, limits)

    @property
    def num_ws(self) -> int:
        """Number of copies of w that synthesis takes: one a convolution, one for the last RGB."""
        return 2 * len(resolutions(self.resolution))

    def channels(self, side: int) -> int:
        """Channels of the block of a side."""
        return max(1, min(self.channel_base // side, self.channel_max))
