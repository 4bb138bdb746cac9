"""Cuts of a graph whose LightRAG, if it runs, runs in another process.

* `settled`: the server said before and after pinning that its pipeline is idle and everything is on disk, and the names
  still lead to the pinned files.
* `unfenced`: nobody was asked. Files replaced between two moments two seconds apart count as somebody at work, so the
  cut is taken when no file was replaced within the last two seconds. That is judged by the pinned files' change time,
  which a rename sets: a directory at rest needs no waiting. Of a pair of Faiss files one is written before the other,
  which may take longer than that: such a pair is waited for.
* `crash`: pinned at once, because the caller asked for it.

A `settled` cut needs the two seconds of rest as well: a direct edit over REST writes its files one after the other
while the pipeline is idle. LightRAG's LLM cache takes no part in any of this; queries rewrite it all the time.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ..errors import Busy, InvalidInputError
from . import Cut
from .files import LLM_CACHE, Layout, torn_pairs

if TYPE_CHECKING:
    from .server_status import Server

REST_S = 2.0
"""How long no file must have been replaced, in seconds."""

_CLOCK_MARGIN_S = 0.1
"""File systems stamp with a clock that may lag behind by a tick."""

_POLL_S = 0.5


class Pinned(Protocol):
    """What `pin` returns: open descriptors by item name."""

    @property
    def fds(self) -> Mapping[str, int]: ...


P = TypeVar("P", bound=Pinned)


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
        deadline_s: how long "wait" waits, in seconds.

    Raises:
        Busy: names the job and the documents left, or the files that keep changing, and says what to do.
        InvalidInputError: an argument cannot be used, or the server serves other files.
        ServerError: the server does not answer or refuses the key. The cut is not silently taken without it.
    """
    if on_busy not in ("wait", "fail", "crash"):
        raise InvalidInputError(f"on_busy is {on_busy!r}; use 'wait', 'fail' or 'crash'", op="cut", target="on_busy")
    if on_busy == "crash":
        return Cut(pin(), "crash")
    started = time.monotonic()
    server = _server(server_url, api_key)
    facts = await server.facts(layout.working_dir, layout.workspace) if server else {}
    attempt = _Attempt(pin, moved, discard, server)
    while True:
        pinned = await attempt.pin()
        waited_s = time.monotonic() - started
        if pinned is not None:
            return Cut(pinned, "settled" if server else "unfenced", 0.0, waited_s * 1e3, facts)
        if on_busy == "fail" or waited_s >= deadline_s:
            after = f" after {waited_s:.0f} s" if on_busy == "wait" else ""
            ask = "" if server else "name the server that writes them, "
            raise Busy(
                f"the graph is busy{after}: {attempt.obstacle}; {ask}try again later, allow a longer deadline, or ask"
                " for a crash cut",
                op="cut",
                target=server_url or "",
            )
        await asyncio.sleep(min(_POLL_S, deadline_s - waited_s))


class _Attempt(Generic[P]):
    """Tries to pin at rest; `obstacle` says why the last try failed."""

    def __init__(
        self,
        pin: Callable[[], P],
        moved: Callable[[P], Iterable[str]],
        discard: Callable[[P], object],
        server: "Server | None",
    ) -> None:
        self._pin, self._moved, self._discard, self._server = pin, moved, discard, server
        self.obstacle: str | None = None

    async def pin(self) -> P | None:
        self.obstacle = await self._occupied()
        if self.obstacle:
            return None
        pinned = self._pin()
        try:
            await asyncio.sleep(_unrest_s(pinned))
            self.obstacle = await self._occupied() or self._replaced(pinned)
        except BaseException:
            self._discard(pinned)
            raise
        if self.obstacle:
            self._discard(pinned)
            return None
        return pinned

    async def _occupied(self) -> str | None:
        return await self._server.occupied() if self._server else None

    def _replaced(self, pinned: P) -> str | None:
        names = sorted(set(self._moved(pinned)) - {LLM_CACHE})
        if names:
            return f"{', '.join(names)} replaced while being pinned"
        torn = torn_pairs(pinned.fds)
        return f"{', '.join(torn)} newer than its .meta.json, so only half of a pair was replaced" if torn else None


def _unrest_s(pinned: Pinned) -> float:
    """How long until every pinned file has rested for `REST_S`; at most that long, also for change times in the
    future."""
    changed = [os.fstat(fd).st_ctime for name, fd in pinned.fds.items() if name != LLM_CACHE]
    rest_s = REST_S + _CLOCK_MARGIN_S
    return min(max(max(changed, default=0.0) + rest_s - time.time(), 0.0), rest_s)


def _server(url: str | None, api_key: str | None) -> "Server | None":
    if url is None:
        return None
    from .server_status import Server  # HTTP takes a while to import, and most cuts ask nobody

    return Server(url, api_key)
