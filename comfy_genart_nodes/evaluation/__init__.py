"""Measures of what a generator makes: features, KID, nearest training pictures."""
