"""The process that hosts the package: forked after it was loaded and used, ended in mid-backup, or with several
interpreters in it."""

import os
import sys
from pathlib import Path

import pytest
from support.trouble import Trouble, contents

from lightrag_bkp.sync import BackupManager

PRELOADED = """
import os
storage, source, used = sys.argv[1:]
graph = BackupManager(storage).register_graph("g", source)

def tell(told):
    os.write(1, f"{told}\\n".encode())  # at once: all of them write into one pipe

if used == "used":
    tell(graph.create_snapshot().backup_id)  # threads, a loop and a repository are there when it forks

def worker(number):
    tell(graph.create_snapshot(metadata={"worker": number}).backup_id)
    graph.restore_snapshot("latest", f"{storage}-{number}")

children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            worker(number)
            code = 0
        finally:
            os._exit(code)
    children.append(child)
worker("master")
assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
"""


@pytest.mark.parametrize("used", ["loaded", "used"])
def test_workers_forked_from_a_master_that_preloads(tmp_path: Path, source: Path, trouble: Trouble, used: str) -> None:
    """As Gunicorn does with --preload, LightRAG's own way."""
    ids = trouble.run(PRELOADED, tmp_path / "storage", source, used).split()
    graph = BackupManager(tmp_path / "storage").register_graph("g")
    assert sorted(ids) == sorted(kept.backup_id for kept in graph.list_snapshots())
    assert len(ids) == (4 if used == "loaded" else 5)
    for number in (0, 1, 2, "master"):
        assert contents(tmp_path / f"storage-{number}") == contents(source)
    assert graph.verify_snapshot().ok


ENDS = """
import threading, time
storage, source, how = sys.argv[1:]
graph = BackupManager(storage).register_graph("g", source)
threading.Thread(target=graph.create_snapshot, daemon=True).start()
written = Path(storage, "graphs", "g", "tmp")
while not list(written.glob("*.pack")):
    time.sleep(0.01)
print("working", flush=True)
if how == "error":
    raise SystemExit(3)
"""


@pytest.mark.parametrize(("how", "code"), [("end", 0), ("error", 3)])
def test_the_interpreter_ends_in_mid_backup(
    tmp_path: Path, trouble: Trouble, monkeypatch: pytest.MonkeyPatch, how: str, code: int
) -> None:
    """What was being written is taken back, and the next process goes on as if nothing had been."""
    source, storage = tmp_path / "source", tmp_path / "storage"
    source.mkdir()
    (source / "endless").touch()
    os.truncate(source / "endless", 1 << 42)  # one thread is at it, the other writes packs
    for number in range(20):
        (source / f"part{number}").write_bytes(os.urandom(1 << 20))
    monkeypatch.setenv("LIGHTRAG_BACKUP_THREADS", "2")
    assert trouble.run(ENDS, storage, source, how, code=code) == "working\n"
    (source / "endless").write_bytes(b"not so endless")
    graph = BackupManager(storage).register_graph("g", source)
    assert graph.list_snapshots() == []
    graph.restore_snapshot(graph.create_snapshot().backup_id, tmp_path / "target")
    assert contents(tmp_path / "target") == contents(source)
    assert list((storage / "graphs" / "g" / "tmp").iterdir()) == []
    assert graph.verify_snapshot().ok


INTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
storage, source, kind = sys.argv[1:]
isolated = kind == "isolated"
try:
    other = interpreters.create(kind)
except TypeError:
    other = interpreters.create(isolated=isolated)
work = f'''
import sys
sys.path[:0] = {sys.path!r}
from lightrag_bkp.sync import BackupManager
graph = BackupManager({storage!r}).register_graph("g", {source!r})
graph.restore_snapshot(graph.create_snapshot().backup_id, {storage!r} + "-0")
assert graph.verify_snapshot().ok
'''
try:
    failed = interpreters.run_string(other, work)
except Exception as error:
    failed = error
print("refused" if failed else "worked", failed or "")
try:
    interpreters.destroy(other)
finally:
    graph = BackupManager(storage).register_graph("g", source)
    graph.restore_snapshot(graph.create_snapshot().backup_id, storage + "-1")
"""


def test_another_interpreter_of_the_process_works(tmp_path: Path, source: Path, trouble: Trouble) -> None:
    """An interpreter as mod_wsgi makes them: it may start threads."""
    said = trouble.run(INTERPRETER, tmp_path / "storage", source, "legacy")
    assert said.startswith("worked"), said
    for number in (0, 1):
        assert contents(tmp_path / f"storage-{number}") == contents(source)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on isolated interpreters may start threads")
def test_an_isolated_interpreter_is_refused_with_a_sentence(tmp_path: Path, source: Path, trouble: Trouble) -> None:
    """One that may not start threads is told so by Python itself, and the main one goes on."""
    said = trouble.run(INTERPRETER, tmp_path / "storage", source, "isolated")
    assert said.startswith("refused") and "thread is not supported" in said
    assert contents(tmp_path / "storage-1") == contents(source)


def test_importing_starts_no_thread_and_opens_no_descriptor(trouble: Trouble) -> None:
    """The prelude of every script here has imported the package, its twins without await and its errors."""
    script = """
    import os
    import lightrag_bkp.cli
    print(len(os.listdir("/proc/self/task")), sorted(map(int, os.listdir("/proc/self/fd")))[:-1])
    """
    assert trouble.run(script) == "1 [0, 1, 2]\n"
