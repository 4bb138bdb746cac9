"""A look at everything while nobody works: `python -m torture.inspector DIRECTORY SEED NUMBER [--all]`.

Besides what a worker does, it reads snapshots with an independent reader, and damages copies of repositories: that
must be found, and nothing wrong may come out of them.
"""

import argparse
import os
import random
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path

from compat import reader

from lightrag_bkp.sync import GraphBackup

from .field import PLACES, Field
from .plan import chance
from .trail import Trail
from .worker import Hands

_UNPACKED, _READ, _HARMED = 4, 1, 2
"""So many snapshots and copies of each graph, unless all are asked for."""


class Inspector:
    """One look."""

    def __init__(self, field: Field, seed: str, number: int, *, every: bool) -> None:
        self.field = field
        self.every = every
        self.name = f"i{number}"
        self.dice = chance(seed, "inspector", number)
        self.hands = Hands(field, Trail(field.trail, self.name))

    def run(self) -> None:
        for place in PLACES:
            with self.field.manager(place.split("/")[0]) as manager:
                self._look(manager.register_graph(place.split("/")[1]), place)

    def _look(self, graph: GraphBackup, place: str) -> None:
        ids = [row[0] for row in self.hands.listed(graph, place)]
        for target in self.field.targets(place):
            self.hands.found(graph, place, target)
        self.hands.verify(graph, place, None)
        for snapshot in self._some(ids, _UNPACKED):
            self.hands.unpack(graph, place, snapshot, self.field.copies / "unpacked")
        for snapshot in self._some(ids, _READ):
            self._read(place, snapshot)
        for _ in range(_HARMED if ids else 0):
            self._harm(place, self.dice.choice(ids))
        if self.every:
            self._tidy(graph, place)

    def _some(self, ids: list[str], count: int) -> list[str]:
        return ids if self.every else self.dice.sample(ids, min(count, len(ids)))

    def _read(self, place: str, snapshot: str) -> None:
        """With code that shares nothing with the program."""
        target = self.field.copies / "read"

        def work() -> dict[str, str]:
            reader.restore(self.field.repository(place), snapshot, target, self.field.master_key(place))
            return {"content": self.field.content(place, target)}

        self.hands.do("reader", place, work, snapshot=snapshot)
        shutil.rmtree(target, ignore_errors=True)

    def _harm(self, place: str, snapshot: str) -> None:
        """Damages something in a copy. A pack that the independent reader can do without (a copy of what it holds lies
        in another one, or a dead process left it) need not be found.
        """
        storage, graph_id = place.split("/")
        copy = self.field.copies / storage
        shutil.copytree(self.field.repository(place), copy / "graphs" / graph_id)
        repository = copy / "graphs" / graph_id
        log = sorted((repository / "log").iterdir())[:-1]
        key = self.field.master_key(place)
        victim = self.dice.choice([*packs_of(repository, snapshot, key), self.dice.choice(log)])
        harm, must = self.dice.choice(HARMS), victim in log or is_needed(repository, snapshot, key, victim)
        harm(victim, self.dice)
        facts = {"damaged": f"{victim.parent.name}/{victim.name} was damaged ({harm.__name__}) in a copy", "must": must}
        with self.field.manager(storage, self.field.copies) as manager:
            graph = manager.register_graph(graph_id)
            self.hands.verify(graph, place, None, **facts)
            self.hands.unpack(graph, place, snapshot, self.field.copies / "unpacked", **facts)
        shutil.rmtree(copy)

    def _tidy(self, graph: GraphBackup, place: str) -> None:
        """A prune leaves nothing of what dead processes left, once that is old."""
        repository = self.field.repository(place)

        def work() -> dict[str, list[str]]:
            for path in (repository / "tmp").iterdir():
                os.utime(path, (0, 0))
            graph.prune(wait_s=0)
            return {"left": sorted(path.name for path in (repository / "tmp").iterdir())}

        self.hands.do("litter", place, work)


class _Watched(reader.Packs):
    """Remembers which packs it was asked for."""

    def chunk(self, name: bytes) -> tuple[int, bytes]:
        found = super().chunk(name)
        self.used = getattr(self, "used", set()) | {self.rows[name][0]}
        return found


def packs_of(repository: Path, snapshot: str, master: bytes | None) -> list[Path]:
    """The packs the independent reader takes a snapshot from."""
    seal = reader.Seal(master, repository.name)
    fields = reader.Log(repository / "log", seal).snapshots[snapshot.encode()]
    packs = _Watched(repository / "packs", seal)
    for item in map(dict, map(reader.split_fields, packs.body(fields[8])[reader.ITEM])):
        if 53 in item:
            deque(packs.stream(item[53]), maxlen=0)
    return sorted(packs.used)


def is_needed(repository: Path, snapshot: str, master: bytes | None, pack: Path) -> bool:
    """Whether the independent reader cannot do without it."""
    aside = pack.rename(repository / "aside")
    try:
        packs_of(repository, snapshot, master)
    except ValueError:
        return True
    finally:
        aside.rename(pack)
    return False


# ---- harm ----


def flip(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    _rewrite(path, bytes(content))


def cut(path: Path, dice: random.Random) -> None:
    _rewrite(path, path.read_bytes()[: dice.randrange(path.stat().st_size)])


def blank(path: Path, dice: random.Random) -> None:
    """A sector of zeros."""
    content = path.read_bytes()
    at = dice.randrange(len(content)) & ~511
    _rewrite(path, content[:at] + bytes(len(content[at : at + 512])) + content[at + 512 :])


def lose(path: Path, dice: random.Random) -> None:
    path.unlink()


HARMS: tuple[Callable[[Path, random.Random], None], ...] = (flip, cut, blank, lose)


def _rewrite(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("seed")
    parser.add_argument("number", type=int)
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    Inspector(Field(given.directory), given.seed, given.number, every=given.all).run()


if __name__ == "__main__":
    main()
