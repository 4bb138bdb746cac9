"""Objects of a repository written by hand, from docs/format.md alone: what no run of the program would write so soon.

Packs of a million chunks, logs of any shape. None of the package's code has a part in it.
"""

import hashlib
import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

SNAPSHOT, HOLD, RELEASE, DROP, RETIRE, UNRETIRE, SWEEP, REPACK, DAMAGED, CHECKPOINT = range(1, 11)
SNAPSHOT_ID, SNAPSHOT_REF, HOLDER, PACK_REF = 1, 16, 17, 24
RAW, BODY = 1, 33

Chunk = tuple[int, bytes]
"""Kind and content."""


def fields(pairs: Iterable[tuple[int, bytes]]) -> bytes:
    """Tagged fields, one after another."""
    return b"".join(struct.pack("<HI", tag, len(value)) + value for tag, value in pairs)


def restamped(repository: Path, at: datetime) -> None:
    """Makes the newest entry of an unsealed log a snapshot of another time, as a host with a wrong clock writes it."""
    newest = max((repository / "log").iterdir())
    tag = struct.pack("<HI", 2, 8)
    head, _, rest = newest.read_bytes().partition(tag)
    content = head + tag + struct.pack("<q", int(at.timestamp()) * 10**9) + rest[8:-32]
    newest.chmod(0o640)
    newest.write_bytes(content + hashlib.sha256(content).digest())
    shutil.rmtree(repository / "cache", ignore_errors=True)


def chunk_id(kind: int, content: bytes) -> bytes:
    """The id of a chunk that is no vector."""
    return hashlib.sha256(b"lrb1" + struct.pack("<B3xIQ", kind, 0, len(content)) + content).digest()


def read_last(log: Path) -> tuple[int, bytes, bytes]:
    """Number and digest of a log's newest entry, and the repository's id."""
    newest = max(log.iterdir())
    data = newest.read_bytes()
    return int(newest.name), hashlib.sha256(data).digest(), data[16:32]


@dataclass
class Forge:
    """Appends to one repository, from an empty directory on or behind what is there.

    Attributes:
        directory: `<storage>/graphs/<graph_id>`. number: of the newest entry, -1 when there is none.
    """

    directory: Path
    number: int = -1
    repository_id: bytes = b""
    _previous: bytes = field(default=bytes(32), repr=False)

    def __post_init__(self) -> None:
        for name in ("log", "packs"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        if any((self.directory / "log").iterdir()):
            self.number, self._previous, self.repository_id = read_last(self.directory / "log")
        else:
            self.repository_id = os.urandom(16)
            self.entry(CHECKPOINT, fields([(32, bytes(8))]))

    def entry(
        self, kind: int, payload: bytes = b"", packs: Iterable[tuple[bytes, int]] = (), *, time_ns: int = 0
    ) -> int:
        """Appends an entry that names packs (id, size in bytes) as written; returns its number."""
        self.number += 1
        graph_id = self.directory.name.encode()
        listed = b"".join(name + struct.pack("<Q", size) for name, size in packs)
        head = struct.pack(
            "<8sHHB3x16sQQ16sq32s32xH2xII4x", b"lrblog01", 1, kind, 0, self.repository_id, self.number, 0,
            os.urandom(16), time_ns, self._previous, len(graph_id), len(listed) // 40, len(payload),
        )  # fmt: skip
        data = head + graph_id + listed + payload
        data += hashlib.sha256(data).digest()
        self._previous = hashlib.sha256(data).digest()
        (self.directory / "log" / f"{self.number:020}").write_bytes(data)
        return self.number

    def snapshot(self, snapshot_id: str, facts: bytes) -> None:
        """One of no items, whose body is these facts."""
        body = struct.pack("<B3xI", 1, len(facts)) + facts
        root = chunk_id(BODY, body) + struct.pack("<B3xI", BODY, len(body))
        said = {
            1: snapshot_id.encode(),
            2: bytes(8),
            3: bytes(8),
            4: hashlib.sha256().digest(),
            5: b"plain",
            7: bytes(4),
            8: root,
            9: bytes(8),
        }
        self.entry(SNAPSHOT, fields(said.items()), [self.pack([(BODY, body)])])

    def pack(self, chunks: Iterable[Chunk]) -> tuple[bytes, int]:
        """Writes a pack of chunks stored as they are; returns its id and size."""
        head, rows, contents = self._pack_header(), [], []
        offset = len(head)
        for kind, content in chunks:
            rows.append(_row(chunk_id(kind, content), offset, len(content), kind))
            contents.append(content)
            offset += len(content)
        data = b"".join([head, *contents, *_trailer(rows, offset)])
        name = hashlib.sha256(data).digest()
        (self.directory / "packs" / name.hex()).write_bytes(data)
        return name, len(data)

    def hollow_pack(self, ids: Iterable[bytes], length: int) -> tuple[bytes, int]:
        """A pack whose chunks of `length` bytes each are one hole, under a random name: enough for readers of
        trailers, and no larger on disk than those.
        """
        head, name = self._pack_header(), os.urandom(32)
        rows = [_row(one, len(head) + n * length, length, RAW) for n, one in enumerate(ids)]
        end = len(head) + len(rows) * length
        with open(self.directory / "packs" / name.hex(), "wb") as file:
            file.write(head)
            file.seek(end)
            file.writelines(_trailer(rows, end))
            return name, file.tell()

    def _pack_header(self) -> bytes:
        return struct.pack("<8sHB5x16s32s", b"lrbpack1", 1, 0, self.repository_id, os.urandom(32))


def _row(name: bytes, offset: int, length: int, kind: int) -> bytes:
    return struct.pack("<32sIIIIBB6x", name, offset, length, length, 0, kind, 0)


def _trailer(rows: list[bytes], end: int) -> Iterator[bytes]:
    trailer = b"".join(rows)
    yield trailer
    yield struct.pack(
        "<IIQ32s8x8s", len(trailer), len(rows), end + len(trailer) + 64, hashlib.sha256(trailer).digest(), b"lrbpend1"
    )
