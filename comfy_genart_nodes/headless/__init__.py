"""The `genart` command: set up, serve, run, train, fetch data."""
