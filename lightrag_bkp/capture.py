"""Taking a snapshot: find the files, catch one moment of them, let the core store it."""

import asyncio
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import _bridge, turns, validation
from .errors import (
    Busy,
    ConflictError,
    IncompleteSourceError,
    InvalidInputError,
    NotFoundError,
    SourceChangedError,
)
from .models import BackupSnapshot, Consistency, ProgressCallback
from .nesting import METADATA_MAX_DEPTH, is_within
from .place import concerns
from .repository import GraphRepository
from .sources import Cut, files, names, trees
from .threads import carried_out, in_thread

logger = logging.getLogger("lightrag_bkp")

METADATA_MAX_BYTES = 16 << 10
DEADLINE_MAX_S = 366 * 86400
_REPORT_MAX_BYTES = 512 << 10
"""Of a verdict's report, which becomes part of the facts: half of what those may be."""

_PHASES = {1: "compare", 2: "encode", 3: "commit", 4: "validate"}
VALIDATE = ("on", "off")
_said: set[str] = set()
_TRIES = 4
"""How often a source that changes while it is read is read anew by who does not wait."""
_PAUSE_S = 0.25
"""Between two readings by who waits, in seconds."""


@dataclass(frozen=True)
class Recorded:
    """What the newest snapshot says it was taken of; `is_plain`: it was no graph of LightRAG's."""

    source_dir: str
    workspace: str
    input_dir: str | None
    is_plain: bool


@dataclass(frozen=True)
class Request:
    """What to take and how; the members are the arguments of `GraphBackup.create_snapshot` and
    `BackupManager.register_graph`.
    """

    source_dir: str
    workspace: str
    input_dir: str | None
    earlier: "Recorded | None"
    rag: Any
    server_url: str | None
    metadata_json: str
    retention_days: int
    on_busy: str
    deadline_s: float
    partial: bool
    validate: str
    progress: ProgressCallback | None


async def create(repository: GraphRepository, request: Request) -> BackupSnapshot:
    """Takes one snapshot. Until it returns nothing is committed; cancelled or failed, nothing is left."""
    started = time.monotonic()
    known = _rag_facts(request) if request.rag is not None else {}
    async with turns.snapshots().turn():
        snapshot = await _take(repository, request, known)
    logger.info(
        "event=snapshot graph=%s id=%s consistency=%s verdict=%s items=%d size_bytes=%d stored_bytes=%d"
        " held_ms=%.1f seconds=%.3f",
        snapshot.graph_id,
        snapshot.backup_id,
        snapshot.consistency,
        snapshot.verdict,
        snapshot.item_count,
        snapshot.size_bytes,
        snapshot.stored_bytes,
        snapshot.held_ms or 0.0,
        time.monotonic() - started,
    )
    return snapshot


async def _take(repository: GraphRepository, request: Request, known: Mapping[str, Any]) -> BackupSnapshot:
    layout = await in_thread(_laid_out, repository, request)
    return await _steadily(repository, layout, request, known)


def _laid_out(repository: GraphRepository, request: Request) -> files.Layout:
    """What lies in the directory, which can be taken and may be kept there."""
    layout = files.detect(request.source_dir, request.workspace)
    if layout.kind is files.Kind.PLAIN and (request.rag is not None or request.server_url is not None):
        raise NotFoundError(f"no files of LightRAG in {layout.root!r}: nothing was written yet", target=layout.root)
    _refuse_another_kind(layout, repository.graph_id, request.earlier)
    trees.check_apart(request.source_dir, repository.storage_path, "the directory")
    _say_concerns(repository.storage_path, layout.root)
    return layout


async def _steadily(
    repository: GraphRepository, layout: files.Layout, request: Request, known: Mapping[str, Any]
) -> BackupSnapshot:
    """Reads a source anew while it is written in place: until the deadline for who waits, else a few times."""
    started, tries = time.monotonic(), 0
    while True:
        left_s = max(request.deadline_s - (time.monotonic() - started), 0.0)
        try:
            return await _attempt(repository, layout, replace(request, deadline_s=left_s), known)
        except SourceChangedError as error:
            changed, tries = error, tries + 1
        waited_s = time.monotonic() - started
        waits = request.on_busy == "wait"
        if waited_s >= request.deadline_s if waits else tries == _TRIES:
            after = f" after {waited_s:.0f} s" if waits else ""
            raise Busy(
                f"the source changed each time it was read{after}: {changed}; stop what writes there, or try again"
                " later",
                op="snapshot",
                target=changed.target,
            ) from changed
        if waits:
            await asyncio.sleep(min(_PAUSE_S, max(request.deadline_s - waited_s, 0.0)))


def _refuse_another_kind(layout: files.Layout, graph_id: str, earlier: Recorded | None) -> None:
    """One graph's snapshots are of one thing: a directory that lost its graph must not become the newest of them."""
    is_plain = layout.kind is files.Kind.PLAIN
    if earlier is None or earlier.is_plain == is_plain:
        return
    found = "no files of LightRAG" if is_plain else "a graph of LightRAG's"
    were = "a plain directory" if earlier.is_plain else "a graph of LightRAG's"
    raise ConflictError(
        f"{layout.root!r} holds {found}, and the snapshots of {graph_id!r} are of {were}: check the directory, or take"
        " another graph id",
        op="snapshot",
        target=layout.root,
    )


def _say_concerns(storage_path: str, root: str) -> None:
    """Says once per process and storage path what speaks against it."""
    if storage_path in _said:
        return
    for concern in concerns(storage_path, root):
        _said.add(storage_path)
        logger.warning("event=%s storage=%s source=%s advice=%r", concern.event, storage_path, root, concern.sentence)


async def store(
    repository: GraphRepository,
    source: _bridge.Source,
    *,
    label: str,
    consistency: str,
    facts: Mapping[str, Any],
    metadata_json: str,
    retention_days: int,
    safety: bool = False,
    validate: str | None = None,
    verdict: str = "",
    partial: bool = False,
    progress: ProgressCallback | None = None,
) -> BackupSnapshot:
    """Stores a sealed source as a snapshot.

    Args:
        validate: the workspace of the graph that is judged, or None. verdict: what these files were found to be before,
            with the report in the facts.
    """
    core = await repository.open(create=True)
    assert core is not None
    job = _bridge.backup_job(
        core,
        source,
        consistency=consistency,
        metadata=metadata_json,
        facts=json.dumps(facts, ensure_ascii=True),
        retention_days=retention_days,
        safety=safety,
        source_label=label,
        validate=validate,
        verdict=verdict,
        partial=partial,
    )
    async with repository.telling_of_its_place(core):
        backup_id = (await _bridge.run(job, progress, commits=True, phases=_PHASES))[0]
    row = await in_thread(core.snapshot, backup_id)
    assert row is not None
    return repository.snapshot(core, row)


def metadata_text(metadata: Mapping[str, Any] | None) -> str:
    """Metadata as the JSON text that is stored.

    Raises:
        InvalidInputError: no JSON object, more than 16 KiB of it, or more than 32 levels.
    """
    try:
        if not isinstance(metadata, Mapping | None):
            raise TypeError(f"it is a {type(metadata).__name__}, not an object such as {{'reason': 'nightly'}}")
        document = {} if metadata is None else dict(metadata)
        if not is_within(document, METADATA_MAX_DEPTH):
            raise ValueError(f"it is nested deeper than {METADATA_MAX_DEPTH} levels; flatten it")
        text = json.dumps(document, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"metadata cannot be stored as JSON: {error}") from None
    if len(text) > METADATA_MAX_BYTES:
        raise InvalidInputError(f"metadata takes {len(text)} bytes of JSON, more than {METADATA_MAX_BYTES}: shorten it")
    return text


async def _attempt(
    repository: GraphRepository, layout: files.Layout, request: Request, known: Mapping[str, Any]
) -> BackupSnapshot:
    source = _bridge.Source()
    facts = await in_thread(layout_facts, layout) | dict(known)
    graph: Cut[files.Pins] | None = None
    if layout.kind is files.Kind.PLAIN:
        await in_thread(trees.add_plain, source, layout.root)
    else:
        graph = await _add_graph(source, layout, request, facts)
    if request.input_dir is not None:
        await in_thread(_add_inputs, source, request.input_dir, layout, repository.storage_path)
        facts |= {"inputs": True, "input_dir": request.input_dir}
    elif request.earlier is not None and request.earlier.input_dir is not None:
        source.skip(names.INPUTS, "uploads: no input directory was named this time")
    await in_thread(source.seal)
    snapshot = await store(
        repository,
        source,
        label=layout.label,
        consistency=graph.consistency if graph else Consistency.PLAIN,
        facts=facts,
        metadata_json=request.metadata_json,
        retention_days=request.retention_days,
        validate=layout.workspace if graph and not graph.verdict and request.validate == "on" else None,
        verdict=graph.verdict if graph else "",
        partial=request.partial,
        progress=request.progress,
    )
    return replace(snapshot, held_ms=graph.held_ms if graph else 0.0)


def _add_inputs(source: _bridge.Source, input_dir: str, layout: files.Layout, storage_path: str) -> None:
    trees.check_inputs(input_dir, layout.root)
    trees.check_apart(input_dir, storage_path, "the input directory")
    trees.add_inputs(source, input_dir, layout.workspace)


async def _add_graph(
    source: _bridge.Source, layout: files.Layout, request: Request, facts: dict[str, Any]
) -> Cut[files.Pins]:
    """Catches one moment of a LightRAG workspace for `source` and notes in `facts` what it is, but nothing that differs
    from one moment to the next: equal facts are stored once.
    """
    cut = await _cut(layout, request)
    facts |= await carried_out(_hand_over, source, cut, request)
    return cut


def _hand_over(source: _bridge.Source, cut: Cut[files.Pins], request: Request) -> dict[str, Any]:
    """Gives `source` what was pinned, and closes it; returns what to note of it."""
    pins = cut.value
    try:
        if request.rag is None and not request.partial:
            files.refuse_incomplete(pins)
        noted = {"embedding_dim": files.embedding_dim(pins), **cut.facts, "missing": names.missing(pins.identities)}
        if request.input_dir is not None:
            pins.skipped = [one for one in pins.skipped if not _is_place(pins.layout, one[0], request.input_dir)]
        pins.hand_to(source)
    finally:
        pins.close()
    return noted


def _is_place(layout: files.Layout, name: str, directory: str) -> bool:
    """Whether a name beside the graph's files is that directory: uploads that lie there are not left out."""
    return os.path.realpath(os.path.join(layout.root, name)) == os.path.realpath(directory)


async def _cut(layout: files.Layout, request: Request) -> Cut[files.Pins]:
    def pin() -> files.Pins:
        return files.pin(layout)

    if request.rag is not None:
        from .sources import live  # brings LightRAG's own modules in, which the caller has loaded

        return await live.cut(
            request.rag, pin, on_busy=request.on_busy, deadline_s=request.deadline_s, discard=files.Pins.close
        )
    from .sources import outside

    async def judge(pins: files.Pins) -> outside.Judgement:
        found, report = await validation.judge_pins(pins.copy(), partial=request.partial)
        wrong = "" if found.usable else found.said
        fits = len(json.dumps(report, ensure_ascii=True)) <= _REPORT_MAX_BYTES
        return outside.Judgement(found.verdict, wrong, {"validation": report} if fits else {})

    return await outside.cut(
        pin,
        files.moved,
        files.Pins.close,
        layout=layout,
        server_url=request.server_url,
        api_key=os.environ.get("LIGHTRAG_API_KEY"),
        on_busy=request.on_busy,
        deadline_s=request.deadline_s,
        judge=judge if request.validate == "on" else None,
    )


def _rag_facts(request: Request) -> dict[str, Any]:
    """Refuses a graph that is not in files; notes it when the caller takes a part."""
    from .sources import live

    foreign = live.foreign_stores(request.rag)
    if foreign and not request.partial:
        raise IncompleteSourceError(
            f"part of the graph is not in files but in {', '.join(foreign)}: back that up with its own tools and"
            " pass partial=True, or --partial, to keep the files",
            op="snapshot",
            target=request.source_dir,
        )
    return {"foreign_stores": foreign} if foreign else {}


def layout_facts(layout: files.Layout) -> dict[str, Any]:
    """What every snapshot records of its source; a restore goes by it."""
    return {
        "layout": str(layout.kind),
        "source_dir": os.fsencode(layout.working_dir).decode("utf-8", "replace"),
        "workspace": layout.workspace,
        "root_mode": os.stat(layout.root).st_mode & 0o7777,
    }
