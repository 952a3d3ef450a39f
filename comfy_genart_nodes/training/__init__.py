"""Training runs: a folder, a process that fills it, and the parts of a training step."""
