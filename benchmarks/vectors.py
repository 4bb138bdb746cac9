"""What vector files cost: stored bytes by dimension, the lists of chunks, the codec on one core."""

import os
import re
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

from .data import ROOT, Shape, build_base
from .inside import Figures
from .measure import Command, apparent_bytes, run

_GRAPH = "bench"
_DIM_MB = 60
_OTHER_SHAPES = {"384 unit": (384, True), "768": (768, False), "1536": (1536, False), "3072": (3072, False)}
_FOOTER = 64
_ROW = 56
_FIRST_METADATA_KIND = 32


def stored_ratio(program: Path, place: Path, base: Path) -> float:
    """Size of a repository of the vector files alone, in parts of theirs.

    Args:
        place: a directory that is not there yet. base: where the vector files are.
    """
    source = place / "source"
    source.mkdir(parents=True)
    for path in base.glob("vdb_*.json"):
        os.link(path, source / path.name)
    run([_snapshot(program, place / "storage", source)])
    return apparent_bytes(place / "storage", without="cache") / apparent_bytes(source)


def by_dimension(program: Path, place: Path, data: Path, size_mb: float) -> Figures:
    """The same for other dimensions, each of a graph of its own of at most 60 MB."""
    found = {}
    for name, (dim, unit) in _OTHER_SHAPES.items():
        base = data / f"dim-{name.replace(' ', '-')}-{min(size_mb, _DIM_MB):g}"
        build_base(base, Shape.sized(min(size_mb, _DIM_MB), dim, unit))
        found[name] = stored_ratio(program, place / name, base)
    return found


def metadata(program: Path, place: Path, states: Iterable[Path]) -> Figures:
    """{added: what the last of these states of one source added in lists of chunks and in the log, in parts of it}."""
    place.mkdir(parents=True)
    packs, log, size = set[Path](), place / "graphs" / _GRAPH / "log", 0
    for state in states:
        known, before, size = packs, apparent_bytes(log), apparent_bytes(state)
        run([_snapshot(program, place, state)])
        packs = set((log.parent / "packs").iterdir())
    return {"added": (sum(map(_metadata_bytes, packs - known)) + apparent_bytes(log) - before) / size}


def codec(sample: Path) -> Figures:
    """{gb_s: 10^9 bytes of a vector file that one core encodes in a second, the way back and all checks included}."""
    words = ["make", "--silent", "bench-codec", f"FILE={sample}", "GROUP=3"]
    said = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    rates = re.findall(r"codec, without digest.*?([\d.]+) GB/s", said)
    return {"gb_s": max(map(float, rates))}


def _metadata_bytes(pack: Path) -> int:
    """Everything of a pack but the chunks of items and their rows (docs/format.md)."""
    content = pack.read_bytes()
    trailer, rows = struct.unpack_from("<II", content, len(content) - _FOOTER)
    items = 0
    for number in range(rows):
        at = len(content) - _FOOTER - trailer + number * _ROW
        (stored,) = struct.unpack_from("<I", content, at + 36)
        if content[at + 48] < _FIRST_METADATA_KIND:
            items += stored + _ROW
    return len(content) - items


def _snapshot(program: Path, storage: Path, source: Path) -> Command:
    words = ["-m", "lightrag_bkp.cli", "--storage", storage, "snapshot", _GRAPH, source]
    words += ["--partial", "--on-busy", "crash"]  # the vector files alone; nobody is writing
    return Command((str(program), *map(str, words)), ROOT)
