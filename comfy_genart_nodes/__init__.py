"""GANs, self-trained VAEs and latent travel for ComfyUI; this file loads neither it nor torch."""

__version__ = "0.1.0"
