"""Autoencoders that this pack trains: plain torch, their weights drawn from a seed."""
