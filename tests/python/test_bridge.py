"""The seam between asyncio and the core, with real jobs: outcomes, progress, cancelling, and loops of every sort."""

import asyncio
import gc
import itertools
import os
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from support.jobs import backup, descriptors, work_a_little

from lightrag_bkp import _bridge, errors
from lightrag_bkp.models import Progress

GIB = 1 << 30


# ---- outcomes and progress ----


async def test_a_job_returns_its_result(repo: _bridge.Repository, small_file: Path) -> None:
    snapshot_id, stored_bytes, reused, encoded = await _bridge.run(backup(repo, small_file))
    assert [row[0] for row in repo.snapshots()] == [snapshot_id]
    assert (reused, encoded) == (0, 1)
    assert stored_bytes > 100_000


async def test_progress_comes_on_the_loops_thread_and_once_at_the_end(repo: _bridge.Repository, tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.touch()
    os.truncate(path, GIB // 4)
    calls: list[tuple[float, threading.Thread, Progress]] = []
    await _bridge.run(backup(repo, path), lambda p: calls.append((time.monotonic(), threading.current_thread(), p)))
    assert {thread for _, thread, _ in calls} == {threading.current_thread()}
    periodic = [moment for moment, _, _ in calls[:-1]]
    assert all(later - earlier > 0.09 for earlier, later in itertools.pairwise(periodic))
    last = calls[-1][2]
    assert (last.items_done, last.items_total, last.bytes_total) == (1, 1, GIB // 4)
    assert last.bytes_in >= GIB // 4


async def test_a_failing_progress_callback_cancels_the_job(repo: _bridge.Repository, endless_file: Path) -> None:
    def fail(_: Progress) -> None:
        raise RuntimeError("shown to the caller")

    with pytest.raises(RuntimeError, match="shown to the caller"):
        await _bridge.run(backup(repo, endless_file), fail)
    assert repo.snapshots() == []


@pytest.mark.parametrize("when", ["at the end", "after the commit, before anybody knew"])
async def test_a_callback_that_fails_after_the_commit_does_not_hide_it(
    repo: _bridge.Repository, tmp_path: Path, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    big = tmp_path / "big"
    big.touch()
    os.truncate(big, GIB // 4)

    def committed() -> bool:
        repo.refresh()
        return bool(repo.snapshots())

    def fail(at: Progress) -> None:
        if when != "at the end":
            while not committed():
                time.sleep(0.01)
        if committed():
            raise RuntimeError("too late")

    snapshot_id, *_ = await _bridge.run(backup(repo, big), fail, commits=True)
    assert [row[0] for row in repo.snapshots()] == [snapshot_id]
    assert "event=progress_failed" in caplog.text


async def test_a_callback_that_fails_at_the_end_of_what_leaves_nothing_is_an_error(
    repo: _bridge.Repository, small_file: Path
) -> None:
    await _bridge.run(backup(repo, small_file))
    with pytest.raises(ZeroDivisionError):
        await _bridge.run(_bridge.verify_job(repo, None, 2, True), lambda _: 1 // 0)


# ---- cancelling ----


async def test_a_cancelled_caller_waits_until_the_job_has_stopped(
    repo: _bridge.Repository, endless_file: Path, small_file: Path
) -> None:
    job = backup(repo, endless_file)
    task = asyncio.create_task(_bridge.run(job))
    await asyncio.sleep(0.2)
    assert job.progress()[0] > 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(errors.OperationCancelled):
        job.result()
    await _bridge.run(_bridge.refresh_job(repo))
    assert repo.snapshots() == []
    assert await _bridge.run(backup(repo, small_file))


async def test_cancelling_twice_is_no_worse_than_once(repo: _bridge.Repository, endless_file: Path) -> None:
    task = asyncio.create_task(_bridge.run(backup(repo, endless_file)))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_stops_a_job(repo: _bridge.Repository, endless_file: Path) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await _bridge.run(backup(repo, endless_file))


async def test_waiting_jobs_are_cancelled_at_once(repo: _bridge.Repository, endless_file: Path) -> None:
    tasks = [asyncio.create_task(_bridge.run(backup(repo, endless_file))) for _ in range(20)]
    await asyncio.sleep(0.1)
    for task in reversed(tasks):
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


async def test_short_work_is_not_stuck_behind_long(repo: _bridge.Repository, endless_file: Path) -> None:
    tasks = [asyncio.create_task(_bridge.run(backup(repo, endless_file))) for _ in range(10)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        await _bridge.run(_bridge.refresh_job(repo))
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# ---- loops ----


def run_without_readers(main: Coroutine[Any, Any, int]) -> int:
    class NoReaders(asyncio.SelectorEventLoop):
        def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
            raise NotImplementedError

    with asyncio.Runner(loop_factory=NoReaders) as runner:
        return runner.run(main)


RUNNERS: list[Callable[[Coroutine[Any, Any, int]], int]] = [asyncio.run, uvloop.run, run_without_readers]


@pytest.mark.parametrize("runner", RUNNERS, ids=["asyncio", "uvloop", "no-readers"])
def test_two_hundred_loops_leave_nothing_behind(
    runner: Callable[[Coroutine[Any, Any, int]], int], tmp_path: Path
) -> None:
    runner(work_a_little(tmp_path))
    gc.collect()  # of loops that other tests left
    before = descriptors(), threading.active_count()
    for _ in range(200):
        assert runner(work_a_little(tmp_path)) == 0
    gc.collect()
    assert (descriptors(), threading.active_count()) == before


@pytest.mark.parametrize("runner", RUNNERS, ids=["asyncio", "uvloop", "no-readers"])
def test_many_jobs_one_after_another(
    runner: Callable[[Coroutine[Any, Any, int]], int], repo: _bridge.Repository
) -> None:
    async def many() -> int:
        for _ in range(1000):
            await _bridge.run(_bridge.refresh_job(repo))
        return 0

    assert runner(many()) == 0


def test_several_loops_in_several_threads(tmp_path: Path) -> None:
    results: list[int] = []

    def one_thread(runner: Callable[[Coroutine[Any, Any, int]], int]) -> None:
        for _ in range(20):
            results.append(runner(work_a_little(tmp_path)))

    threads = [threading.Thread(target=one_thread, args=(RUNNERS[i % 3],)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0] * 120


def test_a_loop_closed_with_work_under_way_is_cleaned_up_later(repo: _bridge.Repository, endless_file: Path) -> None:
    before = descriptors()
    loop = asyncio.new_event_loop()
    task = loop.create_task(_bridge.run(backup(repo, endless_file)))
    loop.run_until_complete(asyncio.sleep(0.1))
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    del task
    deadline = time.monotonic() + 20
    while descriptors() > before and time.monotonic() < deadline:
        asyncio.run(asyncio.sleep(0.01))
        asyncio.run(_bridge.run(_bridge.refresh_job(repo)))
    assert descriptors() <= before


def test_blocking_calls_from_many_threads(repo: _bridge.Repository) -> None:
    before = descriptors()
    threads = [
        threading.Thread(target=lambda: [_bridge.run_blocking(_bridge.refresh_job(repo)) for _ in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert descriptors() == before
