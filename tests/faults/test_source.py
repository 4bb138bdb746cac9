"""The source does not keep still: a process is stopped at one of its calls, a file changes, and it goes on.

Whatever happens and whenever: the snapshot holds, of each file, all of the old state or all of the new one, or there is
none and the error says what changed.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.trouble import Trouble, contents, end, stopped

from lightrag_bkp.sync import BackupManager, GraphBackup

BACK_UP = """
from lightrag_bkp.sources import outside
outside.REST_S = 0.05
storage, source = sys.argv[1:]
try:
    print(BackupManager(storage).register_graph("g", source).create_snapshot(partial=True).backup_id)
except errors.LightragBkpError as error:
    print(type(error).__name__, error)
"""
SIZE = 3_000_000
"""Several reads of a MiB each, in either of two passes."""


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(SIZE))


def truncate(path: Path) -> None:
    os.truncate(path, SIZE // 3)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(os.urandom(SIZE))


def replace(path: Path) -> None:
    fresh = path.with_name("fresh.tmp")
    fresh.write_bytes(os.urandom(SIZE))
    fresh.replace(path)


def remove(path: Path) -> None:
    path.unlink()


MOMENTS = ["open:{}:0", "stat:{}:1", "read:{}:0", "read:{}:1", "read:{}:4"]


@pytest.fixture(params=["plain", "graph"])
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The file that will change, in a plain directory or among LightRAG's files, which are pinned."""
    directory = tmp_path / "source"
    directory.mkdir()
    plain = request.param == "plain"
    (directory / ("other" if plain else "kv_store_text_chunks.json")).write_text("{}")
    path = directory / ("big" if plain else "vdb_chunks.json")
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.mark.parametrize("change", [rewrite, truncate, grow, replace, remove])
def test_a_file_that_changes_while_it_is_read_is_old_or_new_or_an_error(
    tmp_path: Path, victim: Path, trouble: Trouble, change: Callable[[Path], None]
) -> None:
    storage, source = tmp_path / "storage", victim.parent
    graph = BackupManager(storage).register_graph("g", source)
    for number, moment in enumerate(MOMENTS):
        victim.write_bytes(os.urandom(SIZE))
        old = contents(source)
        process = trouble.start(BACK_UP, storage, source, root=source, at=moment.format(victim.name), do="stop")
        with stopped(process):
            change(victim)
        judge(graph, end(process), old, contents(source), tmp_path / f"target{number}")
    assert graph.verify_snapshot().ok
    assert list((storage / "graphs" / "g" / "tmp").iterdir()) == []


def judge(graph: GraphBackup, said: str, old: dict[str, bytes], new: dict[str, bytes], target: Path) -> None:
    first = said.split()[0]
    if first.endswith(("Error", "Busy")):
        assert first in ("Busy", "NotFoundError", "IncompleteSourceError"), said
        return
    graph.restore_snapshot(first, target)
    found = contents(target)
    assert found in (old, new, {name: new.get(name, content) for name, content in old.items()}), said


@pytest.mark.parametrize("when", ["open:big:0", "read:big:0", "read:big:2"])
@pytest.mark.parametrize(
    ("number", "said"), [(13, "PermissionError|StorageError"), (5, "StorageError"), (116, "StorageError")]
)
def test_a_file_that_may_not_be_read_any_more_is_named(
    tmp_path: Path, trouble: Trouble, when: str, number: int, said: str
) -> None:
    source, storage = tmp_path / "source", tmp_path / "storage"
    source.mkdir()
    (source / "big").write_bytes(os.urandom(SIZE))
    graph = BackupManager(storage).register_graph("g", source)
    output = trouble.run(BACK_UP, storage, source, root=source, at=when, do=f"refuse={number}", always=1)
    assert output.split()[0] in said.split("|") and "big" in output, output
    assert graph.list_snapshots() == []
    snapshot = graph.create_snapshot()
    graph.restore_snapshot(snapshot.backup_id, tmp_path / "target")
    assert contents(tmp_path / "target") == contents(source)


RESTORE = """
storage, target = sys.argv[1:]
try:
    BackupManager(storage).register_graph("g").restore("latest", target)
    print("restored")
except errors.LightragBkpError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("script", [BACK_UP, RESTORE], ids=["backup", "restore"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_a_file_of_a_graph_that_cannot_be_opened_is_an_error_of_ours_with_its_path(
    tmp_path: Path, trouble: Trouble, script: str, number: int
) -> None:
    """Pinned by Python, not by the core: by a backup, and by a restore that keeps what it replaces."""
    source, storage = tmp_path / "source", tmp_path / "storage"
    source.mkdir()
    (source / "vdb_chunks.json").write_text("old")
    graph = BackupManager(storage).register_graph("g", source)
    graph.create_snapshot(on_busy="crash", partial=True)
    (source / "vdb_chunks.json").write_text("new")
    moment, deed = "open:vdb_chunks.json:0", f"refuse={number}"
    said = trouble.run(script, storage, source, root=source, at=moment, do=deed, always=1)
    assert said.startswith(f"StorageError '{source}/vdb_chunks.json': "), said
    assert (source / "vdb_chunks.json").read_text() == "new" and len(graph.list_snapshots()) == 1


REFUSE_EACH = """
import ctypes
storage, target, kind = sys.argv[1:]
graph = BackupManager(storage).register_graph("g")
ids = [one.backup_id for one in graph.list_snapshots()]
refused = passed = number = 0
while passed < 3:
    assert ctypes.CDLL(None).seam_plan(target.encode(), f"{kind}::{number}".encode(), b"refuse=5")
    try:
        graph.restore(ids[number % 2], target)
        passed += 1
    except errors.LightragBkpError as error:
        assert isinstance(error, errors.StorageError) and (error.target or error.op), repr(error)
        refused, passed = refused + 1, 0
    number += 1
print(refused)
"""


@pytest.mark.parametrize("kind", ["open", "stat", "list", "create", "make-dir"])
def test_each_refused_call_in_a_target_is_an_error_of_ours(tmp_path: Path, trouble: Trouble, kind: str) -> None:
    """Some are made in Python, some by the core; who restores need not know which."""
    source, storage, target = tmp_path / "source", tmp_path / "storage", tmp_path / "beside" / "target"
    source.mkdir()
    graph = BackupManager(storage).register_graph("g", source)
    for text in ("one", "two"):
        (source / "vdb_chunks.json").write_text(text)
        graph.create_snapshot(on_busy="crash", partial=True)
    graph.restore_snapshot("latest", target)
    said = trouble.run(REFUSE_EACH, storage, target, kind, root=target.parent)
    assert int(said) > (5 if kind in ("open", "stat") else -1)


def test_a_link_whose_answer_was_lost_is_written_anew(tmp_path: Path, trouble: Trouble) -> None:
    """What is the same in a plain target gets a second name in the new directory, which may be there although the call
    failed."""
    source, storage, target = tmp_path / "source", tmp_path / "storage", tmp_path / "beside" / "target"
    source.mkdir()
    (source / "same").write_text("as it was")
    (source / "changed").write_text("old")
    graph = BackupManager(storage).register_graph("g", source)
    graph.create_snapshot()
    graph.restore_snapshot("latest", target)
    (source / "changed").write_text("new")
    graph.create_snapshot()
    said = trouble.run(RESTORE, storage, target, root=target.parent, at="link:same:0", do="lose=5")
    assert said == "restored\n"
    assert contents(target) == contents(source)
    assert (target / "same").stat().st_nlink == 1


def test_interrupted_and_short_reads_of_the_source_are_not_noticed(tmp_path: Path, trouble: Trouble) -> None:
    source, storage = tmp_path / "source", tmp_path / "storage"
    source.mkdir()
    (source / "big").write_bytes(os.urandom(SIZE))
    graph = BackupManager(storage).register_graph("g", source)
    for number, deed in enumerate(("short", "refuse=4")):
        always = {"always": 1} if deed == "short" else {}
        snapshot_id = trouble.run(BACK_UP, storage, source, root=source, at="read:big:1", do=deed, **always).strip()
        graph.restore_snapshot(snapshot_id, tmp_path / f"target{number}")
        assert contents(tmp_path / f"target{number}") == contents(source)
