"""What a verification saw."""

import enum
from dataclasses import dataclass
from typing import Self

from ..errors import LightragBkpError


class VerifyLevel(enum.StrEnum):
    """CATALOGUE: every object the log names is there. DIGESTS: besides, every needed byte is read and hashed. DRILL:
    the snapshot is restored to a scratch directory, compared, judged and timed.
    """

    CATALOGUE = "catalogue"
    DIGESTS = "digests"
    DRILL = "drill"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a verification found wrong: which object, and what."""

    object: str
    message: str


@dataclass(frozen=True, slots=True)
class VerifyOutcome:
    """What a verification saw.

    Attributes:
        level: how deep it went. findings: what is wrong; capped, `finding_count` is not. notes: what is no new
            damage: a file among the packs that is none, a pack that was found damaged before. What snapshots lack by
            that is among the findings.
        objects, chunks, bytes_read: how much was looked at; of a drill the items, and the bytes that came back.
        seconds: how long it took.
        verdict: of a drill, what the graph that came back is good for; None for a plain directory.
        restore_s, judge_s: of a drill, how long restoring took, and comparing and judging what came back.
    """

    level: VerifyLevel
    findings: tuple[Finding, ...]
    finding_count: int
    objects: int
    chunks: int
    bytes_read: int
    seconds: float
    verdict: str | None = None
    restore_s: float | None = None
    judge_s: float | None = None
    notes: tuple[Finding, ...] = ()

    @classmethod
    def unread(cls, level: VerifyLevel, error: LightragBkpError) -> Self:
        """Nothing could be looked at, because of `error`: that is what was found."""
        return cls(level, (Finding(error.target, str(error.args[0])),), 1, 0, 0, 0, 0.0)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.finding_count == 0
