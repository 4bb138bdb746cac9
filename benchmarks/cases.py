"""What is measured: from which state of the source and of the repository, doing what.

Within a case the tools take turns, run by run, so that a slow minute of the machine meets them all. Every run begins on
a fresh copy of the repository's state, with the source in the page cache.
"""

import filecmp
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from . import measure
from .data import Sources
from .measure import Command, Usage
from .tools import Tool

Verb = Callable[[Tool, Path], list[Command]]


@dataclass(frozen=True)
class Case:
    """A row group of the table.

    Attributes:
        name: for `--only`. title: for readers.
        source: the state of the source. start: the state of the repository, see `_STATES`.
        verb: the commands to measure, given a tool and an empty directory to restore to.
        restores: whether the empty directory must equal the source afterwards.
    """

    name: str
    title: str
    source: str
    start: str
    verb: Verb
    restores: bool = False


@dataclass(frozen=True)
class Run:
    """One measured run. added_bytes: by how much the repository grew; negative when it shrank."""

    usage: Usage
    added_bytes: int


class Differs(Exception):
    """A tool restored something else than what it was given."""


Runs = dict[str, list[Run]]
"""By the name of the tool; a tool that has no such verb is missing."""


def _backup(tool: Tool, target: Path) -> list[Command]:
    return tool.backup("now")


def _restore(tool: Tool, target: Path) -> list[Command]:
    return tool.restore("base", target)


def _verify(tool: Tool, target: Path) -> list[Command]:
    return tool.verify()


def _prune(tool: Tool, target: Path) -> list[Command]:
    return tool.prune("deleted")


CASES = (
    Case("first", "first backup", "base", "empty", _backup),
    Case("unchanged", "nothing changed", "base", "first", _backup),
    Case("rewritten", "all rewritten, same bytes", "rewritten", "first", _backup),
    Case("restarted", "all rewritten after a restart", "restarted", "first", _backup),
    Case("appended", "restart + 1 % appended", "appended", "first", _backup),
    Case("deleted", "restart + 2 documents deleted", "deleted", "first", _backup),
    Case("removed", "2 documents deleted, no restart", "removed", "first", _backup),
    Case("restore", "restore to an empty directory", "base", "first", _restore, restores=True),
    Case("verify", "verify, all data read", "base", "first", _verify),
    Case("prune", "prune, 1 of 3 snapshots stays", "deleted", "three", _prune),
)

_STATES = {"empty": (), "first": ("base",), "three": ("base", "appended", "deleted")}
"""The states a repository can start from, by what was backed up so far; each goes on from the one before it."""


class Bench:
    """Runs cases.

    Args:
        sources: built already.
        tools: take turns in this order.
        runs: of each case with each tool.
        target: a directory of its own to restore to.
        say: told what is being done.
    """

    def __init__(
        self, sources: Sources, tools: list[Tool], runs: int, target: Path, say: Callable[[str], None]
    ) -> None:
        self._sources = sources
        self._tools = tools
        self._runs = runs
        self._target = target
        self._say = say

    def prepare(self, cases: Iterable[Case]) -> None:
        """Brings every repository into every state the cases start from, and saves it."""
        needed = max((list(_STATES).index(case.start) for case in cases), default=0)
        for tool in self._tools:
            self._say(f"preparing the repositories of {tool.name}")
            measure.run(tool.init(), _environment(tool))
            done = 0
            for state, sources in list(_STATES.items())[: needed + 1]:
                for source in sources[done:]:
                    self._sources.put(source)
                    measure.run(tool.backup(source), _environment(tool))
                done = len(sources)
                tool.save(state)

    def measure(self, case: Case) -> Runs:
        """All runs of a case.

        Raises:
            CommandFailed: a tool did. Differs: what a tool restored is not the source.
        """
        self._sources.put(case.source)
        found: Runs = {}
        for number in range(self._runs):
            self._say(f"{case.title}, run {number + 1} of {self._runs}")
            for tool in self._tools:
                run = self._measure(case, tool)
                if run is not None:
                    found.setdefault(tool.name, []).append(run)
        return found

    def _measure(self, case: Case, tool: Tool) -> Run | None:
        tool.load(case.start)
        self._clear_target()
        commands = case.verb(tool, self._target)
        if not commands:
            return None
        measure.warm(self._sources.place)
        size = tool.size()
        usage = measure.run(commands, _environment(tool))
        if case.restores:
            compare(self._sources.place, tool.restored(self._target))
        return Run(usage, tool.size() - size)

    def _clear_target(self) -> None:
        shutil.rmtree(self._target, ignore_errors=True)
        self._target.mkdir()


def compare(expected: Path, found: Path) -> None:
    """Both directories hold the same names with the same bytes.

    Raises:
        Differs: names the first difference.
    """
    names = _names(expected)
    if names != _names(found):
        raise Differs(f"{found} lacks, or has too many: {sorted(names ^ _names(found))}")
    for name in sorted(names):
        if not filecmp.cmp(expected / name, found / name, shallow=False):
            raise Differs(f"{found / name} differs from {expected / name}")


def _names(directory: Path) -> set[str]:
    return {os.path.relpath(Path(parent, name), directory) for parent, _, names in os.walk(directory) for name in names}


def _environment(tool: Tool) -> dict[str, str]:
    return {**os.environ, **tool.environment()}
