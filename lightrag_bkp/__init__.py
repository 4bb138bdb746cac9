"""Backup and recovery for LightRAG.

    from lightrag_bkp import BackupManager

    async with BackupManager("/var/backups/lightrag") as manager:
        graph = manager.register_graph("support", rag=rag)
        snapshot = await graph.create_snapshot()
        await graph.restore_snapshot(snapshot.backup_id, "/srv/restored")

`BackupManager` knows the graphs of one storage path, `GraphBackup` takes, lists, verifies, restores and cleans up the
snapshots of one graph. `lightrag_bkp.sync` has the same without `await`; `lightrag_bkp.config` says what can be set in
the environment and in `lightrag-bkp.toml`; every error is a class of `lightrag_bkp.errors`.

Names are loaded when they are first used; importing the package starts nothing and touches no file.
"""

import importlib

TYPE_CHECKING = False  # importing `typing` for it would take longer than all the rest of this package here
if TYPE_CHECKING:
    from .backup import BackupManager as BackupManager
    from .backup import GraphBackup as GraphBackup
    from .errors import Busy as Busy
    from .errors import ConfigurationError as ConfigurationError
    from .errors import IncompleteSourceError as IncompleteSourceError
    from .errors import LightragBkpError as LightragBkpError
    from .models import BackupSnapshot as BackupSnapshot
    from .models import BackupStatus as BackupStatus
    from .models import Consistency as Consistency
    from .models import Item as Item
    from .models import Progress as Progress
    from .models import PruneOutcome as PruneOutcome
    from .models import RestoreOutcome as RestoreOutcome
    from .models import RetentionPolicy as RetentionPolicy
    from .models import SkippedItem as SkippedItem
    from .models import VerifyLevel as VerifyLevel
    from .models import VerifyOutcome as VerifyOutcome

_HOMES = {
    **dict.fromkeys(("BackupManager", "GraphBackup"), "backup"),
    **dict.fromkeys(("Busy", "ConfigurationError", "IncompleteSourceError", "LightragBkpError"), "errors"),
    **dict.fromkeys(
        (
            "BackupSnapshot",
            "BackupStatus",
            "Consistency",
            "Item",
            "Progress",
            "PruneOutcome",
            "RestoreOutcome",
            "RetentionPolicy",
            "SkippedItem",
            "VerifyLevel",
            "VerifyOutcome",
        ),
        "models",
    ),
}

__version__ = "0.1.0"
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
