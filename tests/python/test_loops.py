"""Event loops, threads, tasks and processes: nothing leaks, nothing is half-done, nobody is refused."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvloop

from lightrag_bkp import BackupManager, GraphBackup
from lightrag_bkp.errors import InvalidInputError
from lightrag_bkp.threads import MOST

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def graph(tmp_path: Path) -> GraphBackup:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(os.urandom(10_000))
    return BackupManager(tmp_path / "storage").register_graph("g", tmp_path / "source")


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def threads() -> int:
    """Of this process, once their number stands still: one that was joined is listed for a moment more. Those that wait
    for disks stay, and are started when they are needed.
    """
    last, still = -1, 0
    while still < 3:
        time.sleep(0.01)
        for_disks = [one for one in threading.enumerate() if one.name.startswith("lrb-disk")]
        assert len(for_disks) <= MOST
        found = len(os.listdir("/proc/self/task")) - len(for_disks)
        last, still = found, still + 1 if found == last else 0
    return last


@contextmanager
def nothing_leaks() -> Iterator[None]:
    before = open_descriptors(), threads()
    yield
    assert (open_descriptors(), threads()) == before


def tmp_files(tmp_path: Path) -> list[str]:
    return os.listdir(tmp_path / "storage" / "graphs" / "g" / "tmp")


def test_two_hundred_loops_leak_neither_descriptors_nor_threads(graph: GraphBackup) -> None:
    asyncio.run(graph.create_snapshot())
    with nothing_leaks():
        for _ in range(200):
            asyncio.run(graph.create_snapshot())
    assert len(graph.list_snapshots()) == 201


def test_uvloop(graph: GraphBackup, tmp_path: Path) -> None:
    async def main() -> None:
        snapshot = await graph.create_snapshot()
        assert (await graph.verify_snapshot()).ok
        await graph.restore_snapshot(snapshot.backup_id, tmp_path / "target")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    assert (tmp_path / "target" / "file").read_bytes() == (tmp_path / "source" / "file").read_bytes()


async def test_many_at_once_on_one_graph_all_succeed(graph: GraphBackup) -> None:
    made = await asyncio.gather(*(graph.create_snapshot(metadata={"n": n}) for n in range(8)))
    assert len({snapshot.backup_id for snapshot in made}) == 8
    assert {snapshot.metadata["n"] for snapshot in graph.list_snapshots()} == set(range(8))
    assert (await graph.verify_snapshot()).ok


def test_threads_with_their_own_loops_share_a_graph(graph: GraphBackup) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                asyncio.run(graph.create_snapshot())
                graph.list_snapshots()
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert len(graph.list_snapshots()) == 20


def test_processes_share_a_storage_path(graph: GraphBackup, tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from lightrag_bkp import BackupManager\n"
        "graph = BackupManager(sys.argv[1]).register_graph('g', sys.argv[2])\n"
        "async def main():\n"
        "    for _ in range(5): await graph.create_snapshot()\n"
        "    await graph.cleanup_old_snapshots()\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "storage"), str(tmp_path / "source")]
    children = [subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], errors
    assert len(graph.list_snapshots()) == 15
    assert asyncio.run(graph.verify_snapshot()).ok


def test_forked_child_opens_its_own_handle(graph: GraphBackup) -> None:
    asyncio.run(graph.create_snapshot())
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(graph.create_snapshot())
            os._exit(0 if len(graph.list_snapshots()) == 2 else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    asyncio.run(graph.create_snapshot())
    assert len(graph.list_snapshots()) == 3


@pytest.mark.parametrize("delay_s", [0, 0.002, 0.01, 0.03, 0.06])
async def test_cancellation_leaves_nothing_half_done(graph: GraphBackup, tmp_path: Path, delay_s: float) -> None:
    (tmp_path / "source" / "big").write_bytes(os.urandom(60_000_000))
    task = asyncio.create_task(graph.create_snapshot())
    await asyncio.sleep(delay_s)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        assert graph.list_snapshots() == []
        if (tmp_path / "storage").exists():
            assert tmp_files(tmp_path) == []
    snapshot = await graph.create_snapshot()
    assert (await graph.verify_snapshot(snapshot.backup_id)).ok
    assert tmp_files(tmp_path) == []


@pytest.mark.parametrize("delay_s", [0, 0.005, 0.02, 0.05])
async def test_cancelled_restore_leaves_the_old_or_the_new(graph: GraphBackup, tmp_path: Path, delay_s: float) -> None:
    (tmp_path / "source" / "big").write_bytes(os.urandom(60_000_000))
    snapshot = await graph.create_snapshot()
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").write_text("old")
    task = asyncio.create_task(graph.restore(snapshot.backup_id, target))
    await asyncio.sleep(delay_s)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert set(os.listdir(target)) in ({"mine"}, {"file", "big"})
    assert set(os.listdir(tmp_path)) == {"source", "storage", "target"}
    await graph.restore(snapshot.backup_id, target)
    assert set(os.listdir(target)) == {"file", "big"}


async def test_a_file_that_keeps_changing_is_an_error_a_quiet_one_is_read_again(
    graph: GraphBackup, tmp_path: Path
) -> None:
    path = tmp_path / "source" / "big"
    path.write_bytes(os.urandom(30_000_000))
    task = asyncio.create_task(graph.create_snapshot())
    for n in range(3):
        await asyncio.sleep(0.005)
        path.write_bytes(bytes([n]) * 30_000_000)
    snapshot = await task
    assert {item.size_bytes for item in snapshot.items if item.name == "big"} == {30_000_000}
    assert (await graph.verify_snapshot(snapshot.backup_id)).ok


async def test_unknown_on_busy_is_refused(graph: GraphBackup) -> None:
    with pytest.raises(InvalidInputError, match="on_busy"):
        await graph.create_snapshot(on_busy="hurry")
