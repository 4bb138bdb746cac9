"""Wrong arguments of the public API: every parameter of every public method refuses what it cannot use, in one sentence
and before anything happens.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lightrag_bkp import BackupManager, GraphBackup, arguments, doctor, validation
from lightrag_bkp.errors import InvalidInputError
from lightrag_bkp.recovery import DisasterRecoveryManager, HealthValidator
from lightrag_bkp.replication import ReplicationManager


async def waiting(_: object) -> None:
    """A progress callback nobody would await."""


class Waiting:
    async def __call__(self, _: object) -> None: ...


def nested(levels: int) -> list[Any]:
    """Lists in lists, so many of them."""
    return functools.reduce(lambda inner, _: [inner], range(levels - 1), [])


TEXTS = [7, b"bytes"]
FLAGS = [None, "no", 1]
SECONDS = ["1", -1, math.nan, math.inf, True]
WRONG: dict[str, list[Any]] = {
    "storage_path": [7, b"bytes", ""],
    "retention_days": ["30", -1, 1.5, True],
    "retention": [{}, {"keep_daily": 7}, 7],
    "passphrase": [7],
    "passphrase_file": [7, b"bytes", ""],
    "key_file": [7, b"bytes", ""],
    "keyring": [7],
    "graph_id": [None, 7, b"bytes"],
    "source_dir": [7, b"bytes", ""],
    "workspace": [7, b"bytes", "a/b", ".."],
    "rag": [object(), "rag"],
    "input_dir": [7, b"bytes", ""],
    "server_url": [7, b"http://here", "ftp://here", "http://a b", "http://me:word@here", "http://here?key=word"],
    "metadata": [
        7,
        "text",
        ["list"],
        {"not": math.nan},
        {"not": object()},
        {"long": "x" * 20_000},
        {"deep": nested(32)},
        {"deep": nested(400)},
    ],
    "on_busy": [None, 7, "hurry"],
    "deadline_s": SECONDS,
    "partial": FLAGS,
    "validate": [None, 7, True, "maybe"],
    "progress": [7, "text", waiting, Waiting()],
    "snapshot_id": [7, b"bytes", "line\nbreak"],
    "target_dir": [None, 7, b"bytes", ""],
    "directory": [None, 7, b"bytes", ""],
    "items": ["name", 7, [7], {"name"}, ["nul\0"], ["\ud800"]],
    "dry_run": FLAGS,
    "elsewhere": FLAGS,
    "replace": FLAGS,
    "allow_unusable": FLAGS,
    "outcome": [None, 7],
    "holder": [
        None,
        7,
        "",
        "  ",
        " recovery:x",
        "Recovery:x",
        "nul\0",
        "line\nbreak",
        "\ud800",
        "recovery:20260101T000000Z-deadbeef",
    ],
    "level": [None, 7, "deep"],
    "embedding_dim": ["64", 0, -1, True, 1.5],
    "now": ["now", 7, datetime(2026, 1, 1)],
    "wait_s": SECONDS,
    "checkpoint_id": [None, *TEXTS, "../up"],
    "beginning": [None, *TEXTS],
    "graph_ids": ["kept", 7, [7], [], None],
    "description": [None, *TEXTS],
    "scratch_dir": [7, b"bytes", ""],
    "slot_id": [None, *TEXTS],
    "backup": [7, "path"],
    "settings": [7, {}],
    "replication": [7, "manager"],
    "database_url": [7],
    "target": [None, 7, "name"],
    "target_id": [None, *TEXTS],
    "patience_s": SECONDS,
    "name": TEXTS,
    "base_url": TEXTS,
    "api_key": TEXTS,
    "enabled": FLAGS,
}
RIGHT: dict[str, Any] = {
    "storage_path": "storage",
    "graph_id": "kept",
    "snapshot_id": "latest",
    "target_dir": "target",
    "directory": "target",
    "checkpoint_id": "20260101T000000Z-00000000",
    "beginning": "latest",
    "graph_ids": ["kept"],
    "source_dir": ".",
    "target_id": "unknown",
}


@pytest.fixture
def manager(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> BackupManager:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTRAG_BACKUP_STORAGE_PATH", "storage")
    made = BackupManager("storage")
    made.register_graph("kept", folder)
    return made


def owners(manager: BackupManager) -> dict[str, Any]:
    replication = ReplicationManager(storage_path="storage")
    return {
        "manager": manager,
        "graph": manager.require_graph("kept"),
        "recovery": DisasterRecoveryManager(manager),
        "health": HealthValidator(manager),
        "replication": replication,
        "replicator": replication.get_graph_replicator("kept"),
    }


def wrong(call: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Every wrong value of every parameter."""
    for name, parameter in inspect.signature(call).parameters.items():
        assert name in WRONG, f"{call} takes {name}, of which nobody said what would be wrong"
        for value in WRONG[name]:
            if value is not None or parameter.default is not None:
                yield name, value


async def refused(call: Callable[..., Any], parameter: str, value: object) -> str | None:
    """What is said of a wrong value; None when it is taken."""
    needed = [
        name
        for name, one in inspect.signature(call).parameters.items()
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD
    ]
    words = {name: RIGHT[name] for name in needed if name in RIGHT} | {parameter: value}
    try:
        done = call(**words)
        if inspect.isawaitable(done):
            await done
    except InvalidInputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("owner", ["manager", "graph", "recovery", "health", "replication", "replicator"])
async def test_every_method_refuses_wrong_arguments_in_one_sentence(manager: BackupManager, owner: str) -> None:
    known = owners(manager)[owner]
    await manager.require_graph("kept").create_snapshot()
    before = [one.backup_id for one in manager.require_graph("kept").list_snapshots()]
    methods = [name for name, _ in inspect.getmembers(known, inspect.ismethod) if not name.startswith("_")]
    taken, tried = [], 0
    for name in methods:
        call = getattr(known, name)
        for parameter, value in wrong(call):
            said = await refused(call, parameter, value)
            tried += 1
            if said is None or "\n" in said or "word" in said.replace("password", ""):
                taken.append((name, parameter, value, said))
    assert taken == []
    assert tried > 3
    assert [one.backup_id for one in manager.require_graph("kept").list_snapshots()] == before
    assert not Path("target").exists()


@pytest.mark.parametrize(
    "make",
    [
        BackupManager,
        GraphBackup,
        DisasterRecoveryManager,
        HealthValidator,
        ReplicationManager,
        validation.validate_directory,
        doctor.diagnose,
    ],
)
async def test_every_constructor_refuses_wrong_arguments(manager: BackupManager, make: Callable[..., Any]) -> None:
    said = [(*one, await refused(make, *one)) for one in wrong(make)]
    assert [one for one in said if one[2] is None or "\n" in one[2]] == []


def test_plain_callables_are_progress_callbacks() -> None:
    seen: list[object] = []
    for progress in (None, seen.append, print, lambda at: None):
        assert arguments.check_progress(progress) is progress
