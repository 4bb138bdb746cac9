"""Receiving as it is run: a graph is snapshotted here, sent over TLS, and restored there with its sender gone."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.folders import fingerprint
from support.program import Program
from support.receiving import Listening, Sender, new_key, opened, receiving

from lightrag_bkp.sync import BackupManager, GraphBackup


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The receiving host."""
    (tmp_path / "there").mkdir()
    return Program(tmp_path / "there")


@pytest.fixture
def there(program: Program) -> Iterator[Listening]:
    with receiving(program) as listening:
        yield listening


@pytest.fixture
def graph(tmp_path: Path) -> GraphBackup:
    """A graph with a snapshot, on the sending host."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "notes").write_text("first")
    (source / "big").write_bytes(os.urandom(3_000_000))
    graph = BackupManager(tmp_path / "here").register_graph("alpha", source)
    graph.create_snapshot()
    return graph


@pytest.fixture
def sender(graph: GraphBackup, program: Program, there: Listening, tmp_path: Path) -> Sender:
    return Sender(there, new_key(program), "alpha", opened(tmp_path / "here", "alpha"))


def replica_storage(program: Program) -> Path:
    return program.storage / "replicas" / "tokyo"


def test_a_snapshot_that_was_sent_is_restored_there_with_its_sender_gone(
    sender: Sender, graph: GraphBackup, program: Program, tmp_path: Path
) -> None:
    done = sender.ship(graph.list_snapshots()[-1].backup_id)
    assert done.receipts == [done.number] and done.entries == done.number + 1
    shutil.rmtree(tmp_path / "here")
    before = fingerprint(tmp_path / "source")
    target = tmp_path / "target"
    replica = ("--storage", replica_storage(program))
    assert len(program.bare(*replica, "--json", "list", "alpha").document["snapshots"]) == 1
    program.bare(*replica, "verify", "alpha")
    program.bare(*replica, "restore", "alpha", "latest", target)
    assert fingerprint(target) == before
