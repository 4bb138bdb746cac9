"""kill -9 at moments spread over the whole run of create, restore, delete and prune.

Whatever the moment: what was announced as committed is there and comes back byte for byte, a restore leaves the old
state or the new one, and what the dead left behind is reclaimed by prune. (That a crash between any two changes of the
file system is survived is tried exhaustively in tests/c.)
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.folders import Fingerprint, fingerprint

from lightrag_bkp import BackupManager, GraphBackup

pytestmark = pytest.mark.usefixtures("short_rest")

KILLS = 13
"""Of a repository that is sealed, and as many of one that is not."""
BEYOND = 1.1
"""The last kills fall a little after the run has ended, so that its end is hit as well."""
FILE_BYTES = 1_500_000
STORES = (
    "kv_store_text_chunks.json",
    "vdb_entities.json",
    "vdb_relationships.json",
    "vdb_chunks.json",
    "graph_chunk_entity_relation.graphml",
)

Work = Callable[[Callable[[str], None]], Coroutine[Any, Any, None]]
"""What a child does; it announces by text what is committed."""


# ---- children ----


def start(work: Work) -> tuple[int, int]:
    """(process, descriptor to read its announcements from) of a child that does `work`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(work(lambda text: void(os.write(writing, f"{text}\n".encode()))))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    return child, reading


def void(_: object) -> None:
    """Drops a result."""


def announcements(reading: int) -> list[str]:
    with os.fdopen(reading) as lines:
        return lines.read().splitlines()


def run(work: Work) -> float:
    """Lets a child come to its end; returns how long that took, in seconds."""
    started = time.monotonic()
    child, reading = start(work)
    _, status = os.waitpid(child, 0)
    os.close(reading)
    assert os.waitstatus_to_exitcode(status) == 0
    return time.monotonic() - started


def kill(work: Work, after_s: float) -> list[str]:
    """Kills a child so long after it began; returns what it had announced by then."""
    child, reading = start(work)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (-signal.SIGKILL, 0), "the child failed on its own"
    return announcements(reading)


def moments(whole_s: float) -> Iterator[float]:
    """KILLS delays, one at a random place of each KILLS-th part of the run, in random order."""
    parts = list(range(KILLS))
    random.shuffle(parts)
    yield from (BEYOND * whole_s * (part + random.random()) / KILLS for part in parts)


# ---- what must be so afterwards ----


class Repository:
    """The graph "g" below a storage path, opened anew for every look, and what each snapshot of it must hold."""

    def __init__(self, directory: Path, key: Path | None) -> None:
        self.key = key
        self.storage = directory / "storage"
        self.scratch = directory / "scratch"
        self.root = self.storage / "graphs" / "g"
        self.contents: dict[str, Fingerprint] = {}

    def open(self, source: Path | None = None) -> GraphBackup:
        return BackupManager(self.storage, key_file=self.key).register_graph("g", source)

    def files(self, below: str) -> list[Path]:
        return list((self.root / below).iterdir())

    def take(self, source: Path) -> str:
        """A snapshot nobody disturbs."""
        snapshot = asyncio.run(self.open(source).create_snapshot())
        self.contents[snapshot.backup_id] = fingerprint(source)
        return snapshot.backup_id

    def ids(self) -> set[str]:
        return {snapshot.backup_id for snapshot in self.open().list_snapshots()}

    def check_whole(self, ids: set[str]) -> None:
        """Every stored byte verifies, and these snapshots come back."""
        outcome = asyncio.run(self.open().verify_snapshot())
        assert outcome.findings == ()
        for number, snapshot_id in enumerate(sorted(ids)):
            target = self.scratch / f"{snapshot_id}-{number}"
            asyncio.run(self.open().restore(snapshot_id, target, allow_unusable=True))
            assert fingerprint(target) == self.contents[snapshot_id]
            remove(target)

    def check_no_garbage(self) -> None:
        """A prune leaves nothing but the packs that snapshots need."""
        for left in (*self.files("tmp"), *self.files("cache")):
            os.utime(left, (0, 0))  # prune leaves alone what is younger than an hour
        asyncio.run(self.open().prune(wait_s=0))
        assert self.files("tmp") == []
        assert [path.name for path in self.files("cache") if "." in path.name] == []
        again = asyncio.run(self.open().prune(wait_s=0, dry_run=True))
        assert (again.packs_retired, again.packs_swept) == (0, 0)
        on_disk = sum(path.stat().st_size for path in self.files("packs"))
        assert on_disk == again.bytes_total == self.open().stats()["stored_bytes"]


def remove(directory: Path) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    directory.rmdir()


@pytest.fixture(params=["open", "sealed"])
def repository(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    key = tmp_path_factory.mktemp("key") / "key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(32))
    made = Repository(tmp_path, key if request.param == "sealed" else None)
    made.scratch.mkdir()
    return made


def write_files(directory: Path, names: tuple[str, ...]) -> None:
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).write_bytes(os.urandom(FILE_BYTES))


# ---- create ----


def test_a_killed_create_loses_nothing_committed(repository: Repository, tmp_path: Path) -> None:
    source = tmp_path / "source"
    names = tuple(f"file{number}" for number in range(12))

    async def create(announce: Callable[[str], None]) -> None:
        announce((await repository.open(source).create_snapshot()).backup_id)

    write_files(source, names)
    committed = {repository.take(source)}
    write_files(source, names)
    whole_s = run(create)
    cut_short = 0
    for after_s in moments(whole_s):
        before = repository.ids()
        write_files(source, names)
        announced = set(kill(create, after_s))
        new = repository.ids() - before
        assert announced <= new and len(new) <= 1
        repository.contents.update(dict.fromkeys(new, fingerprint(source)))
        cut_short += not new
        committed = new or committed
        repository.check_whole(committed)
        for snapshot_id in repository.ids() - committed:
            assert asyncio.run(repository.open().delete_snapshot(snapshot_id))
        repository.check_no_garbage()
    assert cut_short > 0, "no kill came before the commit"


# ---- restore ----


@pytest.mark.parametrize("shared", [False, True], ids=["exchanged", "item by item"])
def test_a_killed_restore_leaves_the_old_state_or_the_new_one(
    repository: Repository, tmp_path: Path, shared: bool
) -> None:
    target = tmp_path / "target"
    write_files(target, STORES)
    if shared:
        (target / "another").mkdir()  # as a workspace would be: the directory cannot be exchanged as a whole
    states = []
    for _ in range(2):
        write_files(target, STORES)
        states.append((asyncio.run(repository.open(target).create_snapshot()).backup_id, stores_of(target)))

    def restore(snapshot_id: str) -> Work:
        async def work(announce: Callable[[str], None]) -> None:
            await repository.open().restore(snapshot_id, target, allow_unusable=True)
            announce("restored")

        return work

    (old_id, old), (new_id, new) = states
    whole_s = run(restore(old_id))
    assert stores_of(target) == old
    for after_s in moments(whole_s):
        announced = kill(restore(new_id), after_s)
        asyncio.run(repository.open().finish_restore(target))
        found = stores_of(target)
        assert found == new or (found == old and not announced), "never a mix, and never less than announced"
        assert set(os.listdir(target)) == {*STORES, *(["another"] if shared else [])}
        assert set(os.listdir(tmp_path)) == {"target", "storage", "scratch"}
        if found == new:
            (old_id, old), (new_id, new) = (new_id, new), (old_id, old)
    repository.check_whole(set())
    repository.check_no_garbage()


def stores_of(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in STORES}


# ---- delete and prune ----


def test_a_killed_delete_or_prune_touches_nothing_kept(repository: Repository, tmp_path: Path) -> None:
    source = tmp_path / "source"
    names = tuple(f"file{number}" for number in range(5))
    write_files(source, names)
    kept = [repository.take(source)]

    def add(count: int) -> None:
        """More snapshots, each sharing one file in five with the one before: their packs become worth rewriting."""
        for _ in range(count):
            write_files(source, names[:-1])
            kept.append(repository.take(source))

    def tidy(going: list[str]) -> Work:
        async def work(announce: Callable[[str], None]) -> None:
            graph = repository.open()
            for snapshot_id in going:
                await graph.delete_snapshot(snapshot_id)
                announce(snapshot_id)
            await graph.prune(wait_s=0)
            announce("pruned")

        return work

    add(3)
    whole_s = run(tidy(kept[:2]))
    del kept[:2]
    cut_short = 0
    for after_s in moments(whole_s):
        add(2)
        going, kept = kept[:2], kept[2:]
        announced = kill(tidy(going), after_s)
        left = repository.ids()
        assert set(kept) <= left <= {*kept, *going}
        assert not left & set(announced)
        cut_short += "pruned" not in announced
        repository.check_whole(left)
        for snapshot_id in left - set(kept):
            assert asyncio.run(repository.open().delete_snapshot(snapshot_id))
    assert cut_short > 0, "no kill came before the end"
    repository.check_no_garbage()
    repository.check_whole(set(kept))
