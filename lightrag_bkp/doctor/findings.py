"""What a look at an installation finds."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """OK: as it should be. WARNING: allowed, and better otherwise. FAILED: what is configured does not work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what it is, how it is, and why in one sentence, with what to do."""

    area: str
    state: State
    message: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it holds now, never a secret, and who says so: "environment NAME", "file PATH" or "default"."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All of it. `configured` is False when the settings cannot be used, so that nothing else was looked at."""

    settings: tuple[Setting, ...]
    findings: tuple[Finding, ...]
    configured: bool = True

    @property
    def healthy(self) -> bool:
        """Whether everything that is configured works; warnings do not count."""
        return not any(one.state is State.FAILED for one in self.findings)

    def document(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "healthy": self.healthy,
            "settings": [asdict(one) for one in self.settings],
            "findings": [asdict(one) for one in self.findings],
        }


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """What failed first, then warnings; otherwise as they were found."""
    return tuple(sorted(findings, key=lambda one: list(State)[::-1].index(one.state)))
