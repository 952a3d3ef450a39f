"""What a person sees of a node at work: a bar, a preview, a line of text; and Cancel."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import comfy.model_management as mm
import torch
from comfy.utils import ProgressBar
from comfy_api.latest import ui
from comfy_execution.utils import get_executing_context
from PIL import Image
from server import PromptServer
from torch import nn

PREVIEW_SIZE = 512
"""Longest side of a preview in pixels; the page shrinks it to the node."""


_SHARES = 1000


class Progress:
    """The progress of the node that is running now.

    Args:
        total: steps to come.
    """

    def __init__(self, total: int) -> None:
        self._bar = ProgressBar(total)

    def at(self, step: int, total: int | None = None, preview: Image.Image | None = None) -> None:
        """Show that `step` steps are done.

        Args:
            step: steps done.
            total: the number of steps to come, where it changed.
            preview: a picture of any mode and size to show on the node.

        Raises:
            InterruptProcessingException: when the person pressed Cancel. Let it through.
        """
        check_cancelled()
        shown = None if preview is None else ("JPEG", preview.convert("RGB"), PREVIEW_SIZE)
        self._bar.update_absolute(step, total, shown)


def share_shown() -> Callable[[float], None]:
    """A bar for work that is told in shares, 0 to 1; each call heeds Cancel."""
    bar, shown = Progress(_SHARES), -1

    def show(share: float) -> None:
        nonlocal shown
        step = min(int(_SHARES * share), _SHARES)
        if step == shown:  # the page need not hear of every little
            check_cancelled()
            return
        shown = step
        bar.at(step)

    return show


def check_cancelled() -> None:
    """Raise ComfyUI's InterruptProcessingException when the person pressed Cancel."""
    mm.throw_exception_if_processing_interrupted()


@contextmanager
def cancellable(network: nn.Module) -> Iterator[None]:
    """Heed Cancel before every layer of a network, since one picture may take long.

    What torch.compile made of a network heeds it between pictures alone.
    """
    handles = [layer.register_forward_pre_hook(_heed) for layer in network.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _heed(layer: nn.Module, inputs: object) -> None:
    if not torch.compiler.is_compiling():
        check_cancelled()


def show_text(text: str) -> None:
    """Show a line of text on the node that is running now, where the host can."""
    context = get_executing_context()
    server = PromptServer.instance
    if context is not None and hasattr(server, "send_progress_text"):
        told = text.encode("utf-8", "replace").decode()  # file names may hold what is no text
        server.send_progress_text(told, context.node_id, server.client_id)


def say(text: str) -> ui.PreviewText:
    """Show a line on the node, and give it as the node's `ui`, where scripts find it."""
    show_text(text)
    return ui.PreviewText(text)
