"""Nodes for the tests alone, linked into the test server's custom_nodes beside the pack."""

from . import waiting

NODE_CLASS_MAPPINGS = {**waiting.NODE_CLASS_MAPPINGS}
