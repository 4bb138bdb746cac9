"""Cuts of a graph whose LightRAG, if it runs, runs in another process.

* `settled`: the server said before and after pinning that its pipeline is idle and everything is on disk, and the names
  still lead to the pinned files.
* `unfenced`: nobody was asked. Files replaced between two moments two seconds apart count as somebody at work, so the
  cut is taken when no file was replaced within the last two seconds. That is judged by the pinned files' change time,
  which a rename sets: a directory at rest needs no waiting. A big file takes longer than that to be written, and then
  lies there half-written under another name: while one grew within the last half minute, somebody is at work. Of a pair
  of Faiss files one is written before the other; where only one was, and nothing moves any more, the pair is damaged,
  and so no cut is taken. What stops for longer between two files, with none of them begun, is not seen: only the
  verdict of the snapshot tells then.
* `validated`: somebody is at work, so sets of files are pinned until one is judged to fit together. It is tried
  whenever no moment of rest was found; of the moments of an ingestion about every second one fits. Judging reads
  everything: between two tries is at least as long a pause as one took.
* `crash`: pinned at once, because the caller asked for it.

A `settled` cut needs the two seconds of rest as well: a direct edit over REST writes its files one after the other
while the pipeline is idle. LightRAG's LLM cache takes no part in any of this; queries rewrite it all the time.
"""

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ..arguments import check_on_busy
from ..errors import Busy, DamagedError, SourceChangedError
from ..threads import in_thread, obtained
from . import Cut
from .files import LLM_CACHE, Layout, half_written, torn_pairs

if TYPE_CHECKING:
    from .server_status import Server

REST_S = 2.0
"""How long no file must have been replaced, in seconds."""

_CLOCK_MARGIN_S = 0.1
"""File systems stamp with a clock that may lag behind by a tick."""

WRITING_S = 30.0
"""How long a half-written file may have stood still before its writer counts as dead, in seconds."""

_POLL_S = 0.5


class Pinned(Protocol):
    """What `pin` returns: open descriptors by item name."""

    @property
    def fds(self) -> Mapping[str, int]: ...


P = TypeVar("P", bound=Pinned)


@dataclass(frozen=True)
class Judgement:
    """What is said of pinned files.

    Attributes:
        verdict: one word. misfit: why they are not to be kept, "" when they fit together. facts: what a snapshot of
            them records.
    """

    verdict: str
    misfit: str
    facts: Mapping[str, Any]


async def cut(
    pin: Callable[[], P],
    moved: Callable[[P], Iterable[str]],
    discard: Callable[[P], object],
    *,
    layout: Layout,
    server_url: str | None = None,
    api_key: str | None = None,
    on_busy: str = "wait",
    deadline_s: float = 300.0,
    judge: Callable[[P], Awaitable[Judgement]] | None = None,
) -> Cut[P]:
    """Pins the files of a graph at a moment at which, as far as can be told from outside, they agree with each other.

    Args:
        pin: opens the files; its errors pass through.
        moved: the names that no longer lead to what was pinned, or are new.
        discard: gives pinned files back that are not used.
        layout: where the files lie; a server that says it serves another place is refused.
        server_url: the LightRAG server that owns the files; None when it cannot be asked.
        api_key: that server's key.
        on_busy: "wait" until `deadline_s`, "fail" (`Busy` as soon as somebody is seen at work) or "crash" (pin at once,
            ask nobody).
        deadline_s: how long "wait" waits, in seconds. A set of files that was pinned by then is still judged.
        judge: says whether pinned files fit together, and leaves them open; None: `validated` is not tried.

    Raises:
        Busy: names the job and the documents left, or the files that keep changing, and says what to do.
        DamagedError: nobody is at work, and of a pair of files only one half was replaced.
        InvalidInputError: an argument cannot be used, or the server serves other files.
        ServerError: the server does not answer or refuses the key. The cut is not silently taken without it.
    """
    check_on_busy(on_busy)
    if on_busy == "crash":
        return Cut(await obtained(pin, discard), "crash")
    started = time.monotonic()
    # Who waits is not kept waiting for longer by a pause or an answer; one look with its rest is always taken.
    until = started + deadline_s if on_busy == "wait" else math.inf
    server = _server(server_url, api_key, until)
    facts = await server.facts(layout.working_dir, layout.workspace) if server else {}
    attempt = _Attempt(pin, moved, discard, layout.root, server, judge if on_busy == "wait" else None, until)
    while True:
        taken = await attempt.at_rest()
        if taken is None and time.monotonic() - started < deadline_s:
            taken = await attempt.fitting()
        waited_s = time.monotonic() - started
        if taken is not None:
            return replace(taken, waited_ms=waited_s * 1e3, facts=facts | taken.facts)
        if on_busy == "fail" or waited_s >= deadline_s:
            after = f" after {waited_s:.0f} s" if on_busy == "wait" else ""
            ask = "" if server else "name the server that writes them, "
            raise Busy(
                f"the graph is busy{after}: {attempt.obstacles}; {ask}try again later, allow a longer deadline, or ask"
                " for a crash cut",
                op="cut",
                target=server_url or "",
            )
        await asyncio.sleep(min(attempt.pause_s, deadline_s - waited_s))


class _Attempt(Generic[P]):
    """Tries to pin; `obstacles` says why the last tries failed, `pause_s` when to try again."""

    def __init__(
        self,
        pin: Callable[[], P],
        moved: Callable[[P], Iterable[str]],
        discard: Callable[[P], object],
        root: str,
        server: "Server | None",
        judge: Callable[[P], Awaitable[Judgement]] | None,
        until: float,
    ) -> None:
        self._pin, self._moved, self._discard, self._server, self._judge = pin, moved, discard, server, judge
        self._root, self._until = root, until
        self._unrest: str | None = None
        self._misfits: list[str] = []
        self.pause_s = _POLL_S

    @property
    def obstacles(self) -> str:
        if not self._misfits:
            return str(self._unrest)
        tried = len(self._misfits)
        sets = "the one set of its files that was judged did not fit" if tried == 1 else f"none of {tried} sets fitted"
        return f"{self._unrest}; {sets} together, the last being {self._misfits[-1]}"

    async def at_rest(self) -> Cut[P] | None:
        """`settled` or `unfenced`; None when somebody is at work."""
        before, self._unrest = self._unrest, await self._occupied()
        if self._unrest:
            return None
        pinned = await obtained(self._pin, self._discard)
        try:
            rest_s = await in_thread(unrest_s, pinned)
            if before and time.monotonic() + rest_s > self._until:
                self._discard(pinned)
                self._unrest = before
                return None
            await asyncio.sleep(rest_s)
            self._unrest = await self._occupied() or await in_thread(self._replaced, pinned)
            torn = "" if self._unrest else torn_by_time(pinned.fds)
            if torn:  # what writes one half after the other is at it, or has died
                await asyncio.sleep(REST_S + _CLOCK_MARGIN_S)
                self._unrest = await self._occupied() or await in_thread(self._replaced, pinned)
                if not self._unrest:
                    raise _damaged(torn, self._root)
        except BaseException:
            self._discard(pinned)
            raise
        if self._unrest:
            self._discard(pinned)
            return None
        return Cut(pinned, "settled" if self._server else "unfenced")

    async def fitting(self) -> Cut[P] | None:
        """`validated`; None when what is pinned now does not fit together, or nobody judges."""
        if self._judge is None:
            return None
        started, pinned = time.monotonic(), await obtained(self._pin, self._discard)
        try:
            judged = await self._judge(pinned)
        except SourceChangedError as error:
            judged = Judgement("", str(error), {})
        except BaseException:
            self._discard(pinned)
            raise
        self.pause_s = max(_POLL_S, time.monotonic() - started)
        misfit = judged.misfit or torn_by_time(pinned.fds)
        if misfit:
            self._discard(pinned)
            self._misfits.append(misfit)
            return None
        return Cut(pinned, "validated", facts=dict(judged.facts), verdict=judged.verdict)

    async def _occupied(self) -> str | None:
        said = await self._server.occupied() if self._server else None
        writing = await in_thread(being_written, self._root)
        return said or (f"{', '.join(writing)} being written" if writing else None)

    def _replaced(self, pinned: P) -> str | None:
        """Of moved files those that still lead to what is pinned were not replaced: somebody writes into them."""
        names = sorted(set(self._moved(pinned)) - {LLM_CACHE})
        inside = [name for name in names if _is_there(self._root, name, pinned)]
        others = [name for name in names if name not in inside]
        said = [f"{', '.join(others)} replaced while being pinned"] if others else []
        return "; ".join(said + ([f"{', '.join(inside)} written in place"] if inside else [])) or None


def _is_there(root: str, name: str, pinned: Pinned) -> bool:
    """Whether a name still leads to the file that is pinned, whatever is in it by now."""
    try:
        return name in pinned.fds and os.path.samestat(os.stat(os.path.join(root, name)), os.fstat(pinned.fds[name]))
    except OSError:
        return False


def torn_by_time(fds: Mapping[str, int]) -> str:
    """What is wrong with the times of pinned pairs of Faiss files; "" when nothing is."""
    torn = torn_pairs(fds)
    return f"{', '.join(torn)} newer than its .meta.json, so only half of a pair was replaced" if torn else ""


def _damaged(torn: str, root: str) -> DamagedError:
    return DamagedError(
        f"{root!r} is damaged: {torn}, and nothing has changed since; restore an older snapshot, or rebuild the vectors"
        " (lightrag-rebuild-vdb), or, if these files were only copied without their times, touch the .meta.json",
        op="cut",
        target=root,
    )


def being_written(root: str) -> list[str]:
    """Names of half-written files that grew within `WRITING_S`, sorted; the LLM cache's aside."""
    since = time.time() - WRITING_S
    return sorted(name for name, at in half_written(root).items() if at > since and not name.startswith(LLM_CACHE))


def unrest_s(pinned: Pinned) -> float:
    """How long until every pinned file has rested for `REST_S`; at most that long, also for change times in the
    future."""
    changed = [os.fstat(fd).st_ctime for name, fd in pinned.fds.items() if name != LLM_CACHE]
    rest_s = REST_S + _CLOCK_MARGIN_S
    return min(max(max(changed, default=0.0) + rest_s - time.time(), 0.0), rest_s)


def _server(url: str | None, api_key: str | None, until: float) -> "Server | None":
    if url is None:
        return None
    from .server_status import Server  # HTTP takes a while to import, and most cuts ask nobody

    return Server(url, api_key, until)
