"""Restores a snapshot without lightrag-bkp: a reader written from docs/format.md alone.

    python reader.py <storage>/graphs/<graph id> SNAPSHOT|latest TARGET [--passphrase-file FILE | --key-file FILE]

Needs the packages `zstandard` and `cryptography`, and of this project only `reader_vectors.py`. It checks what the page
says about bytes: magics, versions, zeros, digests, MACs, the chain, ids, tiling, order; each item against its SHA-256.
"""

import argparse
import hashlib
import hmac
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import reader_vectors as vectors
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from reader_vectors import require

NONE, RAW, RECIPE, BODY, ROWS = 0, 1, 32, 33, 2**32 - 1  # kinds of chunks; the number that seals a pack's rows
SNAPSHOT, HOLD, RELEASE, DROP, CHECKPOINT = 1, 2, 3, 4, 10
FACTS, ITEM, SKIPPED, FILE, DIRECTORY, SYMLINK = 1, 2, 3, 1, 2, 3


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def number(value: bytes) -> int:
    return int.from_bytes(value, "little")


def split_fields(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        tag, length = struct.unpack_from("<HI", data, at)
        found.append((tag, data[at + 6 : at + 6 + length]))
        require(len(found[-1][1]) == length, "a field")
        at += 6 + length
    return found


def derive(master: bytes, salt: bytes | None, info: bytes) -> bytes:
    return hmac.digest(hmac.digest(salt or bytes(32), master, "sha256"), info + b"\1", "sha256")


class Seal:  # the keys of one repository; without a master key it is not sealed
    def __init__(self, master: bytes | None, graph_id: str) -> None:
        self.master, self.number, self.graph_id = master, int(master is not None), graph_id.encode()
        self.repository_id = b""  # known once the first entry is read

    def key(self, purpose: bytes, salt: bytes | None = None) -> bytes:
        return derive(self.master or b"", salt, b"lightrag-bkp " + purpose + b"\0" + self.repository_id)

    def open(self, purpose: bytes, salt: bytes, ordinal: int, data: bytes, associated: bytes) -> bytes:
        cipher = AESGCM(self.key(purpose, salt))
        return cipher.decrypt(struct.pack("<I8x", ordinal), data, associated) if self.number else data

    def digest(self, purpose: bytes, data: bytes) -> bytes:
        return hmac.digest(self.key(purpose), data, "sha256") if self.number else sha256(data)


def key_of(text: bytes) -> bytes:  # in a key file, or in a recovery kit
    lines = [b""] if len(text) == 32 else text.lower().split(b"\n")
    kit = b"".join(b"".join(line.split()) for line in lines if not line.lstrip().startswith(b"#")).decode()
    key = bytes.fromhex(kit[7:-8]) or text
    require(key == text or (kit[:7], kit[-8:]) == ("lrbkey1", sha256(b"lrbkey1" + key).hex()[:8]), "the recovery kit")
    return key


def master_key(keys: Path, passphrase: bytes) -> bytes:
    slots, work = {path: path.read_bytes().ljust(208) for path in sorted(keys.iterdir())}, 1 << 25
    gone = {slot[16:32]: slot for slot in slots.values() if slot[10] == 3}
    for _, _, slot, path in sorted((x[16:32] in gone, x[12] * x[13] << (x[11] & 63), x, at) for at, x in slots.items()):
        log2_n, r, p = slot[11:14]
        work -= r * p << log2_n  # nothing for other kinds
        require(slot[:10] == b"lrbkey01\1\0" and sha256(slot[:176]) == slot[176:], path)
        require(log2_n <= 20 and r <= 32 and p <= 16 and 128 * r << log2_n <= 256 << 20, path)
        if slot[10] != 1 or work < 0:
            continue
        with suppress(InvalidTag):
            key = hashlib.scrypt(passphrase, salt=slot[64:96], n=1 << log2_n, r=r, p=p, maxmem=512 << 20, dklen=32)
            master = AESGCM(key).decrypt(bytes(12), slot[96:144], slot[:96])
            mac_key = derive(master, None, b"lightrag-bkp slot")
            genuine = [one for one in slots.values() if hmac.digest(mac_key, one[:144], "sha256") == one[144:176]]
            require(derive(master, None, b"lightrag-bkp key id")[:16] == slot[32:48] and slot in genuine, path)
            if gone.get(slot[16:32]) not in genuine:
                return master
    raise ValueError("no key slot is opened by this passphrase")


class Log:  # what the entries add up to: the snapshots, in order, each as its fields, and who holds them
    def __init__(self, directory: Path, seal: Seal) -> None:
        self.snapshots: dict[bytes, dict[int, bytes]] = {}
        self.holders: dict[bytes, set[bytes]] = {}
        self.kinds: list[int] = []
        paths, previous = sorted(directory.iterdir()), b""
        for expected, path in enumerate(paths, int(paths[0].name)):
            require(path.name == f"{expected:020}", path)
            data = path.read_bytes()
            self._apply(*self._read(path, data, seal, previous))
            previous = sha256(data)

    def _read(self, path: Path, data: bytes, seal: Seal, previous: bytes) -> tuple[int, list[tuple[int, bytes]]]:
        magic, version, kind, sealed, zeros, repository, entry = struct.unpack_from("<8sHHB3s16sQ", data)
        chain, salt, name_length, zeros2, packs, length, zeros3 = struct.unpack_from("<32s32sH2sII4s", data, 72)
        seal.repository_id = seal.repository_id or repository
        at = 152 + name_length + 40 * packs
        if sealed and not seal.number:
            raise ValueError("the repository is sealed: name its --passphrase-file or --key-file")
        require((magic, version, entry, repository) == (b"lrblog01", 1, int(path.name), seal.repository_id), path)
        require(sealed == seal.number and any(salt) == bool(sealed) and not any(zeros + zeros2 + zeros3), path)
        require(chain == previous or (not previous and (entry or not any(chain))), path)
        require(data[152 : 152 + name_length] == seal.graph_id and len(data) == at + length + 32, path)
        require(seal.digest(b"mac", data[:-32]) == data[-32:], path)
        return kind, split_fields(seal.open(b"entry", salt, 0, data[at:-32], data[:at]))

    def _apply(self, kind: int, fields: list[tuple[int, bytes]]) -> None:
        one = dict(fields)
        if kind == SNAPSHOT:
            self.snapshots[one[1]] = one
        elif kind == HOLD:
            self.holders.setdefault(one[16], set()).add(one[17])
        elif kind == RELEASE:
            self.holders.get(one[16], set()).discard(one[17])
        elif kind == DROP:
            for tag, snapshot in fields:
                if tag == 16 and not self.holders.get(snapshot):
                    self.snapshots.pop(snapshot, None)
        elif kind == CHECKPOINT and not self.kinds:  # later ones repeat what is known
            for nested in (split_fields(value) for tag, value in fields if tag == 33):
                self.snapshots[dict(nested)[1]] = dict(nested)
                self.holders[dict(nested)[1]] = {value for tag, value in nested if tag == 17}
        self.kinds.append(kind)


class Packs:  # all chunks of a repository, by id: where each lies, and its content
    def __init__(self, directory: Path, seal: Seal) -> None:
        self.seal = seal
        self.rows: dict[bytes, tuple[Path, int, bytes]] = {}
        for path in sorted(directory.iterdir()):
            self._read(path, path.read_bytes())

    def _read(self, path: Path, data: bytes) -> None:
        trailer_length, count, length, digest, zeros, magic = struct.unpack("<IIQ32s8s8s", data[-64:])
        end = len(data) - 64 - trailer_length
        head = struct.pack("<8sHB5x16s", b"lrbpack1", 1, self.seal.number, self.seal.repository_id)
        require(data[:32] == head and (length, zeros, magic) == (len(data), bytes(8), b"lrbpend1"), path)
        require((sha256(data).hex(), sha256(data[end:-64])) == (path.name, digest), path)
        about = data[:64] + struct.pack("<II", ROWS, count) + self.seal.graph_id
        trailer, expected = self.seal.open(b"pack", data[32:64], ROWS, data[end:-64], about), 64
        for ordinal in range(count):
            row = trailer[56 * ordinal : 56 * (ordinal + 1)]
            offset, stored = struct.unpack_from("<II", row, 32)
            require(offset == expected and not any(row[50:]), path)
            self.rows[row[:32]] = path, ordinal, row
            expected += stored
        require(expected == end and len(trailer) == 56 * count, path)

    def chunk(self, name: bytes) -> tuple[int, bytes]:
        require(name in self.rows, f"chunk {name.hex()}")
        path, ordinal, row = self.rows[name]
        offset, stored, length, dim, kind, codec = struct.unpack_from("<IIIIBB", row, 32)
        with path.open("rb") as file:
            head, _, content = file.read(64), file.seek(offset), file.read(stored)
        about = head + struct.pack("<I", ordinal) + row + self.seal.graph_id
        content = self.seal.open(b"pack", head[32:], ordinal, content, about)
        content = vectors.plain(content, codec, kind, dim)
        framed = b"lrb1" + struct.pack("<B3xIQ", kind, dim, length) + content
        require(len(content) == length and self.seal.digest(b"id", framed) == name, f"chunk {name.hex()}")
        return kind, content

    def pieces(self, row: bytes) -> Iterator[vectors.Piece]:
        name, kind, zeros, count = struct.unpack("<32sB3sI", row)
        found, content = self.chunk(name) if kind != NONE else (NONE, b"")
        length = {NONE: 0, RAW: count, BODY: count, RECIPE: 40 * count}.get(kind, len(content))
        require((found, zeros, len(content)) == (kind, bytes(3), length), f"a row of kind {kind}")
        if kind == RECIPE:
            for at in range(0, len(content), 40):
                yield from self.pieces(content[at : at + 40])
        else:
            yield kind, count, content

    def stream(self, row: bytes) -> Iterator[bytes]:
        return vectors.joined(self.pieces(row), plain=(NONE, RAW, BODY))

    def body(self, root: bytes) -> dict[int, list[bytes]]:  # the values of all records, by type
        data, at, last = b"".join(self.stream(root)), 0, FACTS
        records: dict[int, list[bytes]] = {FACTS: [], ITEM: [], SKIPPED: []}
        while at < len(data):
            kind, zeros, length = struct.unpack_from("<B3sI", data, at)
            require(zeros == bytes(3) and kind in records and kind >= last, "a record")
            records[kind].append(data[at + 8 : at + 8 + length])
            at, last = at + 8 + length, kind
        require(len(records[FACTS]) == 1, "the body")
        return records


def write_item(packs: Packs, path: bytes, item: dict[int, bytes]) -> None:
    if number(item[49]) == DIRECTORY:
        return os.mkdir(path)
    digest, size = hashlib.sha256(item.get(54, b"")), len(item.get(54, b""))
    if number(item[49]) == SYMLINK:
        os.symlink(item[54], path)
    else:
        with open(path, "xb") as file:
            for content in packs.stream(item[53]):
                digest.update(content)
                size += file.write(content)
    require((number(item[3]), item[52]) == (size, digest.digest()), path)


def restore(repository: Path, snapshot_id: str, target: Path, master: bytes | None = None) -> None:  # makes `target`
    seal, data_hash = Seal(master, repository.name), hashlib.sha256()
    log = Log(repository / "log", seal).snapshots
    snapshot = log[snapshot_id.encode()] if snapshot_id != "latest" else [x for x in log.values() if 11 not in x][-1]
    packs = Packs(repository / "packs", seal)
    items = {one[48]: one for one in map(dict, map(split_fields, packs.body(snapshot[8])[ITEM]))}
    require(list(items) == sorted(items) and len(items) == number(snapshot[9]), "the list of items")
    os.mkdir(target)
    for name, item in items.items():
        require(not {b"", b".", b".."} & set(name.split(b"/")) and item[49] in (b"\1", b"\2", b"\3"), name)
        write_item(packs, os.path.join(os.fsencode(target), name), item)
        if number(item[49]) != DIRECTORY:
            data_hash.update(struct.pack("<I", len(name)) + name + item[3] + item[52])
    for name, item in reversed(items.items()):
        if number(item[49]) != SYMLINK:
            os.chmod(os.path.join(os.fsencode(target), name), number(item[50]))
        os.utime(os.path.join(os.fsencode(target), name), ns=(number(item[51]),) * 2, follow_symlinks=False)
    require(data_hash.digest() == snapshot[4], "the data hash")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Restores a snapshot of lightrag-bkp without it.")
    for name in ("repository", "snapshot", "target", "--passphrase-file", "--key-file"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    try:
        master = key_of(given.key_file.read_bytes()) if given.key_file else None
        if given.passphrase_file:
            master = master_key(given.repository / "keys", given.passphrase_file.read_bytes().rstrip(b"\r\n"))
        restore(given.repository, str(given.snapshot), given.target, master)
    except (ValueError, InvalidTag) as error:
        sys.exit(str(error) or "something sealed is damaged, or the key is another")
