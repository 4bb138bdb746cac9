"""Where the small database of an installation is, for those who send and those who receive alike."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import arguments, config
from .errors import ConfigurationError
from .keyring import Keyring

if TYPE_CHECKING:
    from .state import State

_STATE = "state"
_DATABASE, _KEY_FILE = "replication.db", "replication.key"


@dataclass(frozen=True, slots=True)
class StatePlace:
    """What is known before anything is opened; `storage_path` None: nothing says it, and the others do not need it."""

    url: str
    key_file: str
    storage_path: str | None

    @property
    def is_absent(self) -> bool:
        """Whether nothing was ever stored there: the file that SQLite would use is not there. Asks without SQLAlchemy,
        which need not be installed then.
        """
        scheme, _, path = self.url.partition(":///")
        return scheme.partition("+")[0] == "sqlite" and not os.path.exists(path.partition("?")[0])

    def open(self, keyring: Keyring | None = None) -> "State":
        """The database; a file is touched when it is used. `keyring` is needed for what tells of snapshots: where they
        are sealed, so is that.

        Raises:
            ConfigurationError: SQLAlchemy is not installed, or the URL cannot be used.
        """
        try:
            from .state import State
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"replication needs {error.name}: pip install 'lightrag-bkp[replication]'", target=error.name or ""
            ) from None
        return State(self.url, self.key_file, keyring)


def find(
    database_url: str | None = None,
    key_file: str | os.PathLike[str] | None = None,
    storage_path: str | os.PathLike[str] | None = None,
) -> StatePlace:
    """What is named, else what LIGHTRAG_REPLICATION_* or `[replication]` say, else `state/` below the storage path.

    Raises:
        ConfigurationError: nothing says where it is.
    """
    settings = config.load()
    place = settings.storage_path if storage_path is None else arguments.check_path(storage_path, "storage_path")
    if database_url is not None:
        arguments.check_text(database_url, "database_url")
    url = database_url or settings.replication.database_url
    keys = arguments.check_path(key_file, "key_file") if key_file is not None else settings.replication.key_file
    if place is None and (url is None or keys is None):
        raise ConfigurationError(
            f"nothing says where replication targets are kept: set {config.STORAGE_VARIABLE}, or storage_path in"
            f" {config.CONFIG_FILE}, or pass one (--storage)",
            target=config.STORAGE_VARIABLE,
        )
    beside = os.path.join(place or "", _STATE)
    return StatePlace(
        url or f"sqlite:///{os.path.join(beside, _DATABASE)}", keys or os.path.join(beside, _KEY_FILE), place
    )
