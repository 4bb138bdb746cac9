"""What differs between work on this machine and work through a server, beside the classes that do it."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ConfigurationError, InvalidInputError

_LONGEST_KEY = 4096


@dataclass(frozen=True)
class Goal:
    """Where a restore goes to.

    Attributes:
        target_dir: as it is passed on; "" where a server knows. name: for people.
        occupied: whether something is there that would be replaced.
    """

    target_dir: str
    name: str
    occupied: Callable[[], bool]


def goal_here(target_dir: str | None, workspace: str | None) -> Goal:
    """A directory of this machine.

    Raises:
        InvalidInputError: none is named.
    """
    if target_dir is None:
        raise InvalidInputError("Missing argument 'TARGET_DIR': name the directory the snapshot is to come back to")
    directory = os.path.join(target_dir, workspace or "")
    return Goal(target_dir, directory, lambda: _occupied(directory))


def goal_there(url: str, graph_id: str, target_dir: str | None, workspace: str | None) -> Goal:
    """Where a server's graph lives, or a workspace beside that."""
    name = f"workspace {workspace!r} beside graph {graph_id}" if workspace else f"graph {graph_id}"
    return Goal(target_dir or "", f"{name} at {url}", lambda: True)


def key_of(path: str | None, option: str, variable: str) -> str | None:
    """An API key: of a file, else of a variable, else None. Never of an argument, which others on this machine could
    read.

    Raises:
        ConfigurationError: the file cannot be read, or is empty.
    """
    if path is None:
        return os.environ.get(variable) or None
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(_LONGEST_KEY + 2).removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is no ASCII text"
        raise ConfigurationError(f"{option} {path!r} cannot be read: {said}", target=path) from None
    if not text:
        raise ConfigurationError(f"{option} {path!r} is empty: write the key into it", target=path)
    return text


def _occupied(directory: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is not None
    except (FileNotFoundError, NotADirectoryError):
        return False
