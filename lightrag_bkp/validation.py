"""Whether a graph fits together: a verdict with its findings, of a live directory or of a snapshot.

The invariants are checked in C (csrc/lightrag/validation.h); docs/validation.md lists them. A hash says that bytes are
what they were; this says that what they mean can be used.
"""

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import _bridge
from .arguments import check_flags, check_path, check_progress, check_workspace
from .errors import InvalidInputError, NotFoundError
from .models import BackupSnapshot, ProgressCallback
from .sources import files
from .threads import carried_out, in_thread
from .verdicts import GraphFinding as GraphFinding
from .verdicts import Severity as Severity
from .verdicts import Validation as Validation
from .verdicts import Verdict as Verdict
from .verdicts import parse

logger = logging.getLogger("lightrag_bkp")

_MAX_DIM = 65_535


async def validate_directory(
    source_dir: str | os.PathLike[str],
    workspace: str = "",
    *,
    embedding_dim: int | None = None,
    partial: bool = False,
    progress: ProgressCallback | None = None,
) -> Validation:
    """Judges the files of a graph where they are. LightRAG may go on working, but what it replaces one after the other
    meanwhile is a torn cut, and judged as one: snapshots are taken at a good moment.

    Args:
        source_dir: LightRAG's working directory.
        workspace: of LightRAG; "" is the unnamed one.
        embedding_dim: the dimension LightRAG is configured with, to compare with.
        partial: stores that have no file here are somewhere else, not missing.
        progress: called on the loop's thread, at most 10 times a second.

    Raises:
        NotFoundError: no files of LightRAG are there. SourceChangedError: a file was rewritten in place meanwhile.
        InvalidInputError: an argument cannot be used. StorageError: the system refused a read.
    """
    dim = check_dim(embedding_dim)
    check_flags(partial=partial)
    check_progress(progress)
    directory = check_path(source_dir, "source_dir")
    layout = await in_thread(files.detect, directory, check_workspace(workspace))
    if layout.kind is files.Kind.PLAIN:
        raise NotFoundError(f"no files of LightRAG in {layout.root!r}", op="validate", target=layout.root)
    pins = await in_thread(files.pin, layout)
    return (await judge_pins(pins, embedding_dim=dim, partial=partial, progress=progress))[0]


async def judge_pins(
    pins: files.Pins, *, embedding_dim: int = 0, partial: bool = False, progress: ProgressCallback | None = None
) -> tuple[Validation, dict[str, Any]]:
    """Judges what is pinned, and closes it; returns the core's report as well, which a snapshot of these files keeps.

    Raises:
        SourceChangedError: a file was rewritten in place since it was pinned.
    """
    source = await carried_out(_listed, pins)
    job = _bridge.validate_source_job(
        source, workspace=pins.layout.workspace, embedding_dim=embedding_dim, partial=partial
    )
    return await _judged(job, pins.layout.root, progress)


def _listed(pins: files.Pins) -> _bridge.Source:
    """What is pinned, for a job; the pins are closed."""
    source = _bridge.Source()
    try:
        pins.hand_to(source)
    finally:
        pins.close()
    source.seal()
    return source


async def validate_snapshot(
    core: _bridge.Repository,
    snapshot: BackupSnapshot,
    facts: Mapping[str, Any],
    *,
    embedding_dim: int = 0,
    progress: ProgressCallback | None = None,
) -> Validation:
    """Judges a snapshot straight from its repository.

    Raises:
        InvalidInputError: it is of a plain directory.
    """
    if facts.get("layout") != files.Kind.LIGHTRAG:
        raise InvalidInputError(
            f"snapshot {snapshot.backup_id} is of a plain directory: there is no graph to judge",
            op="validate",
            target=snapshot.backup_id,
        )
    job = _bridge.validate_snapshot_job(
        core,
        snapshot.backup_id,
        workspace=str(facts.get("workspace") or ""),
        embedding_dim=embedding_dim,
        partial=lacks_parts(facts),
    )
    return (await _judged(job, snapshot.backup_id, progress))[0]


async def _judged(
    job: _bridge.Job, target: str, progress: ProgressCallback | None
) -> tuple[Validation, dict[str, Any]]:
    """Runs a validate job of the core; returns what it says, read and as it was said."""
    started = time.monotonic()
    report: dict[str, Any] = json.loads(await _bridge.run(job, progress, phases={0: "validate"}))
    found = parse(report)
    seconds = time.monotonic() - started
    logger.info(
        "event=validate target=%r verdict=%s errors=%d findings=%d seconds=%.3f",
        target,
        found.verdict,
        sum(one.count for one in found.errors),
        len(found.findings),
        seconds,
    )
    return replace(found, seconds=seconds), report


def lacks_parts(facts: Mapping[str, Any]) -> bool:
    """Whether part of the graph a snapshot's facts are of was not in files, and so is not missing from it."""
    return bool(facts.get("missing") or facts.get("foreign_stores"))


def check_dim(embedding_dim: int | None) -> int:
    """The dimension as the core takes it, 0 for None.

    Raises:
        InvalidInputError: it cannot be one.
    """
    if embedding_dim is None:
        return 0
    if isinstance(embedding_dim, bool) or not isinstance(embedding_dim, int) or not 1 <= embedding_dim <= _MAX_DIM:
        raise InvalidInputError(f"embedding_dim {embedding_dim!r} must be a whole number from 1 to {_MAX_DIM}")
    return embedding_dim
