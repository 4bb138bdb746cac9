"""What of a list to take, as the command line says it: `--only`, `--tools`."""

import argparse
from collections.abc import Callable, Iterable


def among(known: Iterable[str]) -> Callable[[str], list[str]]:
    """The type of an argument that names some of these, with commas between."""
    all_names = list(known)

    def names(text: str) -> list[str]:
        found = text.split(",")
        for name in found:
            if name not in all_names:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(all_names)}")
        return found

    return names
