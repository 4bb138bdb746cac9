"""docs/format.md is enough: a second reader, written from that page alone, takes a repository apart and back together.

It uses none of the package's code and checks whatever the page says about bytes: magics, reserved zeros, digests, the
chain, ids, tiling, order.
"""

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zstandard

from lightrag_bkp.sync import BackupManager, GraphBackup

Fields = list[tuple[int, bytes]]

RAW, RECIPE, BODY, PAYLOAD = 1, 32, 33, 34
SNAPSHOT, HOLD, RELEASE, DROP, CHECKPOINT = 1, 2, 3, 4, 10
FACTS, ITEM, SKIPPED = 1, 2, 3
FILE, DIRECTORY, SYMLINK = 1, 2, 3


def split_fields(data: bytes) -> Fields:
    found, at = [], 0
    while at < len(data):
        tag, length = struct.unpack_from("<HI", data, at)
        found.append((tag, data[at + 6 : at + 6 + length]))
        assert len(found[-1][1]) == length
        at += 6 + length
    return found


def number(value: bytes) -> int:
    return int.from_bytes(value, "little")


@dataclass
class Entry:
    """One file of the log."""

    kind: int
    repository_id: bytes
    packs: dict[bytes, int]
    fields: Fields


def read_entry(path: Path, graph_id: str, previous: bytes) -> Entry:
    data = path.read_bytes()
    magic, version, kind, seal, zeros, repository_id, found_number, _epoch, _nonce, _time = struct.unpack_from(
        "<8sHHB3s16sQQ16sq", data
    )
    chain, salt, name_length, zeros2, packs, payload_length, zeros3 = struct.unpack_from("<32s32sH2sII4s", data, 72)
    assert (magic, version, seal, found_number) == (b"lrblog01", 1, 0, int(path.name))
    assert (chain, salt) == (previous, bytes(32))
    assert not any(zeros + zeros2 + zeros3)
    assert data[152 : 152 + name_length] == graph_id.encode()
    at = 152 + name_length
    pack_list = {data[n : n + 32]: number(data[n + 32 : n + 40]) for n in range(at, at + 40 * packs, 40)}
    at += 40 * packs
    assert data[at + payload_length :] == hashlib.sha256(data[:-32]).digest()
    return Entry(kind, repository_id, pack_list, split_fields(data[at : at + payload_length]))


@dataclass
class Log:
    """What the entries from `first` on add up to: snapshot id -> its fields, and who holds it."""

    directory: Path
    first: int = 0
    snapshots: dict[bytes, dict[int, bytes]] = field(default_factory=dict)
    holders: dict[bytes, set[bytes]] = field(default_factory=dict)
    kinds: list[int] = field(default_factory=list)
    repository_id: bytes = b""

    def __post_init__(self) -> None:
        names = sorted(path.name for path in self.directory.iterdir())
        assert names == [f"{n:020}" for n in range(len(names))]
        previous = bytes(32)
        for name in names:
            path = self.directory / name
            entry = read_entry(path, self.directory.parent.name, previous)
            previous = hashlib.sha256(path.read_bytes()).digest()
            self.repository_id = self.repository_id or entry.repository_id
            assert entry.repository_id == self.repository_id
            if int(name) >= self.first:
                self._apply(entry)
            self.kinds.append(entry.kind)

    def _apply(self, entry: Entry) -> None:
        fields = dict(entry.fields)
        if entry.kind == SNAPSHOT:
            self.snapshots[fields[1]] = fields
        elif entry.kind == HOLD:
            self.holders.setdefault(fields[16], set()).add(fields[17])
        elif entry.kind == RELEASE:
            self.holders.get(fields[16], set()).discard(fields[17])
        elif entry.kind == DROP:
            for tag, snapshot_id in entry.fields:
                if tag == 16 and not self.holders.get(snapshot_id):
                    self.snapshots.pop(snapshot_id, None)
        elif entry.kind == CHECKPOINT and not self.snapshots:
            self._begin(entry)

    def _begin(self, checkpoint: Entry) -> None:
        for tag, value in checkpoint.fields:
            if tag != 33:
                continue
            nested = split_fields(value)
            snapshot = dict(nested)
            self.snapshots[snapshot[1]] = snapshot
            self.holders[snapshot[1]] = {holder for nested_tag, holder in nested if nested_tag == 17}


class Packs:
    """All chunks of a repository, by id."""

    def __init__(self, directory: Path, repository_id: bytes) -> None:
        self._chunks: dict[bytes, tuple[int, bytes]] = {}
        for path in directory.iterdir():
            self._read(path, repository_id)

    def _read(self, path: Path, repository_id: bytes) -> None:
        data = path.read_bytes()
        assert hashlib.sha256(data).hexdigest() == path.name
        assert data[:32] == struct.pack("<8sHB5s16s", b"lrbpack1", 1, 0, bytes(5), repository_id)
        trailer_length, rows, length, digest, zeros, magic = struct.unpack("<IIQ32s8s8s", data[-64:])
        trailer = data[-64 - trailer_length : -64]
        assert (length, zeros, magic) == (len(data), bytes(8), b"lrbpend1")
        assert hashlib.sha256(trailer).digest() == digest
        assert len(trailer) == 56 * rows
        expected = 64
        for at in range(0, len(trailer), 56):
            chunk_id, offset, stored, content, dim, kind, codec, pad = struct.unpack_from("<32sIIIIBB6s", trailer, at)
            assert (offset, dim, pad) == (expected, 0, bytes(6))
            expected += stored
            plain = data[offset : offset + stored]
            if codec == 1:
                assert zstandard.frame_content_size(plain) == content
                plain = zstandard.decompress(plain)
            assert codec in (0, 1) and len(plain) == content
            framed = b"lrb1" + struct.pack("<B3sIQ", kind, bytes(3), dim, content) + plain
            assert hashlib.sha256(framed).digest() == chunk_id
            self._chunks[chunk_id] = kind, plain
        assert expected == len(data) - 64 - trailer_length

    def kinds(self) -> set[int]:
        return {kind for kind, _ in self._chunks.values()}

    def of_kind(self, wanted: int) -> list[bytes]:
        return [content for kind, content in self._chunks.values() if kind == wanted]

    def stream(self, row: bytes) -> Iterator[bytes]:
        """The content of all data chunks below a row, in order."""
        chunk_id, kind, zeros, count = struct.unpack("<32sB3sI", row)
        assert zeros == bytes(3)
        if kind == 0:
            assert row == bytes(40)
            return
        stored_kind, content = self._chunks[chunk_id]
        assert stored_kind == kind
        if kind != RECIPE:
            assert len(content) == count
            yield content
            return
        assert len(content) == 40 * count and 1 <= count <= 512
        for at in range(0, len(content), 40):
            yield from self.stream(content[at : at + 40])


def read_body(packs: Packs, root: bytes) -> dict[int, list[bytes]]:
    """The values of all records, by type; the types come in order."""
    data = b"".join(packs.stream(root))
    records: dict[int, list[bytes]] = {FACTS: [], ITEM: [], SKIPPED: []}
    at, last = 0, FACTS
    while at < len(data):
        kind, zeros, length = struct.unpack_from("<B3sI", data, at)
        assert zeros == bytes(3) and kind >= last
        records[kind].append(data[at + 8 : at + 8 + length])
        at, last = at + 8 + length, kind
    assert len(records[FACTS]) == 1
    return records


def restore_by_hand(repository: Path, snapshot_id: str, target: Path) -> None:
    """Writes a snapshot's items below `target`, and compares every digest on the way."""
    log = Log(repository / "log")
    packs = Packs(repository / "packs", log.repository_id)
    snapshot = log.snapshots[snapshot_id.encode()]
    records = read_body(packs, snapshot[8])
    names, total, data_hash = [], 0, hashlib.sha256()
    for item in map(dict, map(split_fields, records[ITEM])):
        name, kind = item[48], number(item[49])
        names.append(name)
        content = write_item(packs, os.path.join(os.fsencode(target), name), item)
        if kind == DIRECTORY:
            assert not item.keys() & {3, 52, 53, 54}
            continue
        assert (number(item[3]), item[52]) == (len(content), hashlib.sha256(content).digest())
        data_hash.update(struct.pack("<I", len(name)) + name + item[3] + item[52])
        total += len(content)
    assert names == sorted(names)
    assert (number(snapshot[9]), number(snapshot[3]), snapshot[4]) == (len(names), total, data_hash.digest())


def write_item(packs: Packs, path: bytes, item: dict[int, bytes]) -> bytes:
    """Makes one item and returns its bytes: those of a file, the text of a link."""
    kind = number(item[49])
    if kind == DIRECTORY:
        os.mkdir(path)
        return b""
    if kind == SYMLINK:
        os.symlink(item[54], path)
        return item[54]
    assert kind == FILE
    content = b"".join(packs.stream(item[53]))
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, number(item[50]))
    os.utime(path, ns=(0, number(item[51])))
    return content


def content_of(directory: Path) -> dict[str, bytes | str]:
    paths = [path for path in directory.rglob("*") if path.is_symlink() or path.is_file()]
    return {
        str(path.relative_to(directory)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in paths
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plain directory with a file of many chunks, text, nothing, a link and a fifo."""
    directory = tmp_path / "folder"
    (directory / "deep" / "er").mkdir(parents=True)
    (directory / "big").write_bytes(os.urandom(12 << 20))
    (directory / "deep" / "text").write_text("the same again and again\n" * 40_000)
    (directory / "deep" / "empty").touch()
    (directory / "link").symlink_to("deep/text")
    os.mkfifo(directory / "fifo")
    return directory


@pytest.fixture
def graph(tmp_path: Path, folder: Path) -> GraphBackup:
    return BackupManager(tmp_path / "storage").register_graph("kept", folder)


def test_a_repository_is_read_by_the_page_alone(tmp_path: Path, graph: GraphBackup, folder: Path) -> None:
    snapshot = graph.create_snapshot(metadata={"why": "page"})
    repository = tmp_path / "storage" / "graphs" / "kept"
    (tmp_path / "by hand").mkdir()
    restore_by_hand(repository, snapshot.backup_id, tmp_path / "by hand")

    assert content_of(tmp_path / "by hand") == content_of(folder)
    log = Log(repository / "log")
    packs = Packs(repository / "packs", log.repository_id)
    assert packs.kinds() == {RAW, RECIPE, BODY, PAYLOAD}
    fields = log.snapshots[snapshot.backup_id.encode()]
    assert fields[4].hex() == snapshot.data_hash
    assert [dict(split_fields(payload)) for payload in packs.of_kind(PAYLOAD)] == [fields]
    (skipped,) = map(dict, map(split_fields, read_body(packs, fields[8])[SKIPPED]))
    assert skipped[48] == b"fifo" and skipped[18]


def test_a_log_is_followed_from_its_start_and_from_a_checkpoint(
    tmp_path: Path, graph: GraphBackup, folder: Path
) -> None:
    (folder / "big").unlink()
    kept, dropped = graph.create_snapshot().backup_id, graph.create_snapshot().backup_id
    graph.delete_snapshot(dropped)
    graph.hold(kept, "the page")
    directory = tmp_path / "storage" / "graphs" / "kept" / "log"
    while CHECKPOINT not in (whole := Log(directory)).kinds[1:]:
        for _ in range(40):
            graph.hold(kept)
            graph.release(kept)

    later = Log(directory, first=len(whole.kinds) - 1 - whole.kinds[::-1].index(CHECKPOINT))
    for log in (whole, later):
        assert list(log.snapshots) == [kept.encode()]
        assert log.holders[kept.encode()] == {b"the page"}
