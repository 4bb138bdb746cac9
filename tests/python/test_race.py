"""Races between processes on one repository: real processes, stopped and released at chosen moments."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lightrag_bkp
from lightrag_bkp.errors import Busy, ConflictError
from lightrag_bkp.sync import BackupManager, GraphBackup

PACKS_BEFORE_THE_FIRST_NAME = 17 * (8 << 20)
"""A backup gives its first pack a name in packs/ when this much was stored (engine/writer.c: MAX_UNSETTLED)."""


def start(script: str, *args: object) -> "subprocess.Popen[str]":
    root = str(Path(lightrag_bkp.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, args)],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: "subprocess.Popen[str]") -> str:
    output, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    return output


BACK_UP = """
    import sys
    from lightrag_bkp.sync import BackupManager
    storage, source, rounds = sys.argv[1:]
    graph = BackupManager(storage).register_graph("graph", source)
    for _ in range(int(rounds)):
        print(graph.create_snapshot().backup_id, flush=True)
"""


@contextmanager
def stopped(process: "subprocess.Popen[str]") -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def names(directory: Path) -> set[str]:
    return set(os.listdir(directory)) if directory.exists() else set()


def wait_for_a_pack(process: "subprocess.Popen[str]", repository: Path) -> None:
    while not names(repository / "packs"):
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def assert_restores(graph: GraphBackup, snapshot_id: str, target: Path, expected: dict[str, bytes]) -> None:
    assert graph.restore_snapshot(snapshot_id, target)
    assert contents(target) == expected


def test_prune_beside_a_first_backup_whose_packs_no_entry_names(tmp_path: Path) -> None:
    source, storage = tmp_path / "source", tmp_path / "storage"
    source.mkdir()
    (source / "big").write_bytes(os.urandom(PACKS_BEFORE_THE_FIRST_NAME + (48 << 20)))
    (source / "small").write_text("here")
    repository = storage / "graphs" / "graph"
    process = start(BACK_UP, storage, source, 1)
    wait_for_a_pack(process, repository)
    graph = BackupManager(storage).register_graph("graph")
    with stopped(process):
        assert len(names(repository / "log")) == 1, "the snapshot was committed before it could be stopped"
        packs = names(repository / "packs")
        pruned = graph.prune(wait_s=0)
        assert pruned.packs_swept == len(packs) and not names(repository / "packs")
    snapshot_id = end(process).strip()
    assert_restores(graph, snapshot_id, tmp_path / "target", contents(source))
    assert graph.verify_snapshot().ok


TAKE_TURNS = """
    import json, os, sys
    from pathlib import Path
    from lightrag_bkp.sync import BackupManager
    storage, source, rounds = sys.argv[1:]
    graph = BackupManager(storage).register_graph("graph", source)
    for number in range(int(rounds)):
        Path(source, "round").write_text(f"{source} {number}")
        Path(source, "shared").write_bytes(bytes([number]) * 300_000)
        print(graph.create_snapshot().backup_id, number, flush=True)
"""


def test_two_backups_and_a_prune_at_once(tmp_path: Path) -> None:
    storage, rounds = tmp_path / "storage", 20
    sources = [tmp_path / "left", tmp_path / "right"]
    for source in sources:
        source.mkdir()
        (source / "constant").write_bytes(os.urandom(400_000))
    graph = BackupManager(storage).register_graph("graph")
    processes = [start(TAKE_TURNS, storage, source, rounds) for source in sources]
    while any(process.poll() is None for process in processes):
        with suppress(Busy):
            graph.prune(wait_s=0)
    taken = [(source, *line.split()) for source, process in zip(sources, processes, strict=True)
             for line in end(process).splitlines()]  # fmt: skip
    assert len(taken) == 2 * rounds == len(graph.list_snapshots())
    for source, snapshot_id, number in taken:
        expected = {
            "constant": (source / "constant").read_bytes(),
            "round": f"{source} {number}".encode(),
            "shared": bytes([int(number)]) * 300_000,
        }
        assert_restores(graph, snapshot_id, tmp_path / "target" / snapshot_id, expected)
    assert graph.verify_snapshot().ok


HOLD = """
    import sys
    from lightrag_bkp.errors import NotFoundError
    from lightrag_bkp.sync import BackupManager
    graph = BackupManager(sys.argv[1]).register_graph("graph")
    print("ready", flush=True)
    for snapshot_id in sys.argv[2:]:
        try:
            graph.hold(snapshot_id)
            print(snapshot_id, flush=True)
        except NotFoundError:
            pass
"""


def test_a_hold_and_a_drop_cannot_both_succeed(tmp_path: Path, folder: Path) -> None:
    graph = BackupManager(tmp_path / "storage").register_graph("graph", folder)
    ids = []
    for number in range(30):
        (folder / "notes").write_text(f"notes {number}")
        ids.append(graph.create_snapshot().backup_id)
    process = start(HOLD, tmp_path / "storage", *ids)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    dropped = set()
    for snapshot_id in ids:
        with suppress(ConflictError, Busy):
            if graph.delete_snapshot(snapshot_id):
                dropped.add(snapshot_id)
            graph.prune(wait_s=0)
    held = set(end(process).split())
    assert held | dropped == set(ids) and not held & dropped
    for snapshot_id in held:
        number = ids.index(snapshot_id)
        expected = contents(folder) | {"notes": f"notes {number}".encode()}
        assert_restores(graph, snapshot_id, tmp_path / "target" / snapshot_id, expected)
