"""A hundred times the demo: big indexes, long histories, many graphs, many files, big holes, large graphs judged.

`python -m benchmarks.scale` (or `make bench BENCH=scale`) measures everything and prints the bars; `--only` chooses,
`--fraction` makes all of it smaller by so much. What is measured inside a Python process is measured in a fresh one,
by the functions of `scale_inside`.
"""

import argparse
import contextlib
import os
import random
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from . import inside, machine, measure, probes
from . import shipping as shipping_sites
from .choosing import among
from .data import ROOT
from .measure import Command, Usage
from .report import Bar

_INSIDE = "benchmarks.scale_inside"
_RUNS = 5
_PAIRS = 3
_FILES_PER_DIRECTORY = 1000
_BURSTS = 4
_CLIENTS = 50
_SHIPPING_THREADS = 16
"""Two of the core, two that read, one that sends, and the event loop's own, which ask the database."""

Measured = list[Bar | str]
"""Bars, and figures that are no bar."""


def index(work: Path, share: float) -> Measured:
    """A repository of 2,000,000 chunks in packs of 125: opening it with its index, and without."""
    chunks = max(4_000, round(2_000_000 * share))
    inside.ask("forge", work / "storage", work / "source", chunks, module=_INSIDE)
    rebuilt = inside.ask("snapshot", work / "storage", work / "source", module=_INSIDE)
    opened = [inside.ask("look_up", work / "storage", module=_INSIDE) for _ in range(_RUNS)]
    return [
        Bar(f"open {chunks:,} chunks", statistics.median(one["seconds"] for one in opened), 0.3, "s"),
        Bar(f"memory of {chunks:,} chunks", max(one["grown_mb"] for one in opened), 64, "MB"),
        f"without its index, rebuilt and saved by a snapshot: {rebuilt['seconds']:.2f} s",
    ]


def history(work: Path, share: float) -> Measured:
    """10,000 snapshots of one graph, each with a change and hence a pack of its own."""
    count = max(50, round(10_000 * share))
    made = inside.ask("history", work / "storage", work / "source", count, module=_INSIDE)
    listed = [inside.ask("listing", work / "storage", module=_INSIDE) for _ in range(_RUNS)]
    assert all(one["snapshots"] == count for one in listed)
    return [
        Bar(f"list {count:,} snapshots", statistics.median(one["list_s"] for one in listed), 0.3, "s"),
        Bar(f"plan a prune of {count:,} snapshots", statistics.median(one["plan_s"] for one in listed), 1, "s"),
        f"a snapshot of one changed file, {count:,} in a row: {made['seconds'] / count * 1e3:.1f} ms each",
    ]


def churn(work: Path, share: float) -> Measured:
    """1,000 snapshots with 1 % changed in each, pruned now and then to the last ten."""
    count = max(30, round(1000 * share))
    found = inside.ask("churn", work / "storage", work / "source", count, module=_INSIDE)
    return [
        Bar(f"repository after {count:,} snapshots at 1 % churn", found["ratio"], 1.5, "of one snapshot"),
        f"copied by all prunes: {found['rewritten_ratio']:.1f} times one snapshot",
    ]


def graphs(work: Path, share: float) -> Measured:
    """50 graphs at once by one process with two threads and two jobs: first new, then with a change in each."""
    size_mb = max(1, round(20 * share))
    settings = {"LIGHTRAG_BACKUP_THREADS": "2", "LIGHTRAG_BACKUP_JOBS": "2"}
    found = inside.ask("graphs", work / "storage", work / "source", 50, size_mb, module=_INSIDE, environment=settings)
    return [
        Bar("50 graphs at once: the core's threads", found["threads"], 2, "as set"),
        Bar("50 graphs at once: growth of the process", found["grown_mb"], 100, "MB"),
        Bar("50 graphs at once: descriptors", found["descriptors"], 512, ""),
        Bar("50 graphs at once: places in the line lost or won", found["displaced"], 12, "on average"),
        f"50 graphs of {size_mb} MB: {found['first_s']:.2f} s, and {found['again_s']:.2f} s with 1 % changed",
    ]


def holes(work: Path, share: float) -> Measured:
    """A file of 20 GB, 19 GB of it holes, and the first quarter of it."""
    size = max(256 << 20, round(20e9 * share))
    cpu: dict[int, float] = {}
    found: Measured = []
    peak_mb, restored = 0.0, 0
    for part in (size // 4, size):
        source = work / f"source{part}"
        data = _write_holes(source / "big", part)
        storage = work / f"storage{part}"
        taken = _run(storage, "snapshot", "g", source)
        back = _run(storage, "restore", "g", "latest", work / f"back{part}")
        restored = os.stat(work / f"back{part}" / "big").st_blocks * 512
        cpu[part] = taken.cpu_seconds
        peak_mb = max(peak_mb, taken.peak_mb, back.peak_mb)
        stored = measure.apparent_bytes(storage)
        found.append(
            f"{part / 1e9:.1f} GB with {data / 1e9:.2f} GB of data: snapshot {taken.seconds:.1f} s,"
            f" {taken.cpu_seconds:.1f} cpu s, {stored / 1e9:.2f} GB stored; restore {back.seconds:.1f} s,"
            f" {restored / 1e9:.2f} GB on disk"
        )
        shutil.rmtree(work / f"back{part}")
    return [
        Bar("a file of holes, four times as long", cpu[size] / cpu[size // 4] / 4, 1.3, "of four times"),
        Bar("a file of holes: memory of the program", peak_mb, 128, "MB"),
        Bar("a file of holes: what comes back on disk", restored / data, 1.1, "of its data"),
        *found,
    ]


def files(work: Path, share: float) -> Measured:
    """200,000 small files, and the first quarter of them: everything that is done with a snapshot."""
    count = max(2_000, round(200_000 * share))
    cpu: dict[str, list[float]] = {}
    peak: dict[str, float] = {}
    for part in (count // 4, count):
        source, target = work / f"source{part}", work / f"back{part}"
        _write_files(source, part)
        for name, *words in (
            ("first snapshot", "snapshot", "g", source),
            ("nothing changed", "snapshot", "g", source),
            ("verify", "verify", "g", "latest"),
            ("show", "show", "g", "latest"),
            ("restore", "restore", "g", "latest", target),
            ("restore over it", "restore", "g", "latest", target, "--yes"),
            ("restore --dry-run", "restore", "g", "latest", target, "--dry-run"),
            ("prune", "prune", "--now"),
        ):
            usage = _run(work / f"storage{part}", *words)
            cpu.setdefault(name, []).append(usage.cpu_seconds)
            peak[name] = usage.peak_mb
        shutil.rmtree(target)
    worst = max(cpu, key=lambda name: cpu[name][1] / cpu[name][0])
    return [
        Bar(f"{count:,} files: {worst}, beside a quarter", cpu[worst][1] / cpu[worst][0] / 4, 1.3, "of four times"),
        *(Bar(f"{count:,} files: memory of {name}", peak[name], 128, "MB") for name in peak),
        "; ".join(f"{name} {seconds[1]:.1f} cpu s" for name, seconds in cpu.items()),
    ]


def vectors(work: Path, share: float) -> Measured:
    """A vector file of 1 GB, and one of 4 GB: memory does not grow with them."""
    found: Measured = []
    for gigabytes in (1, 4):
        source, storage, target = work / f"source{gigabytes}", work / f"storage{gigabytes}", work / "back"
        rows = max(100, round(gigabytes * 1e9 / 8270 * share))
        inside.ask("vector_file", source, rows, module=_INSIDE)
        taken = _run(storage, "snapshot", "g", source)
        verified = _run(storage, "verify", "g", "latest")
        back = _run(storage, "restore", "g", "latest", target)
        size, stored = measure.apparent_bytes(source), measure.apparent_bytes(storage, without="cache")
        peak_mb = max(usage.peak_mb for usage in (taken, verified, back))
        found += [
            Bar(f"a vector file of {gigabytes * share:g} GB: memory of the program", peak_mb, 128, "MB"),
            f"{size / 1e9:.2f} GB, {rows:,} rows: stored {stored / size:.3f} of it; snapshot {taken.seconds:.1f} s,"
            f" {taken.cpu_seconds:.1f} cpu s, {taken.peak_mb:.0f} MB; verify {verified.seconds:.1f} s,"
            f" {verified.peak_mb:.0f} MB; restore {back.seconds:.1f} s, {back.peak_mb:.0f} MB",
        ]
        for place in (source, storage, target):
            shutil.rmtree(place)
    return found


def verdicts(work: Path, share: float) -> Measured:
    """Judging a graph of some 300 MB, alone and in a first backup, and one of a million entities."""
    usual, many = work / "usual", work / "many"
    _write_graph(usual, round(10_000 * share), 2, round(5_000 * share), 1024)
    measure.warm(usual)
    judged = [_judge(usual) for _ in range(_RUNS)]
    ratios = []
    for number in range(_PAIRS):
        took = {word: _first_backup(work / f"{word}{number}", usual, word) for word in _turns(number)}
        ratios.append(took["on"] / took["off"])
    size, seconds = measure.apparent_bytes(usual), statistics.median(one.command_seconds for one in judged)
    shutil.rmtree(usual)
    ids = _write_graph(many, round(1_000_000 * share), 3, round(500_000 * share), 32)
    measure.warm(many)
    large, large_size = _judge(many), measure.apparent_bytes(many)
    return [
        Bar(f"judging {size / 1e6:.0f} MB, the whole program", seconds, 1, "s"),
        Bar("first backup judged beside not judged, in pairs", statistics.median(ratios), 1.2, "of its time"),
        Bar(f"judging {ids:,} ids: memory of the program", large.peak_mb, 64 + ids / 1e4, "MB"),
        f"{size / 1e6:.0f} MB: {judged[0].peak_mb:.0f} MB of memory; {large_size / 1e9:.2f} GB with {ids:,} ids:"
        f" {large.command_seconds:.1f} s, {large.cpu_seconds:.1f} cpu s",
    ]


def failover(work: Path, share: float) -> Measured:
    """Two graphs of some 300 MB lost, and brought back from their recovery point: how long that takes."""
    places = [work / name for name in ("one", "two")]
    for place in places:
        _write_graph(place, round(10_000 * share), 2, round(5_000 * share), 1024)
    size = sum(measure.apparent_bytes(place) for place in places)
    found = inside.ask("failover", work / "storage", *places, module=_INSIDE)
    return [
        Bar(f"two graphs of {size / 1e6:.0f} MB back", found["rto_s"] / found["drill_s"], 1.5, "of its drill's time"),
        f"RTO {found['rto_s']:.2f} s: {found['restore_s']:.2f} s restoring, {found['verify_s']:.2f} s comparing again;"
        f" the drill said {found['drill_s']:.2f} s; RPO {found['rpo_s']:.1f} s",
    ]


def probing(work: Path, share: float) -> Measured:
    """One sweep over 1,000 targets on loopback, half of them dead and a tenth slow, beside the same one by aiohttp."""
    count = max(20, round(1000 * share))
    pairs = []
    with probes.serving() as port:
        for _ in range(_PAIRS):
            pairs.append([inside.ask(name, port, count, module="benchmarks.probes") for name in ("ours", "peer")])
    ours, peer = ({key: statistics.median(pair[at][key] for pair in pairs) for key in pairs[0][at]} for at in (0, 1))
    assert ours["answered"] == peer["answered"] == count // 2
    return [
        Bar(f"{count:,} targets: one sweep, beside the deadline", ours["seconds"] / probes.TOTAL_S, 1.1, "of its time"),
        Bar(f"{count:,} targets: CPU, beside aiohttp", ours["cpu_s"] / peer["cpu_s"], 0.2, "of its time"),
        Bar(f"{count:,} targets: growth of the process", ours["grown_mb"], 64, "MB"),
        f"ours {ours['seconds']:.2f} s, {ours['cpu_s']:.3f} cpu s, {ours['grown_mb']:.0f} MB; aiohttp"
        f" {peer['seconds']:.2f} s, {peer['cpu_s']:.3f} cpu s, {peer['grown_mb']:.0f} MB",
    ]


def shipping(work: Path, share: float) -> Measured:
    """600 MB to a receiver on loopback, beside rsync; a change of 1 %; and 50 graphs to three receivers at once."""
    size_mb = max(8, round(600 * share))
    _ship("make", work / "storage", work / "source", 1, size_mb)
    found: Measured = []
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(shipping_sites.receiving(work / "plain", tls=False))
        tls = stack.enter_context(shipping_sites.receiving(work / "tls", tls=True))
        found += _beside_rsync(work, plain, tls)
        told = tls.words("changing")
        _ship("send", work / "storage", 1, *told)
        added = _ship("change", work / "storage", work / "source")["added"]
        again = _ship("send", work / "storage", 1, *told)
    found.append(Bar("a change of 1 % ships", again["bytes"] / added, 1.1, "of the bytes added"))
    shutil.rmtree(work / "storage")
    shutil.rmtree(work / "source")
    return [*found, *_ship_many(work, share)]


def _beside_rsync(work: Path, *receivers: shipping_sites.Receiving) -> Measured:
    """The same packs to each receiver and by rsync, by turns: each a process of its own, to an empty place."""
    packs = work / "storage" / "graphs" / "graph0" / "packs"
    ways = [["--fsync"], []] if shipping_sites.has_rsync() else []
    ours: list[list[dict[str, float]]] = [[] for _ in receivers]
    theirs: list[list[dict[str, float]]] = [[] for _ in ways]
    for pair in range(_PAIRS):
        for number, receiver in enumerate(receivers):
            told, before = receiver.words(f"run{pair}"), receiver.cpu_s()
            sent = _ship("send", work / "storage", 1, *told)
            ours[number].append(sent | {"there_s": receiver.cpu_s() - before})
            shutil.rmtree(receiver.storage / "replicas" / f"run{pair}")
        for number, way in enumerate(ways):
            theirs[number].append(_ship("rsync", packs, work / "rsync", *way))
            shutil.rmtree(work / "rsync")
    found: Measured = []
    if ways:
        ratios = (one["seconds"] / other["seconds"] for one, other in zip(ours[0], theirs[0], strict=True))
        found.append(Bar("sending on loopback, beside rsync", statistics.median(ratios), 1, "of its time"))
    size = ours[0][0]["bytes"]
    names = ("in the clear", "over TLS", "rsync --fsync", "rsync")
    for name, runs in zip(names, [*ours, *theirs], strict=False):
        one = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        rate, there = size / one["seconds"] / 1e6, f" and {one['there_s']:.2f} there" if "there_s" in one else ""
        found.append(f"{size / 1e6:.0f} MB {name}: {rate:.0f} MB/s, {one['cpu_s']:.2f} cpu s{there}")
    return found


def _ship_many(work: Path, share: float) -> Measured:
    size_mb = max(1, round(10 * share))
    _ship("make", work / "storage", work / "source", 50, size_mb)
    with contextlib.ExitStack() as stack:
        sites = [stack.enter_context(shipping_sites.receiving(work / f"site{n}", tls=True)) for n in range(3)]
        found = _ship("send", work / "storage", 50, *(word for site in sites for word in site.words()))
    return [
        Bar("50 graphs to 3 targets at once: threads of the process", found["threads"], _SHIPPING_THREADS, "in all"),
        Bar("50 graphs to 3 targets at once: growth of the process", found["grown_mb"], 100, "MB"),
        f"50 graphs of {size_mb} MB to 3 targets: {found['seconds']:.1f} s, {found['cpu_s']:.1f} cpu s",
    ]


def serving(work: Path, share: float) -> Measured:
    """50 clients that read through the HTTP API, while the same process takes a snapshot of a graph of 1 GB."""
    _write_graph(work / "graph", round(34_000 * share), 2, round(17_000 * share), 1024)
    size_mb = measure.apparent_bytes(work / "graph") / 1e6
    found = inside.ask("load", work / "storage", work / "graph", _CLIENTS, module="benchmarks.serving")
    states = {"calm": "alone", "busy": f"beside a snapshot of {size_mb:.0f} MB ({found['busy_seconds']:.1f} s)"}
    said = (
        f"{_CLIENTS} clients reading {what}: {found[f'{state}_per_s']:.0f} requests/s, half within"
        f" {found[f'{state}_median_ms']:.0f} ms, 99 % within {found[f'{state}_p99_ms']:.0f} ms; the loop"
        f" blocked for {found[f'{state}_blocked_ms']:.0f} ms and late by {found[f'{state}_late_ms']:.0f} ms at most"
        for state, what in states.items()
    )
    return [Bar(f"{_CLIENTS} clients and a snapshot: event loop blocked", found["busy_blocked_ms"], 50, "ms"), *said]


def _ship(name: str, *arguments: object) -> dict[str, float]:
    settings = {"LIGHTRAG_BACKUP_THREADS": "2", "LIGHTRAG_BACKUP_JOBS": "2"}
    return inside.ask(name, *arguments, module="benchmarks.shipping", environment=settings)


PARTS: dict[str, Callable[[Path, float], Measured]] = {
    part.__name__: part
    for part in (index, history, churn, graphs, holes, files, vectors, verdicts, failover, probing, shipping, serving)
}


def run(work: Path, names: list[str], share: float) -> Iterator[Bar | str]:
    """Measures the parts named, each in a directory of its own below `work` that is removed again.

    Args:
        share: of the full sizes.
    """
    for name in names:
        print(f"... {name}", file=sys.stderr, flush=True)
        place = work / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            yield from PARTS[name](place, share)
        finally:
            shutil.rmtree(place)


def _run(storage: Path, *words: object) -> Usage:
    """A command of the program, as a process of its own."""
    argv = (sys.executable, "-m", "lightrag_bkp.cli", "--storage", str(storage), *map(str, words))
    return measure.run([Command(argv, ROOT)])


def _turns(number: int) -> tuple[str, str]:
    """Who is first of a pair, by turns."""
    return ("off", "on") if number % 2 else ("on", "off")


def _first_backup(storage: Path, source: Path, validate: str) -> float:
    """The seconds a first backup takes, judged or not."""
    return _run(storage, "snapshot", "g", source, "--on-busy", "crash", "--validate", validate).seconds


def _judge(directory: Path) -> Usage:
    """The program judges a graph; it fails when that is not usable."""
    return measure.run([Command((sys.executable, "-m", "lightrag_bkp.cli", "validate", str(directory)), ROOT)])


def _write_graph(directory: Path, entities: int, ties: int, chunks: int, dim: int) -> int:
    """Writes a complete graph; returns how many ids it has."""
    return round(inside.ask("large_graph", directory, entities, ties, chunks, dim, module=_INSIDE)["ids"])


def _write_holes(path: Path, size: int) -> int:
    """Writes a file of that size with a twentieth of data, in bursts; returns how many bytes of it are data."""
    path.parent.mkdir()
    burst = size // 20 // _BURSTS
    with open(path, "wb") as file:
        for number in range(_BURSTS):
            file.seek(number * (size // _BURSTS))
            for at in range(0, burst, 1 << 20):
                file.write(os.urandom(min(1 << 20, burst - at)))
        file.truncate(size)
    return burst * _BURSTS


def _write_files(directory: Path, count: int) -> None:
    noise = random.Random(count)
    for number in range(count):
        place = directory / f"{number // _FILES_PER_DIRECTORY:04}"
        if not number % _FILES_PER_DIRECTORY:
            place.mkdir(parents=True)
        (place / f"note-{number:07}.txt").write_text(f"{noise.random()} and some text. " * 8)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description="Measures this program at scale.")
    parser.add_argument(
        "--only", type=among(PARTS), metavar="PART,...", default=",".join(PARTS), help="default %(default)s"
    )
    parser.add_argument("--fraction", type=float, default=1.0, help="of the full sizes (default 1)")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench-scale", help="where to work")
    arguments = parser.parse_args()
    work: Path = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    measure.compile_program()
    print(*machine.lines(work), f"load of the last 1 / 5 minutes: {machine.load()}", sep="\n", end="\n\n")
    for found in run(work, arguments.only, arguments.fraction):
        print(found.line() if isinstance(found, Bar) else f"  {found}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
