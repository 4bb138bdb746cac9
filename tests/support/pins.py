"""Looking into pinned files."""

import os
from pathlib import Path

from lightrag_bkp.sources.files import Pins


def copy_out(pins: Pins, directory: Path) -> Path:
    """Writes what the descriptors hold to files of their names, closes them, and returns `directory`."""
    for name, fd in pins.fds.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.pread(fd, os.fstat(fd).st_size, 0))
    pins.close()
    return directory
