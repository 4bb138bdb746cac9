"""Repositories under the knife: flipping, exchanging and rewriting stored objects, and looking at what is left.

Works on files alone, with the layout of docs/format.md written once more, so that the code under test does not vouch
for itself.
"""

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lightrag_bkp import _bridge
from lightrag_bkp.errors import LightragBkpError

from .folders import Fingerprint, fingerprint

DIGESTS = 2
_PACK_FOOTER_BYTES, _PACK_ROW_BYTES, _DIGEST_BYTES = 64, 56, 32


@dataclass(frozen=True)
class Shelf:
    """One graph's repository on disk, closed, and what its newest snapshot holds."""

    storage: Path
    graph_id: str
    snapshot_id: str
    content: Fingerprint

    @property
    def root(self) -> Path:
        return self.storage / "graphs" / self.graph_id

    def log(self) -> list[Path]:
        return sorted((self.root / "log").iterdir())

    def packs(self) -> list[Path]:
        return sorted((self.root / "packs").iterdir())

    def objects(self) -> list[Path]:
        return [*self.log(), *self.packs()]

    def cache(self) -> list[Path]:
        return sorted((self.root / "cache").iterdir())

    def complaints(self) -> list[str]:
        """What opening and verifying every byte say against the repository, each with the object's name."""
        try:
            core = _bridge.run_blocking(_bridge.open_job(str(self.storage), self.graph_id, False))
        except LightragBkpError as error:
            return [f"{error.target}: {error}"]
        try:
            found, *_ = _bridge.run_blocking(_bridge.verify_job(core, None, DIGESTS, False))
        except LightragBkpError as error:
            return [f"{error.target}: {error}"]
        finally:
            core.close()
        return [f"{name}: {message}" for name, message in found]

    def restored(self, staging: Path) -> Fingerprint | None:
        """What a restore of the snapshot leaves in the new directory `staging`; None when it fails as it should."""
        staging.mkdir()
        descriptor = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
        try:
            core = _bridge.run_blocking(_bridge.open_job(str(self.storage), self.graph_id, False))
            try:
                plan = _bridge.run_blocking(_bridge.plan_job(core, self.snapshot_id))
                _bridge.run_blocking(_bridge.stage_job(core, plan, staging_dir=descriptor, durable=False))
            finally:
                core.close()
        except LightragBkpError:
            return None
        finally:
            os.close(descriptor)
        return fingerprint(staging)


def names(path: Path) -> str:
    """How messages name an object: "log/<number>" or "packs/<hex>"."""
    return f"{path.parent.name}/{path.name}"


@contextmanager
def writable(path: Path) -> Iterator[int]:
    """A descriptor for changing bytes in place; stored objects are read-only."""
    mode = path.stat().st_mode
    path.chmod(0o640)
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        path.chmod(mode)


def flips(path: Path) -> Iterator[int]:
    """Yields once per byte, with one bit of it flipped meanwhile, another bit each time."""
    content = path.read_bytes()
    with writable(path) as descriptor:
        for at, byte in enumerate(content):
            os.pwrite(descriptor, bytes([byte ^ 1 << at % 8]), at)
            yield at
            os.pwrite(descriptor, bytes([byte]), at)


@contextmanager
def replaced(path: Path, content: bytes | None) -> Iterator[None]:
    """The object holds `content` meanwhile, or is not there (None)."""
    aside = path.parent.parent / f"aside-{path.parent.name}-{path.name}"
    path.rename(aside)
    if content is not None:
        path.write_bytes(content)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        aside.rename(path)


def rewrite_entry(entry: Path, change: Callable[[bytearray], None]) -> None:
    """Changes a log entry and puts its digest right."""
    content = bytearray(entry.read_bytes()[:-_DIGEST_BYTES])
    change(content)
    _write_anew(entry, bytes(content) + hashlib.sha256(content).digest())


def rewrite_pack(shelf: Shelf, pack: Path, change: Callable[[bytearray], None]) -> Path:
    """Changes a pack and puts right whatever depends on its bytes: its trailer's digest, its name, the entry naming it.

    The entry must be the last one: no other follows it by its digest.
    """
    content = bytearray(pack.read_bytes())
    change(content)
    _seal_trailer(content)
    renamed = pack.with_name(hashlib.sha256(content).hexdigest())
    pack.unlink()
    renamed.write_bytes(content)
    old, new = bytes.fromhex(pack.name), bytes.fromhex(renamed.name)

    def name_it(entry: bytearray) -> None:
        assert entry.count(old) == 1
        at = entry.find(old)
        entry[at : at + _DIGEST_BYTES] = new

    rewrite_entry(shelf.log()[-1], name_it)
    for path in shelf.cache():
        path.unlink()
    return renamed


def row_at(pack: bytes | bytearray, number: int) -> int:
    """Where row `number` of a pack's trailer begins."""
    trailer_bytes: int = struct.unpack_from("<I", pack, len(pack) - _PACK_FOOTER_BYTES)[0]
    return len(pack) - _PACK_FOOTER_BYTES - trailer_bytes + number * _PACK_ROW_BYTES


def _seal_trailer(pack: bytearray) -> None:
    footer = len(pack) - _PACK_FOOTER_BYTES
    pack[footer + 16 : footer + 48] = hashlib.sha256(pack[row_at(pack, 0) : footer]).digest()


def _write_anew(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)
