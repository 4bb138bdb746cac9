"""Small files of this user of this host about places: what was seen there, and must not be asked of the place itself.

They lie where the XDG Base Directory Specification says, one for each place, and are worth a line. Losing them costs
what they spare, and nothing else.
"""

import binascii
import os


def file_of(place: str, suffix: str = "") -> str:
    """The file about a place; nowhere, where this user has no home."""
    home = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.expanduser("~/.local/state")
    path = os.fsencode(place)
    name = b"%08x%s" % (binascii.crc32(path), path.replace(b"/", b"-")[-200:])  # people see which it is
    return os.path.join(home if os.path.isabs(home) else os.devnull, "lightrag-bkp", os.fsdecode(name) + suffix)


def read(file: str) -> str | None:
    """The file's first line; None: there is no such file, or nothing in it."""
    try:
        with open(file, "rb") as lines:
            return lines.readline().decode("ascii", "replace").strip() or None
    except OSError:
        return None


def write(file: str, line: str, place: str) -> None:
    """Writes the line, and the place behind it for who looks; whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
    written = f"{file}.{os.getpid()}"
    with open(written, "wb") as lines:
        lines.write(os.fsencode(f"{line}\n{place}\n"))
    os.replace(written, file)


def is_temporary(place: str) -> bool:
    """What goes away by itself, and there is much of it: nothing is written about it. Asks the environment alone:
    `tempfile` tries to write, and raises where that is not allowed anywhere.
    """
    temporary = os.path.realpath(os.environ.get("TMPDIR") or "/tmp")
    return os.path.commonpath((place, temporary)) == temporary
