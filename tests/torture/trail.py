"""What the processes did: two lines for each operation, one before it begins and one after it has ended.

Lines are appended by single writes to a file of the process, so a killed process leaves whole lines and perhaps the
beginning of one, which counts as not written. The clock is the system's monotonic one, which all processes share.
"""

import json
import math
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NEVER = math.inf


@dataclass
class Operation:
    """One thing a process did.

    Attributes:
        name: "<process>.<number>". place: "<storage>/<graph>", or "".
        begun, over: instants in ns. An operation without a result is over when its process is.
        facts: what was known before. result: what came of it; None when nobody knows.
        trouble: what was done to this process: nothing (""), calls that change something may fail ("calls"), or any
            call, as with a disk that cannot be read ("disk").
    """

    name: str
    kind: str
    place: str
    begun: float
    facts: dict[str, Any]
    over: float = NEVER
    result: dict[str, Any] | None = None
    trouble: str = ""

    @property
    def error(self) -> str:
        """The class of the error it ended with, or ""."""
        return "" if self.result is None else str(self.result.get("error", ""))

    @property
    def done(self) -> bool:
        """Whether it ended without an error."""
        return self.result is not None and not self.error

    def __str__(self) -> str:
        return f"{self.name} {self.kind} {self.place} {self.facts} -> {self.result}"


@dataclass
class Trail:
    """The writing end, of one process."""

    directory: Path
    process: str
    trouble: str = ""
    count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        path = self.directory / f"{self.process}.jsonl"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def name_next(self) -> str:
        """The name the next operation will have."""
        return f"{self.process}.{self.count}"

    def begin(self, kind: str, place: str = "", **facts: Any) -> str:
        """Writes that something is about to be done; returns its name."""
        name = self.name_next()
        self.count += 1
        self._write(name=name, kind=kind, place=place, facts=facts, trouble=self.trouble)
        return name

    def end(self, operation: str, **result: Any) -> None:
        """Writes what came of it."""
        self._write(name=operation, result=result)

    def _write(self, **line: Any) -> None:
        os.write(self._descriptor, json.dumps({"t": time.monotonic_ns(), **line}).encode() + b"\n")


def read(directory: Path) -> list[Operation]:
    """All operations, in the order in which they began."""
    found: dict[str, Operation] = {}
    for path in sorted(directory.glob("*.jsonl")):
        for line in _lines(path):
            _apply(line, found)
    _end_with_their_processes(found.values())
    return sorted(found.values(), key=lambda one: one.begun)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n")[:-1]:
        yield json.loads(line)


def _apply(line: dict[str, Any], found: dict[str, Operation]) -> None:
    if "kind" in line:
        one = Operation(line["name"], line["kind"], line["place"], line["t"], line["facts"], trouble=line["trouble"])
        found[one.name] = one
    else:
        found[line["name"]].over, found[line["name"]].result = line["t"], line["result"]


def _end_with_their_processes(operations: Iterable[Operation]) -> None:
    """The conductor writes down when it saw a process end: an operation of kind "process", with the process' name."""
    ends = {one.facts["process"]: one.over for one in operations if one.kind == "process"}
    for one in operations:
        if one.result is None:
            one.over = ends.get(one.name.rpartition(".")[0], NEVER)
