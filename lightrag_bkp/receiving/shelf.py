"""Small files of a replica, put down so that they are whole after a power cut or not there at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..sources.trees import sync_directory

OBJECT_MODE = 0o440
DIRECTORY_MODE = 0o750
State = tuple[int, ...]


def create(path: str, content: bytes, scratch: str) -> bool:
    """Makes a file under a name that nobody has. Returns False when somebody has it; it is left as it is then.

    Args:
        scratch: a directory on the same file system. The name is durable once the directory it is in was synced
            (`sync_directory`).
    """
    with _written(content, scratch) as written:
        try:
            os.link(written, path)
        except FileExistsError:
            return False
    return True


def replace(path: str, content: bytes, scratch: str) -> None:
    """Puts a file in the place of the one that is there, durably."""
    with _written(content, scratch) as written:
        os.replace(written, path)
    sync_directory(os.path.dirname(path))


def read(path: str) -> bytes | None:
    """A file's bytes; None when it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def size_of(path: str) -> int | None:
    """A file's size; None when it is not there."""
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except FileNotFoundError:
        return None


def state(found: os.stat_result) -> State:
    """What tells whether somebody wrote to a file meanwhile, or it is another one."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def state_of(path: str) -> State | None:
    """`state` of a file; None when it is not there."""
    try:
        return state(os.stat(path))
    except FileNotFoundError:
        return None


def make_directories(path: str) -> None:
    """Makes what is missing of a path; each new name is durable before anything is put below it."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    make_directories(above)
    make_directory(path)
    sync_directory(above)


def make_directory(path: str) -> None:
    """Makes one unless it is there; its name is durable once the directory above was synced."""
    with suppress(FileExistsError):
        os.mkdir(path, DIRECTORY_MODE)


@contextmanager
def _written(content: bytes, scratch: str) -> Iterator[str]:
    path = os.path.join(scratch, f"new.{secrets.token_hex(8)}")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OBJECT_MODE)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fdatasync(fd)
        yield path
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)
