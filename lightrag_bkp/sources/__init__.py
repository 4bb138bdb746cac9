"""Where a graph's live data is, and how one moment of it is caught.

`files` knows the names of a LightRAG directory and opens them; `live` chooses the moment inside LightRAG's own process,
`outside` from another one. Both hand back a `Cut`.
"""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Cut(Generic[T]):
    """One moment of a graph, caught.

    Attributes:
        value: what the caller's `pin` returned at that moment.
        consistency: which rung was reached: "quiesced", "gated", "settled", "unfenced", "validated" or "crash".
        held_ms: how long LightRAG was held up, in milliseconds.
        waited_ms: how long the moment was waited for, in milliseconds.
        facts: what the snapshot should record about the cut; JSON-ready.
        verdict: of these very files, when they were judged to be caught; else "".
    """

    value: T
    consistency: str
    held_ms: float = 0.0
    waited_ms: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    verdict: str = ""
