"""Cuts of a graph whose LightRAG runs in this process. The rungs:

* `quiesced`: nothing of the pipeline runs. The files are pinned under the lock of the pipeline's state. Stores that are
  written alone are flushed before, and only when dirty.
* `gated`: the pipeline runs. LightRAG's merge of one entity or relation, its writing of chunks and its direct edits
  share a gate. It closes, what is under way ends, LightRAG flushes, the files are pinned, the gate opens. Extraction,
  queries and uploads go on meanwhile.
* `settled`: as `quiesced`, for a LightRAG that rewrites its files in place (before 1.5.0): the pinned files may change
  before they are read.
* `unfenced`: the pipeline's state cannot be read in this LightRAG; pinned at once.
* `crash`: pinned at once, because the caller asked for it.

`pin` runs on the loop's thread, and between the test that allows it and its end nothing is awaited: no other task of
LightRAG gets a turn. Writes that may still be under way in LightRAG's storage thread replace whole files, with nothing
newer than the flush in the stores behind the gate.

Where LightRAG has several workers any of them cuts: the others' gates are closed first (`workers`), and the one that
runs the pipeline flushes.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ..arguments import check_on_busy
from ..errors import Busy, InvalidInputError
from . import Cut, workers
from .gate import Gate, NotDrained
from .internals import (
    LLM_CACHE_STORE,
    WRITTEN_ALONE,
    install_gate,
    lightrag_facts,
    missing,
    pipeline_lock,
    pipeline_pid,
    pipeline_status,
    runs_here,
    storages_state,
    unsaved_stores,
)
from .internals import foreign_stores as foreign_stores
from .internals import is_open as is_open
from .internals import storage_classes as storage_classes

T = TypeVar("T")

_POLL_S = 0.05
_REST_S = 5.0
"""How long other workers of an idle LightRAG may take to say that nothing is half-done in them, in seconds."""


async def cut(
    rag: Any,
    pin: Callable[[], T],
    *,
    on_busy: str = "wait",
    deadline_s: float = 300.0,
    discard: Callable[[T], object] = lambda value: None,
) -> Cut[T]:
    """Pins the files of a running LightRAG at a moment at which they agree with each other.

    Args:
        rag: a `lightrag.LightRAG` with initialised storages; call on its event loop.
        pin: opens the files; fast and without awaiting, called on the loop's thread. Its errors pass through.
        on_busy: "wait" (for the gate, or where the gate does not help, for the end of the job), "fail" (`Busy` at once)
            or "crash" (pin at once, whatever is going on).
        deadline_s: how long "wait" waits, in seconds.
        discard: gives back what `pin` returned, for a cut that is cancelled after it.

    Raises:
        Busy: a job that cannot be cut was still running at the deadline, or any job at once with "fail".
        InvalidInputError: not LightRAG's loop, storages not initialised, or an unknown `on_busy`.
    """
    check_on_busy(on_busy)
    check(rag)
    started = time.perf_counter()
    facts = lightrag_facts(rag)
    if on_busy == "crash":
        return Cut(pin(), "crash", facts=facts)
    lacking = missing(rag)
    if any(lacking.values()):
        facts["lightrag_lacks"] = [name for names in lacking.values() for name in names]
    if lacking["settled"]:
        return Cut(pin(), "unfenced", facts=facts)
    idle_rung = "settled" if lacking["quiesced"] else "quiesced"
    graph = _Graph(rag, None if any(lacking.values()) else install_gate(rag))
    while True:
        left_s = deadline_s - (time.perf_counter() - started)
        rung, pinned = idle_rung, await graph.pin_idle(pin, discard, left_s)
        if pinned is None and on_busy == "wait" and await graph.may_gate():
            rung, pinned = "gated", await graph.pin_gated(pin, discard, left_s)
        if pinned is not None:
            value, since = pinned
            return Cut(value, rung, (time.perf_counter() - since) * 1e3, (since - started) * 1e3, facts)
        if on_busy == "fail" or left_s <= 0:
            raise await graph.busy(0.0 if on_busy == "fail" else deadline_s)
        await asyncio.sleep(min(_POLL_S, left_s))


class _Graph:
    """One LightRAG as a cut sees it.

    `pin_idle` and `pin_gated` return what `pin` did and the `time.perf_counter()` since which LightRAG is held, or None
    when this is not the moment.
    """

    def __init__(self, rag: Any, gate: Gate | None) -> None:
        self._rag = rag
        self._gate = gate

    async def pin_idle(
        self, pin: Callable[[], T], discard: Callable[[T], object], left_s: float
    ) -> tuple[T, float] | None:
        """Pins under the lock of the pipeline's state, if nothing runs and everything is on disk."""
        if not self._idle(await pipeline_status(self._rag)):
            return None
        if self._gate is None:
            return await self._pin_locked(pin, discard, left_s)
        try:
            async with workers.others_held(self._rag, min(max(left_s, _POLL_S), _REST_S)) as others:
                pinned = await self._pin_locked(pin, discard, left_s)
                if pinned is None or others.intact:
                    return pinned
                discard(pinned[0])
        except NotDrained:
            pass
        return None

    async def _pin_locked(
        self, pin: Callable[[], T], discard: Callable[[T], object], left_s: float
    ) -> tuple[T, float] | None:
        lock = pipeline_lock(self._rag)
        try:
            await self._write_unsaved(left_s)
            async with asyncio.timeout(max(left_s, _POLL_S)):
                await lock.__aenter__()
        except (NotDrained, TimeoutError):
            return None
        since = time.perf_counter()
        pinned = None
        try:
            if self._idle(await pipeline_status(self._rag)) and not unsaved_stores(self._rag) - {LLM_CACHE_STORE}:
                pinned = pin(), since
        finally:
            try:
                await lock.__aexit__(None, None, None)
            except BaseException:
                if pinned is not None:
                    discard(pinned[0])
                raise
        return pinned

    async def pin_gated(
        self, pin: Callable[[], T], discard: Callable[[T], object], left_s: float
    ) -> tuple[T, float] | None:
        """Pins behind the closed gate, everything flushed, unless a destructive job came in between."""
        assert self._gate is not None
        try:
            async with workers.others_held(self._rag, max(left_s, _POLL_S)) as others:
                value = await self._gate.closed(functools.partial(self._flush_and_pin, pin), max(left_s, 0.0))
                if others.intact:
                    return value, others.since or self._gate.closed_at
                discard(value)
        except (_NotNow, NotDrained):
            pass
        return None

    async def may_gate(self) -> bool:
        """Whether what goes on now is work the gate can stop: ingestion by a worker within reach, or direct edits."""
        if self._gate is None:
            return False
        status = await pipeline_status(self._rag)
        if _destructive(status):
            return False
        if not status.get("busy"):
            return not status.get("scanning") and not status.get("pending_enqueues")
        return runs_here(status) or pipeline_pid(status) in workers.others(self._rag)

    async def busy(self, waited_s: float) -> Busy:
        """The error that says what goes on and what to do."""
        status = await pipeline_status(self._rag)
        left = max(int(status.get("docs") or 0) - int(status.get("cur_batch") or 0), 0)
        what = "documents are being accepted or the graph is being edited"
        if status.get("busy"):
            what = f"job {str(status.get('job_name'))!r}, {left} documents left"
        after = f" after {waited_s:g} s" if waited_s else ""
        name = self._rag.workspace or "(default workspace)"
        return Busy(
            f"the LightRAG pipeline of {name} is busy{after}: {what}; try again when it is done, allow a longer"
            " deadline, or ask for a crash cut",
            op="cut",
            target=name,
        )

    def _idle(self, status: dict[str, Any]) -> bool:
        flags = ("busy", "scanning", "destructive_busy", "pending_enqueues")
        return not any(status.get(flag) for flag in flags) and (self._gate is None or self._gate.quiet)

    async def _write_unsaved(self, left_s: float) -> None:
        """As `write_unsaved`; what belongs together behind the gate, so that another cut does not take the half-written
        files for an idle graph's.
        """
        gate, write = self._gate, self._rag._insert_done
        await write_unsaved(self._rag, write if gate is None else lambda: gate.closed(write, max(left_s, 0.0)))

    async def _flush_and_pin(self, pin: Callable[[], T]) -> T:
        status = await pipeline_status(self._rag)
        if runs_here(status) or unsaved_stores(self._rag) - {LLM_CACHE_STORE}:
            await self._rag._insert_done()  # Direct edits flush for themselves; documents in progress do not.
            status = await pipeline_status(self._rag)
        if _destructive(status):
            raise _NotNow
        return pin()


class _NotNow(Exception):
    """A destructive job started while the gate was closing."""


def _destructive(status: dict[str, Any]) -> bool:
    """Whether a job runs that the gate does not stop: clearing, deleting, custom chunks."""
    kind = (status.get("busy_owner") or {}).get("kind", "processing")
    return bool(status.get("destructive_busy")) or bool(status.get("busy") and kind != "processing")


def check(rag: Any) -> None:
    """Raises InvalidInputError when a LightRAG cannot be worked with here: its storages are not open, or its loop is
    another one.
    """
    if not is_open(rag):
        raise InvalidInputError(
            f"the storages of this LightRAG are {storages_state(rag)}; await rag.initialize_storages() first, or"
            " register the graph without rag=",
            op="cut",
            target="rag",
        )
    loop = getattr(rag, "_owning_loop", None)
    if loop is not None and not loop.is_closed() and loop is not asyncio.get_running_loop():
        raise InvalidInputError(
            "this LightRAG runs on another event loop; work with it there (asyncio.run_coroutine_threadsafe)",
            op="cut",
            target="rag",
        )


async def write_unsaved(rag: Any, write_together: Callable[[], Awaitable[object]]) -> None:
    """Writes what an idle LightRAG has not written: single stores alone, the graph's all together."""
    unsaved = unsaved_stores(rag)
    if not unsaved <= WRITTEN_ALONE:
        await write_together()
        return
    for name in sorted(unsaved):
        await getattr(rag, name).index_done_callback()
