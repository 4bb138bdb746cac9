"""What the files of a live graph are good for, whoever works on them."""

import asyncio
from dataclasses import dataclass

from .. import validation
from ..errors import LightragBkpError, SourceChangedError
from ..graph import LATEST, GraphBackup
from ..sources import files, names, outside
from ..threads import in_thread
from ..verdicts import Validation, Verdict

_TRIES = 3
_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class LiveVerdict:
    """What was found: None when somebody is at work, and no moment was caught at which the files fit together.

    `doubtful`: they fit together, and by their times they do not, so that no snapshot of them is made.
    """

    verdict: Verdict | None
    message: str
    doubtful: bool = False


async def of(graph: GraphBackup, layout: files.Layout) -> LiveVerdict:
    """Judges the files at `layout`. Those the newest snapshot has as they are were judged with it, and are not read.

    While somebody works on them, files that do not fit together are no finding: the next moment may be better.

    Raises:
        LightragBkpError: they cannot be read.
    """
    known = await in_thread(_known, graph, layout)
    if known is not None:
        return LiveVerdict(known, f"its files are those of the newest snapshot, which is {known}")
    for _ in range(_TRIES):
        judged, at_rest, torn = await _judge(layout)
        if judged is not None and (judged.usable or at_rest):
            doubt = f"; {torn}, or they were copied without their times" if torn else ""
            return LiveVerdict(judged.verdict, f"its files are {judged.said}{doubt}", bool(doubt))
        await asyncio.sleep(_PAUSE_S)
    return LiveVerdict(None, "somebody is at work on it, so that its files do not fit together at the moment")


async def _judge(layout: files.Layout) -> tuple[Validation | None, bool, str]:
    """What the files are at this moment, whether nobody is at work on them, and if so what their times say."""
    pins = await in_thread(files.pin, layout)
    try:
        judged, _ = await validation.judge_pins(pins.copy())
        moved = set(await in_thread(files.moved, pins)) - {files.LLM_CACHE}
        at_rest = not moved and await in_thread(outside.unrest_s, pins) == 0
        at_rest = at_rest and not await in_thread(outside.being_written, layout.root)
        return judged, at_rest, outside.torn_by_time(pins.fds) if at_rest else ""
    except SourceChangedError:
        return None, False, ""
    finally:
        pins.close()


def _known(graph: GraphBackup, layout: files.Layout) -> Verdict | None:
    """The newest snapshot's verdict, when every file has the size and time it has there."""
    try:
        newest = graph.get_snapshot(LATEST)
        if newest is None or newest.verdict not in list(Verdict):
            return None
        stored = {one.name: (one.size_bytes, one.mtime_ns) for one in newest.items}
    except LightragBkpError:
        return None  # `validate_backups` says so
    pins = files.pin(layout)
    try:
        live = {name: identity[2:] for name, identity in pins.identities.items()}
        torn = outside.torn_by_time(pins.fds)
    finally:
        pins.close()
    is_same = live == {name: found for name, found in stored.items() if name in live or names.is_item(name)}
    return Verdict(newest.verdict) if is_same and not torn else None
