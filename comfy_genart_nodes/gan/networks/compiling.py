"""Generators through torch.compile, for those who ask for it."""

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...errors import GenartError
from .generator import Generator, Look


def compiled(generator: Generator) -> Generator:
    """A generator of the same weights whose synthesis is compiled when it first runs.

    Batches of any size and noise of any strength share one compilation; another noise mode, canvas
    or precision is compiled anew. The pictures are the same up to rounding.

    Raises:
        GenartError: from its `synthesize`, where there is no compiler that torch can use.
    """
    fast = torch.compile(generator.synthesize, dynamic=True)

    def synthesize(ws: Tensor, look: Look) -> Tensor:
        # A number would be compiled in, a tensor stays free.
        strength: Any = torch.tensor(look.noise.strength)
        look = replace(look, noise=replace(look.noise, strength=strength))
        try:
            return fast(ws, look)
        except Exception as error:
            if not _of_the_compiler(error):
                raise
            raise GenartError(
                f"torch.compile cannot work here ({str(error).strip().splitlines()[0]}): install a "
                "C++ compiler (and triton for a graphics card), or switch compile off."
            ) from error

    twin = copy.copy(generator)
    twin.synthesize = synthesize  # type: ignore[method-assign]
    return twin


def _of_the_compiler(error: BaseException) -> bool:
    modules = {kind.__module__ for kind in type(error).__mro__}
    return any(name.startswith(("torch._dynamo", "torch._inductor")) for name in modules)
