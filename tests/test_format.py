"""docs/format.md is enough: `compat/reader.py`, written from that page alone, restores what the program stored.

The reader uses none of the package's code and checks whatever the page says about bytes.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reader_vectors as vectors
from compat import reader
from support import breaking, graphs
from support.folders import fingerprint

from lightrag_bkp.sync import BackupManager, GraphBackup
from lightrag_bkp.sync.recovery import DisasterRecoveryManager

READER = Path(reader.__file__)
PASSPHRASE = "correct horse"
MOST_LINES = 250


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plain directory with a file of many chunks, text, nothing, a link and a fifo."""
    directory = tmp_path / "folder"
    (directory / "deep" / "er").mkdir(parents=True)
    (directory / "big").write_bytes(os.urandom(12 << 20))
    (directory / "deep" / "text").write_text("the same again and again\n" * 40_000)
    (directory / "deep" / "empty").touch(mode=0o600)
    (directory / "link").symlink_to("deep/text")
    os.mkfifo(directory / "fifo")
    return directory


@pytest.fixture
def graph(tmp_path: Path, folder: Path) -> GraphBackup:
    return BackupManager(tmp_path / "storage").register_graph("kept", folder)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "storage" / "graphs" / "kept"


def opened(repository: Path, master: bytes | None = None) -> tuple[reader.Log, reader.Packs]:
    seal = reader.Seal(master, repository.name)
    return reader.Log(repository / "log", seal), reader.Packs(repository / "packs", seal)


def test_a_repository_is_read_by_the_page_alone(
    tmp_path: Path, graph: GraphBackup, folder: Path, repository: Path
) -> None:
    snapshot = graph.create_snapshot(metadata={"why": "page"})
    reader.restore(repository, snapshot.backup_id, tmp_path / "by hand")
    (folder / "fifo").unlink()
    assert fingerprint(tmp_path / "by hand") == fingerprint(folder)

    log, packs = opened(repository)
    chunks = [packs.chunk(name) for name in packs.rows]
    assert {kind for kind, _ in chunks} == {1, 32, 33, 34}
    fields = log.snapshots[snapshot.backup_id.encode()]
    assert fields[4].hex() == snapshot.data_hash
    assert [dict(reader.split_fields(payload)) for kind, payload in chunks if kind == 34] == [fields]
    (skipped,) = map(dict, map(reader.split_fields, packs.body(fields[8])[reader.SKIPPED]))
    assert skipped[48] == b"fifo" and skipped[18]


@pytest.mark.parametrize("dim", [384, 1000])
def test_vector_files_are_read_by_the_page_alone(tmp_path: Path, repository: Path, dim: int) -> None:
    asyncio.run(graphs.build_custom_graph(tmp_path / "graph", 24, 36, 8, dim=dim))
    BackupManager(tmp_path / "storage").register_graph("kept", tmp_path / "graph").create_snapshot()
    reader.restore(repository, "latest", tmp_path / "by hand")
    found, there = fingerprint(tmp_path / "by hand"), fingerprint(tmp_path / "graph")
    assert {name: there[name] for name in found} == found
    assert b"vdb_entities.json" in found

    packs = opened(repository)[1]
    kinds = [(row[48], row[49]) for _, _, row in packs.rows.values()]
    assert (vectors.VECTORS, 2) in kinds and (vectors.VECTORS, 1) not in kinds
    assert {vectors.TEXT, vectors.CORRECTIONS, vectors.FRAME} <= {kind for kind, _ in kinds}


def test_a_vector_file_without_corrections_is_read_by_the_page_alone(tmp_path: Path, repository: Path) -> None:
    """All rows are as LightRAG leaves them: the chunk of corrections is there, and empty."""
    dim = 64
    asyncio.run(graphs.build_custom_graph(tmp_path / "graph", 24, 36, 8, dim=dim))
    for name in ("entities", "relationships", "chunks"):
        with breaking.vector_file(tmp_path / "graph", name) as file:
            file.matrix = np.eye(dim, dtype="<f4")[: len(file.data)]
            for record, row in zip(file.data, file.matrix, strict=True):
                record["vector"] = breaking.half(row)
    BackupManager(tmp_path / "storage").register_graph("kept", tmp_path / "graph").create_snapshot()
    reader.restore(repository, "latest", tmp_path / "by hand")
    found, there = fingerprint(tmp_path / "by hand"), fingerprint(tmp_path / "graph")
    assert {name: there[name] for name in found} == found
    rows = [row for _, _, row in opened(repository)[1].rows.values()]
    assert [reader.number(row[40:44]) for row in rows if row[48] == vectors.CORRECTIONS] == [0]


def test_a_log_is_followed_from_its_start_and_from_a_checkpoint(
    tmp_path: Path, graph: GraphBackup, folder: Path, repository: Path
) -> None:
    (folder / "big").unlink()
    kept, dropped = graph.create_snapshot().backup_id, graph.create_snapshot().backup_id
    graph.delete_snapshot(dropped)
    graph.hold(kept, "the page")
    while reader.CHECKPOINT not in (whole := opened(repository)[0]).kinds[1:]:
        for _ in range(40):
            graph.hold(kept)
            graph.release(kept)
    first = len(whole.kinds) - 1 - whole.kinds[::-1].index(reader.CHECKPOINT)
    (tmp_path / "later").mkdir()
    for path in sorted((repository / "log").iterdir())[first:]:
        shutil.copy(path, tmp_path / "later")
    later = reader.Log(tmp_path / "later", reader.Seal(None, repository.name))
    for log in (whole, later):
        assert list(log.snapshots) == [kept.encode()]
        assert log.holders[kept.encode()] == {b"the page"}


def test_a_sealed_repository_is_read_by_the_page_and_its_passphrase(tmp_path: Path, folder: Path) -> None:
    with BackupManager(tmp_path / "storage", passphrase="another") as manager:
        manager.register_graph("kept", folder).create_snapshot()
        manager.add_passphrase(PASSPHRASE)
    keys = tmp_path / "storage" / "graphs" / "kept" / "keys"
    assert reader.master_key(keys, PASSPHRASE.encode()) == reader.master_key(keys, b"another")
    with pytest.raises(ValueError, match="no key slot"):
        reader.master_key(keys, b"wrong")

    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\n")
    words = [keys.parent, "latest", tmp_path / "by hand", "--passphrase-file", tmp_path / "passphrase"]
    subprocess.run([sys.executable, READER, *words], check=True, timeout=60)
    (folder / "fifo").unlink()
    assert fingerprint(tmp_path / "by hand") == fingerprint(folder)


def test_a_recovery_kit_opens_it_too(tmp_path: Path, folder: Path) -> None:
    """Typed in anew, in other lines and letters; without a key the answer says what is missing."""
    with BackupManager(tmp_path / "storage", passphrase=PASSPHRASE) as manager:
        manager.register_graph("kept", folder).create_snapshot()
        kit = manager.recovery_kit()
    repository, text = tmp_path / "storage" / "graphs" / "kept", tmp_path / "kit"
    shutil.rmtree(repository / "keys")
    words = [sys.executable, READER, repository, "latest", tmp_path / "by hand"]
    without = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert without.returncode == 1 and "the repository is sealed: name its --passphrase-file" in without.stderr
    text.write_text(kit)
    key = reader.key_of(text.read_bytes())
    line = kit.splitlines()[-1]
    assert (
        reader.key_of(f"  # a note\r\n{line[:20]}\r\n\t{line[20:].upper()}\r\n".encode()) == key == reader.key_of(key)
    )
    with pytest.raises(ValueError, match="the recovery kit"):
        reader.key_of(f"{line[:10]}{int(line[10], 16) ^ 1:x}{line[11:]}".encode())
    subprocess.run([*words, "--key-file", text], check=True, timeout=60)
    (folder / "fifo").unlink()
    assert fingerprint(tmp_path / "by hand") == fingerprint(folder)


def test_a_removal_counts_for_the_reader_if_the_key_made_it(tmp_path: Path, folder: Path) -> None:
    with BackupManager(tmp_path / "storage", passphrase=PASSPHRASE) as manager:
        manager.register_graph("kept", folder).create_snapshot()
        manager.add_passphrase("another")
        (old,) = (slot.slot_id for slot in manager.list_key_slots() if slot.in_use)
        keys = tmp_path / "storage" / "graphs" / "kept" / "keys"
        slot = (keys / old).read_bytes()
        manager.remove_passphrase(old)
    (keys / old).write_bytes(slot)  # from a copy
    with pytest.raises(ValueError, match="no key slot"):
        reader.master_key(keys, PASSPHRASE.encode())
    removal = (keys / f"{old}.removed").read_bytes()
    forged = removal[:144] + bytes(32)
    (keys / f"{old}.removed").write_bytes(forged + reader.sha256(forged))
    assert reader.master_key(keys, PASSPHRASE.encode()) == reader.master_key(keys, b"another")


def test_the_reader_says_what_is_damaged(tmp_path: Path, graph: GraphBackup, repository: Path) -> None:
    graph.create_snapshot()
    for path in (*(repository / "log").iterdir(), *(repository / "packs").iterdir()):
        data = path.read_bytes()
        path.chmod(0o600)
        for at in {0, 11, len(data) // 2, len(data) - 1}:
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(ValueError, match=path.name):
                opened(repository)
        path.write_bytes(data)


def test_the_reader_stays_small_and_stands_alone() -> None:
    text = READER.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    program = "import sys; sys.modules.update(dict.fromkeys(['lightrag_bkp', 'support', 'lightrag'])); import reader"
    subprocess.run([sys.executable, "-c", program], cwd=READER.parent, check=True, timeout=60)


class Records(reader.Log):
    """A recovery point, read as the log it is."""

    def __init__(self, directory: Path, seal: reader.Seal) -> None:
        self.documents: list[dict[str, Any]] = []
        super().__init__(directory, seal)

    def _apply(self, kind: int, fields: list[tuple[int, bytes]]) -> None:
        assert kind == 11
        ((tag, document),) = fields
        assert tag == 64
        self.documents.append(json.loads(document))


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_recovery_point_is_read_by_the_page_alone(tmp_path: Path, folder: Path, passphrase: str | None) -> None:
    manager = BackupManager(tmp_path / "storage", passphrase=passphrase)
    manager.register_graph("kept", folder)
    recovery = DisasterRecoveryManager(manager)
    point = recovery.create_recovery_point(["kept"], "the page")
    assert recovery.validate_recovery_point(point.checkpoint_id)
    assert recovery.initiate_failover(point.checkpoint_id)

    keys = tmp_path / "storage" / "graphs" / "kept" / "keys"
    master = None if passphrase is None else reader.master_key(keys, passphrase.encode())
    directory = tmp_path / "storage" / "recovery_points" / point.checkpoint_id
    first, *later = Records(directory, reader.Seal(master, point.checkpoint_id)).documents
    assert (first["record"], first["description"]) == ("point", "the page")
    assert first["snapshots"]["kept"]["id"] == point.snapshots["kept"].id
    assert [(one["record"], one.get("state")) for one in later] == [
        ("validation", None),
        ("failover", "begun"),
        ("failover", "restored"),
        ("failover", "ended"),
    ]
