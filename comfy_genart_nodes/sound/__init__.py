"""Sound as numbers that pictures can follow: plain torch."""
