"""The engine for generative adversarial networks: plain torch, no ComfyUI."""
