"""`python -m benchmarks`: the arguments, and the order of things."""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from . import inside, machine, measure, report, sealing, tools, vectors
from .cases import CASES, Bench
from .choosing import among
from .data import ROOT, Shape, Sources

_ROOM_PER_SOURCE = 20
"""Directories and repositories in all their states, in multiples of the source's size."""
_PROCESS_RUNS = 7


def main() -> int:
    arguments = _arguments()
    work: Path = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(work).free < arguments.size_mb * _ROOM_PER_SOURCE * 1e6:
        sys.exit(f"{work}: {arguments.size_mb * _ROOM_PER_SOURCE / 1e3:.0f} GB of free space are needed")
    if arguments.install:
        subprocess.run([ROOT / "benchmarks" / "peers", arguments.peers, sys.executable], check=True)
    measure.compile_program()
    results = report.Results(machine=list(machine.lines(work)), own_mb=measure.own_peak_mb())
    with _sources(work / "data", Shape.sized(arguments.size_mb, arguments.dim)) as sources:
        results.source_mb = measure.apparent_bytes(sources.directory / "base") / 1e6
        results.source = _described(sources.directory / "base", arguments.dim)
        peers = _measure(arguments, work, sources, results)
    print(report.text(results, peers))
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(results), indent=1))
    return 0


def _measure(arguments: argparse.Namespace, work: Path, sources: Sources, results: report.Results) -> frozenset[str]:
    """Fills `results`; returns the names of the peers that took part."""
    found = tools.find(arguments.tools, arguments.peers.resolve(), work / "tools", sources.place)
    results.tools = [tool.version() for tool in found]
    present = {type(tool) for tool in found}
    results.missing = [name for name in arguments.tools if tools.KINDS[name] not in present]
    load = machine.load()
    chosen = [case for case in CASES if arguments.only is None or case.name in arguments.only]
    try:
        bench = Bench(sources, found, arguments.runs, work / "target", _say)
        bench.prepare(chosen)
        for case in chosen:
            results.cases[case.name] = bench.measure(case)
        ours = next((tool for tool in found if isinstance(tool, tools.Ours)), None)
        if ours and arguments.only is None:
            results.figures = _figures(ours, sources, work, arguments)
    finally:
        for place in ("tools", "target", "inside"):
            shutil.rmtree(work / place, ignore_errors=True)
    results.machine.append(f"load of the last 1 / 5 minutes: {load} at the start, {machine.load()} at the end")
    return frozenset(tool.name for tool in found if tool.peer)


def _figures(
    ours: tools.Ours, sources: Sources, work: Path, arguments: argparse.Namespace
) -> dict[str, inside.Figures]:
    """What is measured beside the cases, on repositories of its own."""
    snapshots = arguments.snapshots
    _say("snapshots within a process")
    once = {state: _once(ours, sources, state, arguments.runs) for state in ("rewritten", "restarted")}
    sources.put("base")
    place = work / "inside"
    shutil.rmtree(place, ignore_errors=True)
    small = place / "small"
    small.mkdir(parents=True)
    (small / "note").write_text("One small file.\n")
    _say("in-process figures")
    figures = {
        "growth": inside.ask("growth", place / "grown", sources.place),
        "unchanged": inside.ask("unchanged", place / "grown", sources.place, 20),
        "retention": inside.ask("retention", 100_000),
        "floors": inside.ask("floors", sources.place / "vdb_relationships.json", place),
    }
    figures["once"] = once
    _say("vector files of other dimensions")
    states = (sources.place, sources.directory / "appended")
    figures["metadata"] = vectors.metadata(ours.program, place / "metadata", states)
    figures["vectors"] = {"source": vectors.stored_ratio(ours.program, place / "vectors", sources.place)}
    if not arguments.brief:
        figures["vectors"] |= vectors.by_dimension(ours.program, place / "dims", work / "data", arguments.size_mb)
        figures["codec"] = vectors.codec(sources.place / "vdb_entities.json")
    _say("what sealing costs")
    figures["sealing"] = sealing.figures(ours.program, place / "sealing", sources.place)
    _say(f"listing {snapshots} snapshots")
    shutil.rmtree(ours.repository, ignore_errors=True)
    figures["history"] = inside.ask("history", ours.repository, small, snapshots)
    figures["listing"] = _median_of(lambda: inside.ask("listing", ours.repository))
    figures["commands"] = {
        "help": _process_seconds(ours.does("--help")),
        "list --json": _process_seconds(ours.does("list", "--json")),
    }
    return figures


def _once(ours: tools.Ours, sources: Sources, state: str, runs: int) -> float:
    """Seconds of a snapshot of that state within a process, after a first one of the base."""
    sources.put(state)
    found = []
    for _ in range(runs):
        ours.load("first")
        measure.warm(sources.place)
        done = inside.ask("once", ours.repository, sources.place, environment=ours.environment())
        found.append(done["seconds"])
    return statistics.median(found)


def _median_of(ask: Callable[[], inside.Figures]) -> inside.Figures:
    found = [ask() for _ in range(_PROCESS_RUNS)]
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def _process_seconds(commands: list[measure.Command]) -> float:
    return statistics.median(measure.run(commands).command_seconds for _ in range(_PROCESS_RUNS))


@contextmanager
def _sources(directory: Path, shape: Shape) -> Iterator[Sources]:
    _say("building the LightRAG directories, unless they are there")
    sources = Sources(directory)
    sources.build(shape)
    try:
        yield sources
    finally:
        sources.put_back()


def _described(base: Path, dim: int) -> str:
    files = sorted(base.iterdir())
    size_mb = sum(file.stat().st_size for file in files) / 1e6
    return f"source: {size_mb:.0f} MB in {len(files)} files, vectors of {dim} components"


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures this program beside its peers.")
    parser.add_argument("--size-mb", type=float, default=600, help="size of the source, in 10^6 bytes (default 600)")
    parser.add_argument("--dim", type=int, default=1024, help="components of a vector (default 1024)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each case (default 3)")
    cases = [case.name for case in CASES]
    parser.add_argument("--only", type=among(cases), metavar="CASE,...", help="only these: " + ", ".join(cases))
    all_tools = ",".join(tools.KINDS)
    parser.add_argument(
        "--tools", type=among(tools.KINDS), metavar="TOOL,...", default=all_tools, help="default %(default)s"
    )
    parser.add_argument("--snapshots", type=int, default=10_000, help="snapshots to list (default 10000)")
    parser.add_argument("--brief", action="store_true", help="without other dimensions and the codec by itself")
    parser.add_argument("--no-install", dest="install", action="store_false", help="do not install missing peers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to FILE")
    parser.add_argument("--work", type=Path, default=Path("build/bench"), help="where to work (default build/bench)")
    parser.add_argument("--peers", type=Path, default=Path("build/peers"), help="where peers are (default build/peers)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
