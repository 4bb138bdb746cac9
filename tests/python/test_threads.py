"""Threads that wait for disks: a host keeps its own, and whoever is cancelled leaves nothing held."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lightrag_bkp import locking, threads
from lightrag_bkp.threads import aside, carried_out, held, in_thread, obtained


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - neither kernel nor threads have an event for it
            await asyncio.sleep(0.01)


def is_waited_for(path: Path) -> bool:
    """Whether somebody waits for the lock on a file, by the kernel's list."""
    inode = f":{path.stat().st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


def is_open(path: Path) -> bool:
    return any(os.path.realpath(one.path) == str(path) for one in os.scandir("/proc/self/fd"))


async def take(path: Path) -> None:
    async with held(locking.alone(path)):
        await asyncio.sleep(60)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LINGER_S", 0.01)


@pytest.mark.usefixtures("impatient")
async def test_a_lock_that_comes_when_its_caller_was_cancelled_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locking.alone(path):
        waiting = asyncio.create_task(take(path))
        await until(lambda: is_waited_for(path))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert is_waited_for(path)  # the thread goes on, and nobody waits for it
    async with asyncio.timeout(10), held(locking.alone(path)):
        pass
    await until(lambda: not is_open(path))


async def test_of_more_that_wait_for_a_lock_than_there_are_threads_each_gets_it(tmp_path: Path) -> None:
    """Whoever lets go needs none of the threads that wait."""
    path, order = tmp_path / "lock", []

    async def work(number: int) -> None:
        async with held(locking.alone(path)):
            await asyncio.sleep(0.001)
            order.append(number)

    async with asyncio.timeout(30):
        await asyncio.gather(*(work(number) for number in range(3 * threads.MOST)))
    assert sorted(order) == list(range(3 * threads.MOST))


@pytest.mark.usefixtures("impatient")
async def test_a_block_that_is_cancelled_while_it_ends_ends_all_the_same(tmp_path: Path) -> None:
    path, begun, go_on = tmp_path / "lock", threading.Event(), threading.Event()

    @contextmanager
    def slow() -> Iterator[None]:
        with locking.alone(path):
            yield
            begun.set()
            assert go_on.wait(10)

    async def work() -> None:
        async with held(slow()):
            pass

    task = asyncio.create_task(work())
    await until(begun.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    async with asyncio.timeout(10), held(locking.alone(path)):
        pass


async def test_a_coroutine_that_is_thrown_away_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    work = take(path)
    task = asyncio.ensure_future(work)
    await until(lambda: path.exists() and not is_free(path))
    task.get_coro().close()  # type: ignore[union-attr]
    await until(lambda: is_free(path))
    task.cancel()


def is_free(path: Path) -> bool:
    with locking.opened(path) as fd, locking.tried(fd) as is_ours:
        return is_ours


async def test_who_is_cancelled_waits_until_what_was_obtained_is_let_go_of() -> None:
    begun, go_on, let_go = threading.Event(), threading.Event(), threading.Event()

    def make() -> threading.Event:
        begun.set()
        assert go_on.wait(10)
        return let_go

    task = asyncio.create_task(obtained(make, threading.Event.set))
    await until(begun.is_set)
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done() and not let_go.is_set()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert let_go.is_set()


async def test_errors_pass_through() -> None:
    def fail() -> None:
        raise OSError("no")

    for work in (in_thread(fail), aside(fail), carried_out(fail), obtained(fail, print)):
        with pytest.raises(OSError, match="no"):
            await work


async def test_disks_that_do_not_answer_take_no_thread_of_the_host() -> None:
    answer = threading.Event()
    waiting = [asyncio.create_task(in_thread(answer.wait)) for _ in range(2 * threads.MOST)]
    try:
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(lambda: 1) == 1
    finally:
        answer.set()
        await asyncio.gather(*waiting)


def test_a_forked_child_has_threads_of_its_own() -> None:
    assert asyncio.run(in_thread(os.getpid)) == os.getpid()
    child = os.fork()
    if not child:
        os._exit(asyncio.run(in_thread(os.getpid)) != os.getpid())
    assert os.waitpid(child, 0)[1] == 0
