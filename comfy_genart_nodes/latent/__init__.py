"""Interpolation and statistics of latents of any model: tensors whose first axis is samples."""
