"""The receiver of this installation: its replicas lie in `replicas/` below the storage path."""

import os

from .. import presence, state_place
from ..errors import ConfigurationError
from .keys import KeyRing
from .receiver import Receiver, Settings


def open_keys(storage_path: str | os.PathLike[str] | None = None) -> KeyRing:
    """The keys of those who may send here.

    Raises:
        ConfigurationError: nothing says where they are kept, or SQLAlchemy is not installed.
    """
    return KeyRing(state_place.find(storage_path=storage_path).open())


def replicas_path(storage_path: str | os.PathLike[str] | None = None) -> str:
    """Where replicas are kept.

    Raises:
        ConfigurationError: nothing says it. StorageError: their disk is not mounted.
    """
    place = state_place.find(storage_path=storage_path).storage_path
    if place is None:
        raise ConfigurationError("nothing says where replicas are kept: name a storage path (--storage)")
    presence.require(place, presence.REPLICAS)
    return os.path.join(place, presence.REPLICAS)


def open_receiver(storage_path: str | os.PathLike[str] | None = None, settings: Settings | None = None) -> Receiver:
    """The receiver itself; makes the directory of its replicas.

    Raises:
        ConfigurationError: nothing says where replicas are kept, or SQLAlchemy is not installed. StorageError: their
            disk is not mounted.
    """
    receiver = Receiver(replicas_path(storage_path), open_keys(storage_path), settings)
    replicas_path(storage_path)  # there is something now, which is remembered
    return receiver
