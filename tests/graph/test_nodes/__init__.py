"""Nodes for the tests alone, linked into the test server's custom_nodes beside the pack."""

from . import diffusion, memory, numbers, vae, vision, waiting

NODE_CLASS_MAPPINGS = {
    **waiting.NODE_CLASS_MAPPINGS,
    **diffusion.NODE_CLASS_MAPPINGS,
    **memory.NODE_CLASS_MAPPINGS,
    **numbers.NODE_CLASS_MAPPINGS,
    **vision.NODE_CLASS_MAPPINGS,
    **vae.NODE_CLASS_MAPPINGS,
}
