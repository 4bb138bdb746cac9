"""The directory the database and its key lie in."""

import os


def make_private(directory: str) -> None:
    """Makes it for its owner alone, and what is missing above it as storage paths are made."""
    os.makedirs(os.path.dirname(os.path.abspath(directory)), mode=0o750, exist_ok=True)
    os.makedirs(directory, mode=0o700, exist_ok=True)
