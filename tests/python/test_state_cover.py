"""What the database tells of snapshots is sealed where they are: old rows, rows of others, rows that were moved."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from lightrag_bkp import BackupManager
from lightrag_bkp.state import Events, NewEvent, NewOperation, Operations, Shipments, State, cover, database

HUSH = "hush, a name"
DAY_US = 86_400 * 1_000_000


@pytest.fixture
async def sealed(tmp_path: Path, folder: Path) -> BackupManager:
    """A storage path with a key."""
    manager = BackupManager(tmp_path / "storage", passphrase="first")
    await manager.register_graph("g", folder).create_snapshot()
    return manager


def opened(manager: BackupManager | None, storage: Path, url: str | None = None) -> State:
    """The database as another process has it."""
    url = url or f"sqlite:///{storage / 'state/replication.db'}"
    return State(url, str(storage / "state/replication.key"), None if manager is None else manager.keyring)


def write(state: State, operation_id: str = "1" * 32) -> None:
    """A row of each table that tells of snapshots."""
    Events(state).add(NewEvent(1000, "hold", "me", "g", HUSH, "succeeded", HUSH))
    operations, shipments = Operations(state), Shipments(state)
    new = NewOperation(operation_id, "restore", "g", HUSH, "me", "here 1 2", 1000, "key", HUSH.encode())
    operations.begin(new, DAY_US)
    operations.beat({operation_id: HUSH}, 2000)
    operations.end(operation_id, {"state": "failed", "finished_us": 3000, "error": HUSH, "result": HUSH})
    with state.connected() as connection:
        connection.exec_driver_sql(
            "INSERT INTO targets (target_id, name, base_url, enabled, created_us, connection)"
            " VALUES ('t', 't', 'http://t', true, 1, '{}')"
        )
    shipments.note(shipments.begin("g", "t", HUSH, "RUNNING", 1), HUSH, "FAILED", HUSH, 0, 0.0)
    shipments.acknowledged("g", "t", 7, HUSH, 1000)
    shipments.refused("g", "t", HUSH)


def read(state: State) -> list[object]:
    """All that `write` said, as it can be read."""
    ((event,), _), ((operation,), _) = Events(state).page(0, 9), Operations(state).page(0, 9)
    found, (log,) = Operations(state).get(operation.operation_id), Shipments(state).logs("g")
    assert found is not None
    replica = Shipments(state).replicas("g")["t"]
    return [
        event.target, event.detail, found.target, found.progress, found.result, found.error, found.fingerprint,
        log.snapshot_id, log.error_message, replica.acknowledgement, replica.refusal,
    ]  # fmt: skip


EVERYTHING = [HUSH] * 6 + [HUSH.encode()] + [HUSH] * 4
NOTHING = [None, cover.CLOSED, None, None, None, None, None, None, cover.CLOSED, None, cover.CLOSED]


def shows(storage: Path) -> list[Path]:
    return [path for path in (storage / "state").iterdir() if HUSH.encode() in path.read_bytes()]


async def test_what_was_stored_in_the_clear_before_is_sealed_without_a_trace(
    sealed: BackupManager, tmp_path: Path
) -> None:
    storage = tmp_path / "storage"
    clear = opened(None, storage)
    write(clear)
    with clear.connected() as connection:  # a page that is free, and still full
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")
        for _ in range(50):
            connection.exec_driver_sql(
                "INSERT INTO events (at_us, kind, actor, outcome, detail) VALUES (0, '', '', '', ?)", (HUSH * 200,)
            )
        connection.exec_driver_sql("DELETE FROM events WHERE at_us = 0")
    with sqlite3.connect(storage / "state/replication.db") as raw:
        assert raw.execute("PRAGMA freelist_count").fetchone()[0] > 0 and shows(storage)
    assert read(opened(sealed, storage)) == EVERYTHING
    assert not shows(storage)
    assert read(opened(sealed, storage)) == EVERYTHING and read(opened(None, storage)) == NOTHING


async def test_where_nothing_can_be_written_what_is_there_is_read(
    sealed: BackupManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    storage = tmp_path / "storage"
    write(opened(None, storage))
    monkeypatch.setattr(database, "_WAIT_S", 0.05)
    with contextlib.closing(sqlite3.connect(storage / "state/replication.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert Operations(opened(sealed, storage)).get("1" * 32) is not None and shows(storage)
        assert "event=state_not_sealed" in caplog.text
    assert read(opened(sealed, storage)) == EVERYTHING and not shows(storage), "the next start seals it"


async def test_a_database_that_hosts_share_is_sealed_and_their_rows_are_left_alone(
    sealed: BackupManager, tmp_path: Path, state: State
) -> None:
    url = state._url.render_as_string(hide_password=False)
    mine = opened(sealed, tmp_path / "storage", url)
    write(mine)
    assert read(mine) == EVERYTHING and read(state) == NOTHING
    Events(state).add(NewEvent(1000, "hold", "them", "g", None, "succeeded", HUSH))
    assert [one.detail for one in Events(opened(sealed, tmp_path / "storage", url)).page(0, 9)[0]] == [HUSH, HUSH]
    assert [one.detail for one in Events(state).page(0, 9)[0]] == [HUSH, cover.CLOSED]


async def test_another_passphrase_opens_it_as_well(sealed: BackupManager, tmp_path: Path) -> None:
    write(opened(sealed, tmp_path / "storage"))
    await sealed.add_passphrase("second")
    await sealed.remove_passphrase(next(slot.slot_id for slot in await sealed.list_key_slots() if slot.in_use))
    again = BackupManager(tmp_path / "storage", passphrase="second")
    assert read(opened(again, tmp_path / "storage")) == EVERYTHING


@pytest.mark.parametrize("passphrase", [None, "wrong"])
async def test_without_the_key_nothing_is_written_in_the_clear(
    sealed: BackupManager, tmp_path: Path, passphrase: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = tmp_path / "storage"
    mistaken = opened(BackupManager(storage, passphrase=passphrase), storage)
    write(mistaken)
    assert read(mistaken) == EVERYTHING and not shows(storage), "this process reads what it wrote"
    monkeypatch.setattr(cover, "_OWN_KEY", bytes(32))
    assert read(mistaken) == NOTHING and read(opened(sealed, storage)) == NOTHING


async def test_a_value_belongs_to_its_row_and_column(sealed: BackupManager, tmp_path: Path) -> None:
    state = opened(sealed, tmp_path / "storage")
    write(state)
    with state.connected() as connection:
        connection.exec_driver_sql("UPDATE events SET detail = target")
        connection.exec_driver_sql("UPDATE operations SET operation_id = '2'")
        connection.exec_driver_sql("UPDATE replication_logs SET error_message = error_message || 'AAAA'")
    assert [one == cover.CLOSED or one is None for one in read(state)] == [
        False, True, True, True, True, True, True, False, True, False, False,
    ]  # fmt: skip
