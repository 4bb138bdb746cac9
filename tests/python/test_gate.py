"""The gate without LightRAG."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from lightrag_bkp.sources.gate import Gate, NotDrained

Work = Callable[[], Coroutine[None, None, str]]


async def nothing() -> str:
    return "done"


def until(event: asyncio.Event) -> Work:
    async def wait() -> str:
        await event.wait()
        return "through"

    return wait


async def test_closing_waits_for_work_inside_and_holds_back_the_rest() -> None:
    gate, finish, seen = Gate(), asyncio.Event(), list[str]()
    inside = asyncio.create_task(gate.run(until(finish)))
    await asyncio.sleep(0)

    async def cut() -> None:
        seen.append("cut")

    cutter = asyncio.create_task(gate.closed(cut, 5))
    await asyncio.sleep(0)
    late = asyncio.create_task(gate.run(nothing))
    await asyncio.sleep(0.02)
    assert not seen and not late.done()
    finish.set()
    assert await inside == "through"
    assert await late == "done"
    await cutter
    assert seen == ["cut"] and gate.quiet


async def test_a_sharer_passes_the_closed_gate_again_also_in_tasks_it_started() -> None:
    gate, closing = Gate(), asyncio.Event()

    async def outer() -> str:
        await closing.wait()
        alone = await gate.run(nothing)
        return alone + await asyncio.create_task(gate.run(nothing))

    inside = asyncio.create_task(gate.run(outer))
    await asyncio.sleep(0)
    cutter = asyncio.create_task(gate.closed(nothing, 5))
    await asyncio.sleep(0)
    closing.set()
    assert await asyncio.wait_for(inside, 1) == "donedone"
    assert await cutter == "done"


async def test_a_task_that_outlives_its_sharer_has_no_pass_any_more() -> None:
    gate, finish = Gate(), asyncio.Event()
    children: list[asyncio.Task[str]] = []

    async def child() -> str:
        await finish.wait()
        return await gate.run(nothing)

    async def parent() -> None:
        children.append(asyncio.create_task(child()))

    await gate.run(parent)

    async def cut() -> bool:
        finish.set()
        await asyncio.sleep(0.02)
        return children[0].done()

    assert await gate.closed(cut, 1) is False
    assert await children[0] == "done"


async def test_the_gate_opens_after_every_end_of_the_cutter() -> None:
    gate, forever = Gate(), asyncio.Event()

    async def fail() -> None:
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        await gate.closed(fail, 1)
    assert await gate.run(nothing) == "done"

    cutter = asyncio.create_task(gate.closed(until(forever), 1))
    await asyncio.sleep(0)
    cutter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cutter
    assert await gate.run(nothing) == "done"

    thrown_away = gate.closed(until(forever), 1)
    thrown_away.send(None)
    thrown_away.close()
    assert await gate.run(nothing) == "done"


async def test_waiting_ends_in_time_and_the_work_inside_goes_on() -> None:
    gate, finish = Gate(), asyncio.Event()
    inside = asyncio.create_task(gate.run(until(finish)))
    await asyncio.sleep(0)
    with pytest.raises(NotDrained):
        await gate.closed(nothing, 0.05)
    assert await gate.run(nothing) == "done"
    finish.set()
    assert await inside == "through"


async def test_cutters_take_turns() -> None:
    gate, inside = Gate(), 0

    async def cut() -> int:
        nonlocal inside
        inside += 1
        await asyncio.sleep(0.01)
        inside -= 1
        return inside

    assert await asyncio.gather(*(gate.closed(cut, 5) for _ in range(5))) == [0] * 5


async def test_calls_under_way_when_the_gate_comes_are_waited_for() -> None:
    gate, finish = Gate(), asyncio.Event()

    async def merge() -> str:
        await finish.wait()
        return "merged"

    async def caller() -> str:
        return await merge()

    early = asyncio.create_task(caller())
    not_started = asyncio.create_task(merge())
    await asyncio.sleep(0)
    gate.count_running([merge.__code__])
    assert not gate.quiet
    with pytest.raises(NotDrained):
        await gate.closed(nothing, 0.05)
    finish.set()
    assert await gate.closed(nothing, 1) == "done"
    assert early.done() and not_started.done()


async def test_a_gate_outlives_its_loop() -> None:
    gate = Gate()

    async def use() -> str:
        finish = asyncio.Event()
        inside = asyncio.create_task(gate.run(until(finish)))
        cutter = asyncio.create_task(gate.closed(nothing, 1))
        late = asyncio.create_task(gate.run(nothing))
        await asyncio.sleep(0.01)
        finish.set()
        await asyncio.gather(inside, cutter)
        return await late

    for _ in range(2):
        assert await asyncio.to_thread(asyncio.run, use()) == "done"
