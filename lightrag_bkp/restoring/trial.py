"""A snapshot brought back for trial: restored to a scratch directory, compared, judged, timed, and cleaned up."""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .. import validation
from ..errors import ConflictError, NoSpaceError, StorageError
from ..limits import RECOVERY_VARIABLES
from ..models import BackupSnapshot, ProgressCallback
from ..repository import GraphRepository
from ..sources import files
from ..sources.trees import is_inside
from ..threads import carried_out, in_thread, obtained
from ..verdicts import Verdict
from . import restore
from .request import Request
from .target import layout_of

_ANOTHER = f"name another one, scratch_dir of [recovery] in lightrag-bkp.toml or {RECOVERY_VARIABLES['scratch_dir']}"


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went.

    Attributes:
        problems: what is not as it was stored, or cannot be used. verdict: what the graph that came back is good for;
            None for a plain directory.
        items, size_bytes: what came back. restore_s: how long that took, in seconds; judge_s: and looking at it.
    """

    problems: tuple[str, ...]
    verdict: Verdict | None
    items: int
    size_bytes: int
    restore_s: float
    judge_s: float


async def bring_back(
    repository: GraphRepository,
    snapshot: BackupSnapshot,
    scratch_dir: str | None,
    progress: ProgressCallback | None = None,
) -> Trial:
    """Tries a snapshot out in a directory below `scratch_dir`, the system's for temporary files when None.

    Raises:
        What `restore.restore` raises: then it did not come back. StorageError: no scratch directory can be made.
    """
    async with _scratch(scratch_dir) as place:
        request = Request(snapshot, str(place), allow_unusable=True, progress=progress)
        started = time.monotonic()
        restored = await restore.restore(repository, request)
        restored_s, started = time.monotonic() - started, time.monotonic()
        again = await restore.restore(repository, Request(snapshot, str(place), dry_run=True))
        problems = [f"{one.name} is not what was restored" for one in again.changed]
        verdict = await _judge(place, await in_thread(lambda: snapshot.facts), problems)
        judged_s = time.monotonic() - started
    return Trial(tuple(problems), verdict, len(restored.items), snapshot.size_bytes, restored_s, judged_s)


def refuse_scratch(scratch_dir: str | None, storage_path: str, graph_dirs: Iterable[str | None]) -> None:
    """A snapshot brought back for trial must not lie where snapshots are taken of, or where they are kept.

    Raises:
        ConflictError: `scratch_dir` is inside the storage path or one of these directories of graphs.
    """
    place = scratch_dir or tempfile.gettempdir()
    for what, directory in [("the storage path", storage_path), *(("a graph's directory", one) for one in graph_dirs)]:
        if directory is not None and is_inside(os.path.realpath(place), os.path.realpath(directory)):
            raise ConflictError(
                f"the scratch directory {place!r} lies inside {what} {directory!r}: {_ANOTHER}",
                op="drill",
                target=place,
            )


@asynccontextmanager
async def _scratch(scratch_dir: str | None) -> AsyncIterator[Path]:
    try:
        make = partial(tempfile.mkdtemp, prefix="lightrag-bkp-drill-", dir=scratch_dir)
        made = await obtained(make, _remove)
    except OSError as error:
        place, full = scratch_dir or tempfile.gettempdir(), error.errno in (errno.ENOSPC, errno.EDQUOT)
        said = f"the scratch directory {place!r} cannot be used ({error.strerror or error}): make it, or {_ANOTHER}"
        refused = NoSpaceError if full else StorageError
        raise refused(said, errno=error.errno or 0, op="drill", target=place) from error
    try:
        yield Path(made) / "graph"
    finally:
        await carried_out(_remove, made)


def _remove(directory: str) -> None:
    shutil.rmtree(directory, ignore_errors=True)


async def _judge(place: Path, facts: Mapping[str, Any], problems: list[str]) -> Verdict | None:
    """Judges the files at `place` as LightRAG would find them; an unusable graph is a problem."""
    layout = await in_thread(layout_of, facts, place)
    if layout.kind is files.Kind.PLAIN:
        return None
    pins = await in_thread(files.pin, layout)
    found, _ = await validation.judge_pins(pins, partial=validation.lacks_parts(facts))
    if found.verdict is Verdict.UNUSABLE:
        problems.append(f"the graph is {found.said}")
    return found.verdict
