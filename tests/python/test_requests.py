"""Requests of event loops: every kind of loop hears of its own, who gives up is waited for by nobody, and the thread
that makes them ends with the last user, the process or in a fork.
"""

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop
from support.answering import Answer, Asked, answer, answering

from lightrag_bkp.shipping.requests import Outcome, Requests, requests

REPOSITORY = Path(__file__).parents[2]
BODY = bytes(range(256)) * 4096


class Hanging:
    """Lets go of those that ask for /hang at the end of the tests, and says when one does."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.ended = threading.Event()

    def says(self, asked: Asked) -> Answer | None:
        if asked.path != "/hang":
            return answer({"path": asked.path})
        self.asked.release()
        self.ended.wait()
        return None


hanging = Hanging()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with answering(hanging.says) as url:
        yield url
        hanging.ended.set()


def begin(some: Requests, url: str, body: bytes | None = None) -> Any:
    method = "GET" if body is None else "PUT"
    return some.begin(
        method, url, ["User-Agent: test"], body, None, None, None, None,
        allow_http=False, allow_private=False, has_key=False, connect_ms=20_000, answer_max_bytes=1000, paces=(),
    )  # fmt: skip


async def ask(url: str, body: bytes | None = None) -> Outcome:
    with requests() as some:
        return await some.outcome(begin(some, url, body), lambda request: None)


async def ask_many(url: str, count: int = 20) -> int:
    """How many were answered each its own."""
    with requests() as some:
        asked = [begin(some, f"{url}/{n}", BODY if n % 2 else None) for n in range(count)]
        came = await asyncio.gather(*(some.outcome(request, lambda request: None) for request in asked))
    assert [one for one in came if one.status != 200] == []
    assert [one.body for one in came] == [b'{"path": "/%d"}' % n for n in range(count)]
    assert [request.look()[0] for request in asked] == [len(BODY) if n % 2 else 0 for n in range(count)]
    return len(came)


class NoReaders(asyncio.SelectorEventLoop):
    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        raise NotImplementedError

    def remove_reader(self, fd: Any) -> bool:
        raise NotImplementedError


def run_without_readers(main: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner(loop_factory=NoReaders) as runner:
        return runner.run(main)


RUNNERS: list[Callable[[Coroutine[Any, Any, int]], int]] = [asyncio.run, uvloop.run, run_without_readers]


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


def wait_until(condition: Callable[[], bool]) -> None:
    """What ends soon in another thread."""
    ended = threading.Event()
    for _ in range(2000):
        if condition():
            return
        ended.wait(0.01)
    raise AssertionError("it does not end")


# ---- loops ----


@pytest.mark.parametrize("runner", RUNNERS, ids=["asyncio", "uvloop", "no-readers"])
def test_every_kind_of_loop_hears_of_its_requests_and_leaves_nothing(
    runner: Callable[[Coroutine[Any, Any, int]], int], url: str
) -> None:
    runner(ask_many(url))
    gc.collect()
    before = threads()
    wait_until(lambda: not [one for one in threading.enumerate() if one.name == "lrb-requests-end"])
    descriptors = open_descriptors()
    for _ in range(20):
        assert runner(ask_many(url, 3)) == 3
    wait_until(lambda: threads() <= before and open_descriptors() <= descriptors)


def test_loops_of_several_threads_ask_at_once(url: str) -> None:
    came: list[int] = []
    workers = [
        threading.Thread(target=lambda runner=runner: came.extend(runner(ask_many(url)) for _ in range(5)))
        for runner in RUNNERS
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert came == [20] * 15


async def test_the_thread_is_there_while_somebody_asks(url: str) -> None:
    await ask(f"{url}/before")
    wait_until(lambda: not [one for one in threading.enumerate() if one.name == "lrb-requests-end"])
    before = threads()
    with requests() as some:
        with requests() as others:
            assert others is some
            await ask(f"{url}/a")
            (mine,) = threads() - before - server_threads(before)
        await ask(f"{url}/b")
        assert mine in threads()
    wait_until(lambda: mine not in threads())


def server_threads(before: set[str]) -> set[str]:
    """Those of Python's own: the server's."""
    return {str(one.native_id) for one in threading.enumerate()} - before


@pytest.mark.parametrize("make", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_what_a_closed_loop_left_behind_ends_with_the_next_that_asks(
    make: Callable[[], asyncio.AbstractEventLoop], url: str
) -> None:
    loop = make()

    async def leave(stack: ExitStack) -> None:
        begin(stack.enter_context(requests()), f"{url}/hang")
        await asyncio.to_thread(hanging.asked.acquire)

    with ExitStack() as stack:
        before = threads()
        loop.run_until_complete(leave(stack))
        (left,) = threads() - before - server_threads(before)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        assert asyncio.run(ask(f"{url}/next")).status == 200
        wait_until(lambda: left not in threads())


# ---- giving up ----


async def test_a_cancelled_task_lets_go(url: str) -> None:
    with requests() as some:
        request = begin(some, f"{url}/hang")
        task = asyncio.create_task(some.outcome(request, lambda request: None))
        await asyncio.to_thread(hanging.asked.acquire)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await ask(f"{url}/next")).status == 200, "others go on"
        for _ in range(2000):
            if request.is_over:
                break
            await asyncio.sleep(0.01)
        assert request.is_over and request.answer()[0] == "cancelled"


async def test_whoever_leaves_with_a_request_under_way_waits_for_nothing(url: str) -> None:
    with requests() as some:
        request = begin(some, f"{url}/hang")
        await asyncio.to_thread(hanging.asked.acquire)
    await asyncio.to_thread(wait_until, lambda: request.is_over)
    assert request.answer()[0] == "cancelled"


# ---- processes ----


def asking_in_a_thread(url: str) -> tuple[asyncio.AbstractEventLoop, "asyncio.Task[Outcome]", threading.Thread]:
    """A loop in another thread, with a request that is under way."""
    begun = threading.Event()
    found: list[Any] = []

    async def main() -> None:
        found.extend([asyncio.get_running_loop(), asyncio.ensure_future(ask(f"{url}/hang"))])
        begun.set()
        await asyncio.wait([found[1]])

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    begun.wait()
    hanging.asked.acquire()
    return found[0], found[1], thread


def test_a_forked_child_asks_by_itself_and_its_parent_goes_on(url: str) -> None:
    loop, task, thread = asking_in_a_thread(url)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if all(asyncio.run(ask_many(url)) == 20 for _ in range(3)) else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert asyncio.run(ask_many(url)) == 20 and not task.done()
    loop.call_soon_threadsafe(task.cancel)
    thread.join(20)
    assert not thread.is_alive() and task.cancelled()


LEFT = """
import asyncio, sys, threading
sys.path[:0] = ["tests/python", "tests"]
from test_requests import ask
{how}
"""
EXITS = {
    "a thread of its own": """
threading.Thread(target=lambda: asyncio.run(ask(sys.argv[1])), daemon=True).start()
sys.stdin.readline()
""",
    "the loop's thread": """
async def main():
    task = asyncio.ensure_future(ask(sys.argv[1]))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    sys.exit(0)
asyncio.run(main())
""",
    "a loop nobody closed": """
loop = asyncio.new_event_loop()
async def main():
    global task
    task = asyncio.ensure_future(ask(sys.argv[1]))
    task._log_destroy_pending = False
    await loop.run_in_executor(None, sys.stdin.readline)
loop.run_until_complete(main())
""",
}


@pytest.mark.parametrize("how", EXITS)
def test_an_interpreter_ends_with_a_request_under_way(how: str, url: str) -> None:
    program = [sys.executable, "-c", LEFT.format(how=EXITS[how]), f"{url}/hang"]
    with subprocess.Popen(
        program, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        hanging.asked.acquire()
        said, _ = process.communicate("it is under way\n", timeout=60)
    assert (process.returncode, said) == (0, "")
