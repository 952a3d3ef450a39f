"""The door that ComfyUI opens: `comfy_entrypoint` and `WEB_DIRECTORY`, nothing else.

Where ComfyUI is absent (pytest, a notebook that put the clone on its path) it stays shut, so that
importing this file never fails and never drags ComfyUI in.
"""

from importlib.util import find_spec

if find_spec("comfy_api") is not None:
    from .comfy_genart_nodes.nodes import comfy_entrypoint

    WEB_DIRECTORY = "./comfy_genart_nodes/web"
    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
