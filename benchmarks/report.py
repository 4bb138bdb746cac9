"""The figures as text: a table of cases and tools, the machine's floors, and the bars with met or MISSED."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .cases import CASES, Case, Run, Runs
from .inside import Figures
from .tools import Ours

_HEADS = ("case", "tool", "seconds", "best", "ratio", "cpu s", "added MB", "peak MB")
_UNDER_SECOND = 0.0995


@dataclass
class Results:
    """Everything a run of the benchmarks found.

    Attributes:
        machine: lines about it. tools: versions of those that took part. missing: names of those that did not.
        source: what the directories hold. cases: runs by the case's name.
        figures: what `inside` found, by function, and `commands`: seconds of whole processes.
        own_mb: the memory of this process, below which no command's peak can be seen.
    """

    own_mb: float = 0.0
    machine: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    source: str = ""
    cases: dict[str, Runs] = field(default_factory=dict)
    figures: dict[str, Figures] = field(default_factory=dict)


@dataclass(frozen=True)
class Bar:
    """Something promised. measured: None when this run did not measure it."""

    title: str
    measured: float | None
    limit: float
    unit: str

    @property
    def met(self) -> bool:
        return self.measured is not None and self.measured <= self.limit

    def line(self) -> str:
        if self.measured is None:
            return f"{self.title:<58} not measured"
        verdict = "met" if self.met else "MISSED"
        return f"{self.title:<58} {_number(self.measured):>7} of {_number(self.limit):>6} {self.unit:<14} {verdict}"


def text(results: Results, peers: frozenset[str]) -> str:
    """The whole report.

    Args:
        results: of a run.
        peers: the names of the tools whose times are bars.
    """
    sections = [
        [*results.machine, results.source, *results.tools, *(f"left out, not installed: {n}" for n in results.missing)],
        list(_table(results.cases, peers)),
        _legend(results),
        list(_floors(results.figures)),
        [bar.line() for bar in bars(results, peers)],
    ]
    return "\n\n".join("\n".join(section) for section in sections if section)


def bars(results: Results, peers: frozenset[str]) -> list[Bar]:
    """What is promised for this program, beside what was found."""
    ours = {name: runs[Ours.name] for name, runs in results.cases.items() if Ours.name in runs}
    peaks = [run.usage.peak_mb for runs in ours.values() for run in runs]

    def figure(name: str, key: str = "seconds", scale: float = 1.0) -> float | None:
        found = results.figures.get(name, {}).get(key)
        return None if found is None else found * scale

    def beside_peers(case: str) -> float | None:
        return _ratio(results.cases.get(case, {}), Ours.name, peers)

    snapshots = int(figure("listing", "snapshots") or 10_000)
    unchanged_s = _median(ours["unchanged"], lambda run: run.usage.command_seconds) if "unchanged" in ours else None
    return [
        Bar("memory of the program, highest of all cases", max(peaks, default=None), 128, "MB"),
        Bar("growth of a host process in a first backup", figure("growth", "mb"), 100, "MB"),
        Bar("nothing changed, within a process", figure("unchanged", scale=1e3), 10, "ms"),
        Bar("nothing changed, whole process", unchanged_s, 0.2, "s"),
        Bar("the same, sealed, with a key file", figure("sealing", "key_file"), 0.2, "s"),
        Bar("the same, sealed, with a passphrase", figure("sealing", "passphrase"), 0.35, "s"),
        Bar("first backup sealed beside not sealed, in pairs", figure("sealing", "first"), 1.15, "of its time"),
        Bar("--help, whole process", figure("commands", "help"), 0.15, "s"),
        Bar(f"listing {snapshots:,} snapshots, within a process", figure("listing"), 0.3, "s"),
        Bar("retention scan of 100,000 snapshots", figure("retention", scale=1e3), 50, "ms"),
        Bar("first backup beside the fastest peer", beside_peers("first"), 1, "of its time"),
        Bar("restore beside the fastest peer", beside_peers("restore"), 1, "of its time"),
    ]


def _table(cases: dict[str, Runs], peers: frozenset[str]) -> Iterator[str]:
    rows: list[Sequence[str]] = [_HEADS]
    for case in CASES:
        if case.name in cases:
            rows += _rows(case, cases[case.name], peers)
    if len(rows) == 1:
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        words = [f"{row[0]:<{widths[0]}}", f"{row[1]:<{widths[1]}}"]
        words += [f"{word:>{width}}" for word, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join(words)


def _legend(results: Results) -> list[str]:
    return [
        "seconds: median, with a sync after the command. best: of all runs. ratio: medians, to the fastest peer.",
        "added: to the repository, without caches. MB: 10^6 bytes.",
        f"peak: highest of all runs; the least that can be seen is the measuring process, {results.own_mb:.0f} MB.",
    ]


def _rows(case: Case, runs: Runs, peers: frozenset[str]) -> Iterator[Sequence[str]]:
    grows = not case.restores and case.name != "verify"
    for number, (tool, of_tool) in enumerate(runs.items()):
        ratio = _ratio(runs, tool, peers)
        yield (
            "" if number else case.title,
            tool,
            _number(_median(of_tool, lambda run: run.usage.seconds)),
            _number(min(run.usage.seconds for run in of_tool)),
            "" if ratio is None else f"{ratio:.2f}",
            _number(_median(of_tool, lambda run: run.usage.cpu_seconds)),
            f"{_median(of_tool, lambda run: run.added_bytes / 1e6):.2f}" if grows else "",
            f"{max(run.usage.peak_mb for run in of_tool):.0f}",
        )


def _floors(figures: dict[str, Figures]) -> Iterator[str]:
    found = figures.get("floors")
    if found:
        yield "floors of this machine, MB/s, one core:"
        yield (
            f"  memcpy {found['memcpy']:.0f}   SHA-256 {found['sha256']:.0f}   write + fsync {found['write_fsync']:.0f}"
        )
        yield (
            f"  vectors in 64 KiB blocks: zstd -1 {found['zstd_1']:.0f}, back {found['unzstd']:.0f}, "
            f"to {found['zstd_ratio']:.3f} of their size"
        )
    whole = figures.get("commands")
    if whole:
        yield "whole processes, s:  " + "   ".join(f"{name} {seconds:.3f}" for name, seconds in whole.items())


def _ratio(runs: Runs, tool: str, peers: frozenset[str]) -> float | None:
    """A tool's time over that of the fastest peer; None without peers or without the tool."""
    times = {name: _median(of_tool, lambda run: run.usage.seconds) for name, of_tool in runs.items()}
    of_peers = [seconds for name, seconds in times.items() if name in peers]
    return times[tool] / min(of_peers) if of_peers and tool in times else None


def _median(runs: Iterable[Run], value: Callable[[Run], float]) -> float:
    return statistics.median(map(value, runs))


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < _UNDER_SECOND else f"{value:.2f}"
