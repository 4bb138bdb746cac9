"""Whether a graph fits together: a verdict with its findings, of a live directory or of a snapshot.

The invariants are checked in C (csrc/lightrag/validation.h); docs/validation.md lists them. A hash says that bytes are
what they were; this says that what they mean can be used.
"""

import asyncio
import enum
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from . import _bridge
from .errors import InvalidInputError, NotFoundError
from .models import ProgressCallback
from .sources import files

logger = logging.getLogger("lightrag_bkp")

_MAX_DIM = 65_535
_SHOWN_IDS = 5
_SHOWN_WIDTH = 100


class Verdict(enum.StrEnum):
    """What a graph is good for, best first.

    USABLE: no error. USABLE_WITH_REPROCESSING: no error, and documents in flight, which LightRAG processes again when
    it starts. REPAIRABLE: every error is in what can be made again from the rest; the findings say how. UNUSABLE:
    something that nothing else holds is lost, or contradicts itself.
    """

    USABLE = "usable"
    USABLE_WITH_REPROCESSING = "usable_with_reprocessing"
    REPAIRABLE = "repairable"
    UNUSABLE = "unusable"

    @property
    def usable(self) -> bool:
        """Whether LightRAG can work with the graph as it is."""
        return self in (Verdict.USABLE, Verdict.USABLE_WITH_REPROCESSING)


class Severity(enum.StrEnum):
    """ERROR decides the verdict; WARNING and INFO do not."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class GraphFinding:
    """One kind of thing a validation found.

    Attributes:
        invariant: its number, 1 to 25, in docs/validation.md. check: the name of what was looked for.
        severity: what it means for the verdict. text: what was found, in the plural.
        remedy: what brings it back to order, a command or a sentence; "" when there is nothing to do, or nothing to be
            done.
        count: how many. ids: the first of them in byte order, at most 20.
    """

    invariant: int
    check: str
    severity: Severity
    text: str
    remedy: str
    count: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validation found.

    Attributes:
        verdict: what follows from the findings. findings: errors first, then by invariant.
        amounts: how much there is of what: nodes, edges, entity_vectors, relation_vectors, chunk_vectors,
            embedding_dim, chunks, documents, processed, in_flight, failed, llm_answers.
        seconds: how long it took.
    """

    verdict: Verdict
    findings: tuple[GraphFinding, ...]
    amounts: Mapping[str, int]
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether LightRAG can work with the graph as it is."""
        return self.verdict.usable

    @property
    def errors(self) -> tuple[GraphFinding, ...]:
        """The findings that decide the verdict."""
        return tuple(one for one in self.findings if one.severity is Severity.ERROR)

    def document(self) -> dict[str, Any]:
        """As a JSON object: the members, tuples as lists."""
        return {
            "verdict": str(self.verdict),
            "findings": [asdict(one) | {"ids": list(one.ids)} for one in self.findings],
            "amounts": dict(self.amounts),
            "seconds": self.seconds,
        }

    def page(self) -> Iterator[str]:
        """As lines to read."""
        amounts = self.amounts
        yield f"verdict: {self.verdict}"
        yield (
            f"{amounts['nodes']} nodes, {amounts['edges']} edges, {amounts['chunks']} chunks, "
            f"{amounts['documents']} documents ({amounts['processed']} processed, {amounts['in_flight']} in flight, "
            f"{amounts['failed']} failed), vectors of {amounts['embedding_dim']} numbers"
        )
        for one in self.findings:
            yield ""
            yield f"{one.severity} (invariant {one.invariant}): {one.text}: {one.count}"
            yield from (f"    {_short(name)}" for name in one.ids[:_SHOWN_IDS])
            if one.count > _SHOWN_IDS:
                yield f"    and {one.count - _SHOWN_IDS} more"
            if one.remedy:
                yield f"  remedy: {one.remedy}"


def parse(report: str | Mapping[str, Any], seconds: float = 0.0) -> Validation:
    """The core's report, which is also what a snapshot stores, as a `Validation`.

    Raises:
        ValueError: it is none.
    """
    raw = json.loads(report) if isinstance(report, str) else report
    try:
        return Validation(
            Verdict(raw["verdict"]),
            tuple(
                GraphFinding(
                    int(one["invariant"]),
                    str(one["check"]),
                    Severity(one["severity"]),
                    str(one["text"]),
                    str(one["remedy"]),
                    int(one["count"]),
                    tuple(map(str, one["ids"])),
                )
                for one in raw["findings"]
            ),
            {str(name): int(count) for name, count in raw["amounts"].items()},
            seconds,
        )
    except (KeyError, TypeError, AttributeError) as wrong:
        raise ValueError(f"no report of a validation: {wrong}") from None


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
    dim = _check_dim(embedding_dim)
    layout = await asyncio.to_thread(files.detect, source_dir, workspace)
    if layout.kind is files.Kind.PLAIN:
        raise NotFoundError(f"no files of LightRAG in {layout.root!r}", op="validate", target=layout.root)
    pins = await asyncio.to_thread(files.pin, layout)
    return await validate_pins(pins, embedding_dim=dim, partial=partial, progress=progress)


async def validate_pins(
    pins: files.Pins, *, embedding_dim: int = 0, partial: bool = False, progress: ProgressCallback | None = None
) -> Validation:
    """Judges what is pinned, and closes it."""
    source = _bridge.Source()
    try:
        pins.hand_to(source)
    finally:
        pins.close()
    source.seal()
    job = _bridge.validate_source_job(
        source, workspace=pins.layout.workspace, embedding_dim=embedding_dim, partial=partial
    )
    return await run(job, pins.layout.root, progress)


async def run(job: _bridge.Job, target: str, progress: ProgressCallback | None = None) -> Validation:
    """Runs a validate job of the core."""
    started = time.monotonic()
    found = parse(await _bridge.run(job, progress), 0.0)
    seconds = time.monotonic() - started
    logger.info(
        "event=validate target=%r verdict=%s errors=%d findings=%d seconds=%.3f",
        target,
        found.verdict,
        sum(one.count for one in found.errors),
        len(found.findings),
        seconds,
    )
    return Validation(found.verdict, found.findings, found.amounts, seconds)


def _check_dim(embedding_dim: int | None) -> int:
    if embedding_dim is None:
        return 0
    if isinstance(embedding_dim, bool) or not isinstance(embedding_dim, int) or not 1 <= embedding_dim <= _MAX_DIM:
        raise InvalidInputError(f"embedding_dim {embedding_dim!r} must be a whole number from 1 to {_MAX_DIM}")
    return embedding_dim


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN_WIDTH else name[: _SHOWN_WIDTH - 1] + "…"


def summary(findings: Sequence[GraphFinding]) -> str:
    """The errors in one line."""
    return "; ".join(f"{one.text}: {one.count}" for one in findings if one.severity is Severity.ERROR)
