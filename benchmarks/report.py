"""The figures as text: a table of cases and tools, the machine's floors, and the bars with met or MISSED."""

import os
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .cases import CASES, Case, Run, Runs
from .inside import Figures
from .tools import Ours

_HEADS = ("case", "tool", "seconds", "best", "ratio", "cpu s", "added MB", "peak MB")
_UNDER_SECOND = 0.0995
_COMPRESSED = 0.9
"""A tool whose first backup is smaller than this, in parts of the source, is one that compresses."""
_REFERENCE_MB = 584


@dataclass
class Results:
    """Everything a run of the benchmarks found.

    Attributes:
        machine: lines about it. tools: versions of those that took part. missing: names of those that did not.
        source: what the directories hold. source_mb: the freshly built one. cases: runs by the case's name.
        figures: what `inside`, `sealing` and `vectors` found, and `commands`: seconds of whole processes.
        own_mb: the memory of this process, below which no command's peak can be seen.
    """

    own_mb: float = 0.0
    machine: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    source: str = ""
    source_mb: float = 0.0
    cases: dict[str, Runs] = field(default_factory=dict)
    figures: dict[str, Figures] = field(default_factory=dict)


@dataclass(frozen=True)
class Bar:
    """Something promised. measured: None when this run did not measure it."""

    title: str
    measured: float | None
    limit: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        if self.measured is None:
            return False
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def line(self) -> str:
        if self.measured is None:
            return f"{self.title:<58} not measured"
        verdict = "met" if self.met else "MISSED"
        order = "of at least" if self.at_least else "of"
        return f"{self.title:<58} {_fine(self.measured):>7} {order} {_fine(self.limit):>6} {self.unit:<14} {verdict}"


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
        list(_closeness(results)),
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
        *_vector_bars(results, peers),
    ]


class _Cases:
    """What the cases of the vectors say, as medians. None: not measured."""

    def __init__(self, results: Results) -> None:
        self._cases, self._source_mb = results.cases, results.source_mb

    def median(self, case: str, tool: str, figure: Callable[[Run], float]) -> float | None:
        runs = self._cases.get(case, {})
        return _median(runs[tool], figure) if tool in runs else None

    def added_mb(self, case: str, tool: str) -> float | None:
        return self.median(case, tool, lambda run: run.added_bytes / 1e6)

    def share(self, case: str) -> float | None:
        """What this program added, in percent of the source."""
        added = self.added_mb(case, Ours.name)
        return None if added is None or not self._source_mb else 100 * added / self._source_mb

    def beside(self, case: str, peers: frozenset[str], seconds: float | None = None) -> float | None:
        """Our time, or the seconds given, over that of the fastest of the peers."""
        times = [self.median(case, tool, lambda run: run.usage.seconds) for tool in peers]
        known = [time for time in times if time is not None]
        if seconds is None:
            seconds = self.median(case, Ours.name, lambda run: run.usage.seconds)
        return seconds / min(known) if known and seconds is not None else None


def _vector_bars(results: Results, peers: frozenset[str]) -> Iterator[Bar]:
    """What is promised of vector files, and what knowing them gives."""
    cases = _Cases(results)
    sizes = {tool: size for tool in peers if (size := cases.added_mb("first", tool)) is not None}
    yield from _vector_sizes(results.figures, cases, sizes)
    compressing = frozenset(tool for tool, size in sizes.items() if size < _COMPRESSED * results.source_mb)
    yield from _vector_times(results, cases, peers, compressing)


def _vector_sizes(figures: dict[str, Figures], cases: _Cases, sizes: dict[str, float]) -> Iterator[Bar]:
    stored, metadata = figures.get("vectors", {}), figures.get("metadata", {}).get("added")
    mine = cases.added_mb("first", Ours.name)
    yield Bar("vector files stored", stored.get("source"), 0.455, "of their size")
    yield Bar("the same, unit vectors of 384 components", stored.get("384 unit"), 0.43, "of their size")
    yield Bar(
        "first backup stored beside the smallest peer",
        mine / min(sizes.values()) if mine and sizes else None,
        0.65,
        "of its size",
    )
    yield Bar("restart + 1 % appended, added", cases.share("appended"), 0.8, "% of source")
    yield Bar("restart + 2 documents deleted, added", cases.share("deleted"), 0.5, "% of source")
    yield Bar("2 documents deleted, no restart, added", cases.share("removed"), 0.5, "% of source")
    yield Bar(
        "lists of chunks and log, 1 % appended, added",
        None if metadata is None else 100 * metadata,
        0.05,
        "% of source",
    )


def _vector_times(results: Results, cases: _Cases, peers: frozenset[str], compressing: frozenset[str]) -> Iterator[Bar]:
    once, cpu_s = results.figures.get("once", {}), cases.median("first", Ours.name, lambda run: run.usage.cpu_seconds)

    def within(case: str) -> float | None:
        return cases.beside(case, peers, once[case]) if case in once else None

    yield Bar(
        "first backup beside the fastest that compresses", cases.beside("first", compressing), 1 / 4, "of its time"
    )
    yield Bar(
        f"processor seconds of a first backup of {_REFERENCE_MB} MB",
        cpu_s * _REFERENCE_MB / results.source_mb if cpu_s and results.source_mb else None,
        1.4,
        "s",
    )
    yield Bar("rewritten, within a process, beside the fastest", within("rewritten"), 1 / 6, "of its time")
    yield Bar("restarted, within a process, beside the fastest", within("restarted"), 1 / 3.5, "of its time")
    yield Bar(
        "restore, verified and durable, beside the fastest", cases.beside("restore", peers), 1 / 1.7, "of its time"
    )
    yield Bar("verify beside the fastest", cases.beside("verify", peers), 1 / 4, "of its time")
    yield Bar("codec on one core", results.figures.get("codec", {}).get("gb_s"), 0.7, "GB/s", at_least=True)


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
    dims = figures.get("vectors")
    if dims:
        yield "vector files stored, of their size:  " + "   ".join(
            f"{name} {ratio:.3f}" for name, ratio in dims.items()
        )
    once = figures.get("once")
    if once:
        yield "within a process, s:  " + "   ".join(f"{name} {seconds:.3f}" for name, seconds in once.items())
    whole = figures.get("commands")
    if whole:
        yield "whole processes, s:  " + "   ".join(f"{name} {seconds:.3f}" for name, seconds in whole.items())


def _closeness(results: Results) -> Iterator[str]:
    """How near the floors are: what hashing every byte once and writing what was stored would take by themselves."""
    floors = results.figures.get("floors")
    if not floors:
        return
    cores = len(os.sched_getaffinity(0))
    hashed_s = results.source_mb / floors["sha256"] / cores
    for case in ("first", "restarted", "restore", "verify"):
        runs = results.cases.get(case, {}).get(Ours.name)
        if not runs:
            continue
        written_mb = (
            results.source_mb if case == "restore" else max(0, _median(runs, lambda run: run.added_bytes / 1e6))
        )
        written_s = written_mb / floors["write_fsync"]
        seconds = _median(runs, lambda run: run.usage.seconds)
        yield (
            f"{case}: {_number(seconds)} s; SHA-256 of the source on {cores} cores {_number(hashed_s)} s, "
            f"writing {written_mb:.0f} MB and fsync {_number(written_s)} s"
        )


def _ratio(runs: Runs, tool: str, peers: frozenset[str]) -> float | None:
    """A tool's time over that of the fastest peer; None without peers or without the tool."""
    times = {name: _median(of_tool, lambda run: run.usage.seconds) for name, of_tool in runs.items()}
    of_peers = [seconds for name, seconds in times.items() if name in peers]
    return times[tool] / min(of_peers) if of_peers and tool in times else None


def _median(runs: Iterable[Run], value: Callable[[Run], float]) -> float:
    return statistics.median(map(value, runs))


def _fine(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < _UNDER_SECOND else f"{value:.2f}"
