"""Repositories that are torn, rotten, exchanged or from another time.

Whatever happened to a stored object, verify finds it and names it, and a restore gives the right bytes or none.
"""

import asyncio
import hashlib
import os
import shutil
import struct
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from support import graphs
from support.folders import fingerprint
from support.forge import REPACK, Forge
from support.program import Program
from support.surgery import Shelf, flips, names, replaced, rewrite_entry, rewrite_pack, row_at

from lightrag_bkp import BackupManager, _bridge
from lightrag_bkp.sync import GraphBackup

pytestmark = pytest.mark.usefixtures("short_rest")

Edit = Callable[[bytearray], None]


def write_plain(directory: Path, seed: bytes) -> None:
    """Few bytes of everything: a file that compresses, one that does not, an empty one, a directory, a link."""
    directory.mkdir()
    (directory / "noise").write_bytes(os.urandom(300))
    (directory / "text").write_bytes(seed * 200)
    (directory / "empty").touch()
    (directory / "sub").mkdir()
    (directory / "sub" / "leaf").write_bytes(seed)
    (directory / "link").symlink_to("sub/leaf")


async def shelve(storage: Path, source: Path, change: Callable[[], None] | None = None) -> Shelf:
    """A snapshot of `source`, and after `change` a second one that shares what stayed the same."""
    with BackupManager(storage) as manager:
        graph = manager.register_graph("g", source)
        snapshot = await graph.create_snapshot()
        if change is not None:
            change()
            snapshot = await graph.create_snapshot()
    return Shelf(storage, "g", snapshot.backup_id, fingerprint(source))


async def plain_shelf(directory: Path, seed: bytes = b"words ") -> Shelf:
    directory.mkdir()
    source = directory / "source"
    write_plain(source, seed)
    return await shelve(directory / "storage", source, lambda: (source / "text").unlink())


async def lightrag_shelf(directory: Path) -> Shelf:
    """The smallest graph there is, its cache of answers left out: half its bytes and no part of the graph."""
    source = directory / "rag"
    await graphs.build_pipeline_graph(source, documents=1, dim=8, entities=4)
    (source / "kv_store_llm_response_cache.json").unlink()
    return await shelve(directory / "storage", source)


@pytest.fixture
async def shelf(tmp_path: Path) -> Shelf:
    return await plain_shelf(tmp_path / "plain")


class Restores:
    """Restores a shelf into a new directory each time, and judges what is there afterwards."""

    def __init__(self, directory: Path) -> None:
        self._staging = directory / "staging"

    def succeed(self, shelf: Shelf) -> bool:
        """False for an error; bytes that are not the right ones fail the test."""
        found = shelf.restored(self._staging)
        shutil.rmtree(self._staging)
        assert found is None or found == shelf.content
        return found is not None


@pytest.fixture
def restores() -> Iterator[Restores]:
    """In memory where the system has a place for it: on a disk, removing ten thousand restores takes a minute."""
    shared_memory = "/dev/shm"
    usable = os.path.isdir(shared_memory) and os.access(shared_memory, os.W_OK)
    with tempfile.TemporaryDirectory(dir=shared_memory if usable else None) as directory:
        yield Restores(Path(directory))


@pytest.mark.parametrize("make", [plain_shelf, lightrag_shelf])
async def test_every_flipped_byte_is_found_and_named_and_never_restored(
    make: Callable[[Path], Awaitable[Shelf]], restores: Restores, tmp_path: Path
) -> None:
    shelf = await make(tmp_path / "shelf")
    assert shelf.complaints() == [] and restores.succeed(shelf)
    for path in shelf.objects():
        for at in flips(path):
            assert any(names(path) in complaint for complaint in shelf.complaints()), f"{names(path)} at {at}"
            restores.succeed(shelf)
    assert shelf.complaints() == [] and restores.succeed(shelf)


async def test_truncated_objects_are_found_and_named(shelf: Shelf, restores: Restores) -> None:
    others = shelf.log()[:-1]
    for path in shelf.objects():
        content = path.read_bytes()
        for length in sorted({0, 1, 63, 64, 151, len(content) // 2, len(content) - 64, len(content) - 1}):
            with replaced(path, content[:length]):
                assert any(names(path) in complaint for complaint in shelf.complaints()), f"{names(path)} to {length}"
                assert restores.succeed(shelf) == (path in others)
        with replaced(path, content + b"\0"):
            assert any(names(path) in complaint for complaint in shelf.complaints()), f"{names(path)} lengthened"


async def test_removed_objects_are_found_and_named(shelf: Shelf, restores: Restores) -> None:
    *others, own = shelf.log()
    for path in shelf.objects():
        # The end of the log is missed only because the cache remembers its number.
        name = "log: " if path == own else names(path)
        with replaced(path, None):
            assert any(name in complaint for complaint in shelf.complaints()), names(path)
            assert restores.succeed(shelf) == (path in others)
    assert shelf.complaints() == []


async def test_swapped_objects_are_found_and_named(shelf: Shelf, restores: Restores) -> None:
    objects = shelf.objects()
    for one in objects:
        for other in objects[objects.index(one) + 1 :]:
            first, second = one.read_bytes(), other.read_bytes()
            with replaced(one, second), replaced(other, first):
                complaints = shelf.complaints()
                named = [path for path in (one, other) if any(names(path) in said for said in complaints)]
                assert named == [one, other] or (named and one.parent.name == "log"), (one, other, complaints)
                restores.succeed(shelf)


async def test_objects_of_another_repository_are_found_and_named(
    shelf: Shelf, restores: Restores, tmp_path: Path
) -> None:
    foreign = await plain_shelf(tmp_path / "foreign", b"other words ")
    for mine, theirs in ((shelf.log(), foreign.log()), (shelf.packs(), foreign.packs())):
        for path in mine:
            for other in theirs:
                with replaced(path, other.read_bytes()):
                    assert any("log/" in said or names(path) in said for said in shelf.complaints()), names(path)
                    restores.succeed(shelf)


async def test_a_pack_nobody_named_is_no_harm(shelf: Shelf, restores: Restores, tmp_path: Path) -> None:
    foreign = await plain_shelf(tmp_path / "foreign", b"other words ")
    for pack in foreign.packs():
        shutil.copy(pack, shelf.root / "packs" / pack.name)
    (shelf.root / "packs" / ("0" * 64)).write_bytes(b"no pack")
    assert restores.succeed(shelf)
    assert shelf.complaints() == []


# ---- the cache ----


async def test_flipping_the_remembered_end_of_the_log_is_no_harm(shelf: Shelf, restores: Restores) -> None:
    for at in flips(shelf.root / "cache" / "head"):
        assert shelf.complaints() == [], at
    assert restores.succeed(shelf)


async def test_flipping_what_is_remembered_of_the_source_is_no_harm(restores: Restores, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_plain(source, b"words ")
    await asyncio.sleep(2.1)  # younger files are read again in any case
    shelf = await shelve(tmp_path / "storage", source)
    cache = next(path for path in shelf.cache() if path.name.startswith("sources-"))
    remembered = cache.read_bytes()
    with BackupManager(shelf.storage) as manager:
        graph = manager.register_graph("g", source)
        wanted = (await graph.create_snapshot()).data_hash
        for at in range(len(remembered)):
            cache.write_bytes(remembered[:at] + bytes([remembered[at] ^ 1 << at % 8]) + remembered[at + 1 :])
            assert (await graph.create_snapshot()).data_hash == wanted, at
    assert shelf.complaints() == []
    assert restores.succeed(shelf)


async def test_a_cache_of_rubbish_is_no_harm(shelf: Shelf, restores: Restores) -> None:
    for path in [*shelf.cache(), shelf.root / "cache" / "index"]:
        path.write_bytes(os.urandom(1000))
    assert shelf.complaints() == []
    assert restores.succeed(shelf)


# ---- what a later version writes ----


def set_u16(at: int, value: int) -> Edit:
    def edit(content: bytearray) -> None:
        content[at : at + 2] = value.to_bytes(2, "little")

    return edit


def set_first_row(at: int, value: int) -> Edit:
    def edit(content: bytearray) -> None:
        content[row_at(content, 0) + at] = value

    return edit


def first_field(content: bytearray) -> int:
    """Where the payload of an entry that names one pack begins."""
    graph_bytes, packs = int.from_bytes(content[136:138], "little"), int.from_bytes(content[140:144], "little")
    return 152 + graph_bytes + 40 * packs


def set_first_tag(content: bytearray) -> None:
    set_u16(first_field(content), 63)(content)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (set_u16(8, 2), "format version 2"),
        (set_u16(10, 77), "kind 77"),
        (set_u16(12, 1), "is sealed while its repository is not"),
        (set_u16(12, 9), "algorithm 9"),
        (set_first_tag, "field 63"),
    ],
    ids=["version", "kind", "seal", "unknown seal", "field"],
)
async def test_log_entries_of_a_later_version_are_refused_by_name(
    shelf: Shelf, edit: Edit, said: str, restores: Restores
) -> None:
    rewrite_entry(shelf.log()[-1], edit)
    complaints = shelf.complaints()
    assert len(complaints) == 1 and names(shelf.log()[-1]) in complaints[0] and said in complaints[0]
    assert not restores.succeed(shelf)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (set_u16(8, 2), "format version 2"),
        (set_u16(10, 1), "is sealed while its repository is not"),
        (set_u16(10, 9), "algorithm 9"),
        (set_first_row(48, 5), "kind records (5)"),
        (set_first_row(48, 99), "kind unknown (99)"),
        (set_first_row(49, 2), "was stored as vectors"),
        (set_first_row(49, 99), "codec unknown (99)"),
    ],
    ids=["version", "seal", "unknown seal", "kind never used", "unknown kind", "codec of vectors", "unknown codec"],
)
async def test_packs_of_a_later_version_are_refused_by_name(
    restores: Restores, tmp_path: Path, edit: Edit, said: str
) -> None:
    write_plain(tmp_path / "source", b"words ")
    shelf = await shelve(tmp_path / "storage", tmp_path / "source")
    (pack,) = shelf.packs()
    renamed = rewrite_pack(shelf, pack, edit)
    complaints = shelf.complaints()
    assert any(names(renamed) in complaint and said in complaint for complaint in complaints), complaints
    assert not restores.succeed(shelf)


async def test_a_rewritten_pack_is_as_good_as_the_first_one(restores: Restores, tmp_path: Path) -> None:
    """The tests above change one id each and nothing else: without the change all is well."""
    write_plain(tmp_path / "source", b"words ")
    shelf = await shelve(tmp_path / "storage", tmp_path / "source")
    (pack,) = shelf.packs()
    assert rewrite_pack(shelf, pack, set_u16(32, 0)) != pack  # the salt, which no reader looks at
    assert shelf.complaints() == []
    assert restores.succeed(shelf)


async def test_a_handle_opened_before_the_damage_sees_it(shelf: Shelf) -> None:
    core = _bridge.run_blocking(_bridge.open_job(str(shelf.storage), "g", False))
    for path in shelf.objects():
        with replaced(path, b"rubbish"):
            found, *_ = _bridge.run_blocking(_bridge.verify_job(core, None, 2, False))
            assert any(names(path) in name for name, _ in found), names(path)
    core.close()


@pytest.mark.parametrize(("kind", "version"), [(9, 1), (1, 2)])
def test_a_pack_of_a_newer_version_is_not_noted_as_damaged(
    program: Program, kept: GraphBackup, kind: int, version: int
) -> None:
    """Its bytes have its name; only this program does not know its version, or a kind of chunk in it."""
    kept.graph.close()
    root = program.storage / "graphs" / "kept"
    forge = Forge(root)
    name, size = forge.pack([(kind, b"what is to come")])
    path = root / "packs" / name.hex()
    data = path.read_bytes()
    data = data[:8] + struct.pack("<H", version) + data[10:]
    path.unlink()
    name = hashlib.sha256(data).digest()
    (root / "packs" / name.hex()).write_bytes(data)
    forge.entry(REPACK, b"", [(name, size)])
    entries = sorted((root / "log").iterdir())
    for _ in range(2):
        (finding,) = program.json("verify", "kept", code=3)["findings"]
        assert finding["object"] == f"packs/{name.hex()}"
        assert "needs a newer version of this program: it is not damaged" in finding["message"]
    assert sorted((root / "log").iterdir()) == entries


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (b"{}", "no layout"),
        (b'{"layout": "tape"}', "layout 'tape'"),
        (b'{"layout": "plain", "workspace": "../x"}', "'../x' cannot be used"),
        (b'{"layout": "plain", "workspace": 7}', "workspace is 7"),
        (b"[]", "no JSON object"),
    ],
)
def test_a_snapshot_that_does_not_say_what_it_is_of_is_named(
    program: Program, tmp_path: Path, facts: bytes, said: str
) -> None:
    """Such a one is listed, and every chunk of it is right; only a restore would find out."""
    forge = Forge(program.storage / "graphs" / "odd")
    forge.snapshot("20260101T000000Z-00000001", b'{"layout": "plain"}')
    forge.snapshot("20260102T000000Z-00000002", facts)
    (finding,) = program.json("verify", "odd", "--level", "digests", code=3)["findings"]
    assert finding["object"] == "snapshot 20260102T000000Z-00000002" and said in finding["message"]
    assert program.json("verify", "odd", "20260101T000000Z-00000001", "--level", "digests")["findings"] == []
    code = 2 if "cannot be used" in said else 1
    assert said in program("restore", "odd", "20260102T000000Z-00000002", tmp_path / "back", code=code).err
