"""What sealing costs: first backups in pairs, sealed and not, in turns; and starting with each kind of secret."""

import os
import shutil
import statistics
from pathlib import Path

from .data import ROOT
from .inside import Figures
from .measure import Command, run

_PAIRS = 7
_STARTS = 7
_GRAPH = "bench"


def figures(program: Path, place: Path, source: Path) -> Figures:
    """{first: median of sealed / unsealed first backups, cpu: the same of processor time, key_file and passphrase:
    seconds of a whole process that finds nothing changed}.

    Args:
        program: the Python that has this package. place: an empty directory. source: what is backed up.
    """
    secrets = _secrets(place)

    def backup(repository: str, *secret: object) -> Command:
        words = ["-m", "lightrag_bkp.cli", "--storage", place / repository, "snapshot", _GRAPH, source, *secret]
        return Command((str(program), *map(str, words)), ROOT)

    def first(kind: str) -> tuple[float, float]:
        shutil.rmtree(place / kind, ignore_errors=True)
        usage = run([backup(kind, *secrets[kind])])
        return usage.seconds, usage.cpu_seconds

    pairs = []
    for turn in range(_PAIRS):
        order = ("plain", "key_file") if turn % 2 else ("key_file", "plain")
        taken = {kind: first(kind) for kind in order}
        pairs.append([sealed / plain for sealed, plain in zip(taken["key_file"], taken["plain"], strict=True)])
    found = {
        "first": statistics.median(wall for wall, _ in pairs),
        "cpu": statistics.median(cpu for _, cpu in pairs),
    }
    first("passphrase")
    for kind in ("key_file", "passphrase"):
        run([backup(kind, *secrets[kind])])  # the first run after a first backup may still read young files
        again = backup(kind, *secrets[kind])
        found[kind] = statistics.median(run([again]).command_seconds for _ in range(_STARTS))
    return found


def _secrets(place: Path) -> dict[str, tuple[object, ...]]:
    place.mkdir(parents=True)
    key, passphrase = place / "key", place / "words"
    key.touch(0o600)
    key.write_bytes(os.urandom(32))
    passphrase.write_text("correct horse battery staple")
    return {"plain": (), "key_file": ("--key-file", key), "passphrase": ("--passphrase-file", passphrase)}
