"""Variational autoencoders: pictures to latents and back."""
