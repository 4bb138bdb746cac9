"""Standard output, written so that an answer nobody gets is said to be lost."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any


class Lost(Exception):
    """Standard output cannot be written, for another reason than that its reader went away."""


def write(pieces: Iterable[str]) -> None:
    """Writes an answer.

    Raises:
        Lost: it cannot be written. BrokenPipeError: its reader went away.
    """
    for piece in pieces:  # what making a piece raises is no fault of the output
        _put_out(sys.stdout.write, piece)


def flush() -> None:
    """Puts out what is left. Raises as `write`."""
    _put_out(sys.stdout.flush)


def drop() -> None:
    """Nobody gets the answer any more; what is left of it must not fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _put_out(put: Callable[..., Any], *text: str) -> None:
    try:
        put(*text)
    except BrokenPipeError:
        raise
    except OSError as refused:
        raise Lost(f"standard output: {refused.strerror}: the answer is lost") from None
