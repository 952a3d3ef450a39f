"""GANs, self-trained VAEs and latent travel for ComfyUI. Importing this loads neither torch nor ComfyUI."""

__version__ = "0.1.0"
