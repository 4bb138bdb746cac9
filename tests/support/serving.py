"""What tests of the routes do again and again: a graph that is served, a snapshot taken, an operation waited for."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .web import Answer, Web


@dataclass(frozen=True)
class Kept:
    """A graph that is served: its name, its working directory, and the path of its snapshots."""

    graph_id: str
    directory: Path

    @property
    def path(self) -> str:
        return f"/backup/graphs/{self.graph_id}/snapshots"


def taken(web: Web, kept: Kept, **body: Any) -> dict[str, Any]:
    """A snapshot that is there."""
    answer = web.waited("POST", kept.path, body)
    assert answer.status == 201, answer
    return answer.document


def ended(web: Web, operation_id: str, deadline_s: float = 30) -> dict[str, Any]:
    """An operation once it is over."""
    return until(lambda: web.ask("GET", f"/operations/{operation_id}"), lambda one: one.document["state"] != "running",
                 deadline_s).document  # fmt: skip


def until(ask: Callable[[], Answer], good: Callable[[Answer], bool], deadline_s: float = 30) -> Answer:
    """The first answer that is as wanted."""
    end = time.monotonic() + deadline_s
    while not good(answer := ask()):
        assert time.monotonic() < end, answer
        time.sleep(0.05)
    return answer
