"""Turns: so many at a time, first come first served, whatever the loop, and none is ever lost."""

import asyncio
import os
import threading

import pytest

from lightrag_bkp import turns
from lightrag_bkp.turns import Turns


async def test_so_many_hold_one_at_a_time_in_the_order_they_asked() -> None:
    place, begun, holding, most = Turns(3), [], 0, 0

    async def hold(number: int) -> None:
        nonlocal holding, most
        async with place.turn():
            begun.append(number)
            holding += 1
            most = max(most, holding)
            await asyncio.sleep(0.001)
            holding -= 1

    await asyncio.gather(*(hold(number) for number in range(50)))
    assert begun == list(range(50))
    assert most == 3


async def test_whoever_gives_up_waiting_leaves_the_turn_to_the_next() -> None:
    place = Turns(1)
    got = asyncio.Event()

    async def hold() -> None:
        async with place.turn():
            got.set()

    async with place.turn():
        gone, next_one = asyncio.create_task(hold()), asyncio.create_task(hold())
        await asyncio.sleep(0)
        gone.cancel()
    await next_one
    assert gone.cancelled() and got.is_set()


async def test_one_who_is_called_and_cancelled_at_once_passes_the_turn_on() -> None:
    place = Turns(1)

    async def hold() -> None:
        async with place.turn():
            pass

    holder = place.turn()
    await holder.__aenter__()
    called = asyncio.create_task(hold())
    await asyncio.sleep(0)
    await holder.__aexit__(None, None, None)
    called.cancel()
    with pytest.raises(asyncio.CancelledError):
        await called
    await asyncio.wait_for(hold(), 10)


async def test_a_failure_gives_the_turn_back() -> None:
    place = Turns(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with place.turn():
                raise ZeroDivisionError


def test_loops_of_many_threads_share_them() -> None:
    place, lock = Turns(2), threading.Lock()
    holding, most, done = 0, 0, 0

    async def hold() -> None:
        nonlocal holding, most, done
        for _ in range(20):
            async with place.turn():
                with lock:
                    holding += 1
                    most = max(most, holding)
                await asyncio.sleep(0)
                with lock:
                    holding -= 1
                    done += 1

    threads = [threading.Thread(target=lambda: asyncio.run(hold())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == 120 and most <= 2


async def test_a_waiter_whose_loop_is_gone_is_passed_over() -> None:
    place = Turns(1)

    async def wait() -> None:
        async with place.turn():
            pass

    async with place.turn():
        loop = asyncio.new_event_loop()
        left = loop.create_task(wait())
        thread = threading.Thread(target=loop.run_until_complete, args=(asyncio.sleep(0.01),))
        thread.start()
        thread.join()
        loop.close()
    async with place.turn():
        assert not left.done()
    left.get_coro().close()  # type: ignore[union-attr]


def test_a_forked_child_begins_with_none_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTRAG_BACKUP_JOBS", "1")
    monkeypatch.setattr(turns, "_turns", None)
    whole = 1 * turns.BEGUN_PER_JOB

    async def take_all() -> int:
        for _ in range(whole):
            await turns.snapshots()._take()
        child = os.fork()
        if not child:
            os._exit(turns.snapshots()._free)
        return child

    child = asyncio.run(take_all())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == whole
    assert turns.snapshots()._free == 0
