"""What a validation says of a graph: plain values, and how they are read from a report.

A report is one JSON object (csrc/lightrag/report.h); a snapshot keeps it in its facts as "validation".
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

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

    @property
    def said(self) -> str:
        """The verdict in a line, with the first of the errors it follows from."""
        first = next(iter(self.errors), None)
        return str(self.verdict) if first is None else f"{self.verdict}, because of {first.text}: {first.count}"

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


def parse(report: Mapping[str, Any]) -> Validation:
    """The core's report, which is also what a snapshot stores, as a `Validation`.

    Raises:
        ValueError: it is none.
    """
    try:
        return Validation(
            Verdict(report["verdict"]),
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
                for one in report["findings"]
            ),
            {str(name): int(count) for name, count in report["amounts"].items()},
        )
    except (KeyError, TypeError, AttributeError) as wrong:
        raise ValueError(f"no report of a validation: {wrong}") from None


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN_WIDTH else name[: _SHOWN_WIDTH - 1] + "…"
