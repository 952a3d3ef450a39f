"""One way to encode and decode, whatever class does it."""

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import GenartError
from ..latent.families import family
from .config import KINDS, Kind
from .latent_spaces import ANOTHER, LatentSpace, check_family
from .networks.autoencoder import Autoencoder

_SIDE, _FRAMES = 256, 9
_SEED = 0


@dataclass(frozen=True)
class Layout:
    """How latents lie.

    Attributes:
        channels: of latents as they travel.
        factor: pixels along a side for each place of the latents.
        frames: pictures of a film for each frame of the latents after the first; None where latents
            are of pictures, `[n, c, h, w]` and not `[n, c, t, h, w]`.
    """

    channels: int
    factor: int
    frames: int | None = None


def measured(network: nn.Module, space: LatentSpace) -> Layout:
    """The layout of a network on the meta device, where nothing is computed.

    Raises:
        ValueError: when its encoder and its decoder do not go together.
        Exception: whatever its class raises, with settings that do not go together.
    """
    video = KINDS[type(network).__name__].video
    shape = (1, 3, _FRAMES, _SIDE, _SIDE) if video else (1, 3, _SIDE, _SIDE)
    with torch.no_grad(), torch.device("meta"):
        latents = _encode(network, space, torch.empty(shape))
        if type(network).__name__ not in _DECODERS:  # those need numbers
            back = _decode(network, space, latents).shape
            if back != shape:
                raise ValueError(f"{list(shape)} comes back as {list(back)}")
    frames = (_FRAMES - 1) // (latents.shape[2] - 1) if video else None
    return Layout(latents.shape[1], _SIDE // latents.shape[-1], frames)


class SocketVAE(nn.Module, ABC):
    """An autoencoder for pictures in -1..1, `[n, 3, h, w]`, or films, `[n, 3, t, h, w]`.

    A module that holds the network, rather than the network itself: diffusers' own have a `device`
    that nobody can set, and hosts do.

    Args:
        network: the autoencoder.
        layout: how its latents lie.
        kind: what is particular about it.
        wide: compute in float32 whatever the dtype of the weights.
    """

    def __init__(self, network: nn.Module, layout: Layout, kind: Kind, wide: bool = False) -> None:
        super().__init__()
        self.network, self.layout, self.kind, self.wide = network, layout, kind, wide
        self.class_name = type(network).__name__

    @abstractmethod
    def encoded(self, pictures: Tensor) -> Tensor:
        """Latents as they travel, in the dtype of the weights."""

    @abstractmethod
    def decoded(self, latents: Tensor) -> Tensor:
        """Pictures, in the dtype of the weights."""

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures in -1..1 to latents: the likeliest, where the class gives a distribution."""
        return self._sure(self.encoded, pictures)

    def decode(self, latents: Tensor, **_: Any) -> Tensor:
        """Latents to pictures, about -1..1; equal ones for equal latents.

        Args:
            latents: `[n, channels, h, w]`, for films `[n, channels, t, h, w]`.
            _: what hosts ask of some VAEs of their own.

        Raises:
            GenartError: when they are another family's.
        """
        self._check(latents)
        return self._sure(self.decoded, latents)

    def _check(self, latents: Tensor) -> None:
        check_family(latents, self.layout.channels, self.class_name)
        if latents.ndim != 4 + self.kind.video:
            made, taken = ("pictures", "films") if self.kind.video else ("films", "pictures")
            raise GenartError(
                f"These are latents of {made}, and this {self.class_name} takes those of {taken}: "
                f"{ANOTHER}."
            )

    def _sure(self, work: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        """Work in the dtype of the weights, and again in float32 where that ran over."""
        weight = next(self.network.parameters())
        if weight.device != values.device:  # a host told to keep nothing on the device
            self.to(values.device)
        dtype = weight.dtype
        if dtype is torch.float32:
            return work(values.float())
        if not self.wide:
            made = work(values.to(dtype))
            if not ran_over(self.class_name, made, values):
                return made
            self.wide = True
        with self._widened(dtype):
            return work(values.float())

    @contextmanager
    def _widened(self, dtype: torch.dtype) -> Iterator[None]:
        """In float32 for a while; half precision comes back as it was, bit by bit."""
        try:
            self.float()
            yield
        finally:
            self.to(dtype)


class PictureVAE(SocketVAE):
    """One of diffusers' autoencoders.

    Args:
        network: of a class of `KINDS`.
        layout: how its latents lie.
        space: how they travel.
        wide: compute in float32 whatever the dtype of the weights.
    """

    def __init__(
        self, network: nn.Module, layout: Layout, space: LatentSpace, wide: bool = False
    ) -> None:
        super().__init__(network, layout, KINDS[type(network).__name__], wide)
        self.space = space

    def encoded(self, pictures: Tensor) -> Tensor:
        """As of `SocketVAE`."""
        return _encode(self.network, self.space, pictures)

    def decoded(self, latents: Tensor) -> Tensor:
        """As of `SocketVAE`."""
        return _decode(self.network, self.space, latents)


class OwnVAE(SocketVAE):
    """One of this pack's autoencoders.

    Args:
        network: in evaluation mode, on the CPU.
        header: what its file says of it (`files.LoadedVAE`).

    Attributes:
        latent_statistics: what its trainer measured of latents, as in the header; None where
            nobody did.
    """

    network: Autoencoder

    def __init__(self, network: Autoencoder, header: Mapping[str, Any] | None = None) -> None:
        self.header = dict(header or {})
        self.latent_statistics: dict[str, list[float]] | None = self.header.get("latents")
        self._learned: tuple[Autoencoder, ...] = ()
        layout = Layout(network.channels, network.factor)
        super().__init__(network, layout, Kind(numbers=network.numbers))

    def keep_learned(self) -> None:
        """Keep the weights as they are, before they are rounded to half precision."""
        self._learned = (copy.deepcopy(self.network),)  # in a tuple: not a part that moves along

    @property
    def learned(self) -> Autoencoder:
        """The network with the weights it came with."""
        return self._learned[0] if self._learned else self.network

    def encoded(self, pictures: Tensor) -> Tensor:
        """As of `SocketVAE`."""
        return self.network.encode(pictures)

    def decoded(self, latents: Tensor) -> Tensor:
        """As of `SocketVAE`."""
        return self.network.decode(latents)


def ran_over(name: str, made: Tensor, values: Tensor) -> bool:
    """Whether numbers became none on their way through a VAE; the log tells if so."""
    if made.isfinite().all() or not values.isfinite().all():
        return False
    logging.warning(
        "genart: %s gave values that are no numbers in %s: done again in float32, in which it "
        "works from now on.",
        name,
        str(made.dtype).removeprefix("torch."),
    )
    return True


def _encode(network: Any, space: LatentSpace, pictures: Tensor) -> Tensor:
    made = network.encode(pictures)
    if hasattr(made, "latent_dist"):
        z = made.latent_dist.mode()
    else:
        z = made.latents if hasattr(made, "latents") else made.latent
    return space.travelling(z)


def _decode(network: Any, space: LatentSpace, latents: Tensor) -> Tensor:
    made: Tensor = _DECODERS.get(type(network).__name__, _plainly)(network, space.own(latents))
    return made


def _plainly(network: Any, z: Tensor) -> Tensor:
    made: Tensor = network.decode(z).sample
    return made


def _as_a_film(network: Any, z: Tensor) -> Tensor:
    """The batch is one film, as ComfyUI decodes such VAEs."""
    made: Tensor = network.decode(z, num_frames=len(z)).sample
    return made


def _from_noise(network: Any, z: Tensor) -> Tensor:
    """One by one, each from the same noise, so that no picture depends on its batch."""
    made = [
        network.decode(each, generator=torch.Generator("cpu").manual_seed(_SEED)).sample
        for each in z.split(1)
    ]
    return torch.cat(made)


_DECODERS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "AutoencoderKLTemporalDecoder": _as_a_film,
    "ConsistencyDecoderVAE": _from_noise,
}


def described(vae: SocketVAE) -> str:
    """A VAE in one sentence."""
    layout = vae.layout
    frames = f", {layout.frames} frames of a film" if layout.frames else ""
    return (
        f"{vae.class_name}: latents of {family(layout.channels)}, {layout.factor}x{layout.factor} "
        f"pixels{frames} for each place"
    )
