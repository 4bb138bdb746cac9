"""Small files of this user of this host about places: what was seen there, and must not be asked of the place itself.

They lie where the XDG Base Directory Specification says, one for each place, and are worth a line. Losing them costs
what they spare, and nothing else.
"""

import binascii
import logging
import os

logger = logging.getLogger("lightrag_bkp")


def file_of(place: str, suffix: str = "") -> str:
    """The file about a place; nowhere, where this user has no home."""
    home = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.expanduser("~/.local/state")
    path = os.fsencode(place)
    name = b"%08x%s" % (binascii.crc32(path), path.replace(b"/", b"-")[-200:])  # people see which it is
    return os.path.join(home if os.path.isabs(home) else os.devnull, "lightrag-bkp", os.fsdecode(name) + suffix)


def recall(place: str, suffix: str = "") -> str | None:
    """What was remembered of a place; None: nothing."""
    try:
        with open(file_of(place, suffix), "rb") as lines:
            return lines.readline().decode("ascii", "replace").strip() or None
    except OSError:
        return None


def remember(place: str, line: str, suffix: str = "") -> bool:
    """Writes a line about a place into its file, whole or not at all; False: it cannot be written, as the log says.

    Nothing is written about what goes away by itself, and there is much of it: what lies among temporary files.
    """
    if recall(place, suffix) == line or _is_temporary(place):
        return True
    file = file_of(place, suffix)
    written = f"{file}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
        with open(written, "wb") as lines:
            lines.write(os.fsencode(f"{line}\n{place}\n"))  # the place for who looks
        os.replace(written, file)
    except OSError as error:
        logger.info("event=place_not_remembered path=%r file=%r error=%s", place, file, error)
        return False
    return True


def _is_temporary(place: str) -> bool:
    """Asks the environment alone: `tempfile` tries to write, and raises where that is not allowed anywhere."""
    temporary = os.path.realpath(os.environ.get("TMPDIR") or "/tmp")
    return os.path.commonpath((place, temporary)) == temporary
