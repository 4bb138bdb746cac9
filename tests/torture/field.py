"""Where everything lies, what a directory holds, and how a state gets into a source directory."""

import ctypes
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.folders import fingerprint

from lightrag_bkp.sync import BackupManager

STORAGES = ("open", "sealed")
GRAPHS = ("rag", "folder")
"""Of each storage path: one of LightRAG, one of a plain directory."""
PLACES = tuple(f"{storage}/{graph}" for storage in STORAGES for graph in GRAPHS)
PASSPHRASE = "correct horse battery staple"
NOTHING = "nothing"
"""What a directory holds that is empty, or not there."""
TARGETS = 2
"""So many of each slot and graph."""


class Field:
    """The directory of a run.

    `ground` holds what the seam looks at: storage paths, sources, targets. What the oracle relies on lies outside.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ground = directory / "ground"
        self.states = directory / "states"
        self.trail = directory / "trail"
        self.contents = directory / "contents"
        self.tally = directory / "tally"
        self.said = directory / "said"
        self.copies = directory / "copies"
        self.key = directory / "key"

    def make(self) -> None:
        for path in (self.ground, self.states, self.trail, self.contents, self.tally, self.said, self.copies):
            path.mkdir(parents=True)
        self.key.touch(mode=0o600)
        self.key.write_bytes(os.urandom(32))

    def storage(self, place: str) -> Path:
        return self.ground / place.split("/")[0]

    def repository(self, place: str) -> Path:
        return self.storage(place) / "graphs" / place.split("/")[1]

    def source(self, slot: int, place: str) -> Path:
        return self.ground / f"slot{slot}" / place / "source"

    def target(self, slot: int, place: str, number: int) -> Path:
        return self.ground / f"slot{slot}" / place / f"target{number}"

    def targets(self, place: str) -> Iterator[Path]:
        """Those of all slots, whether they are there or not."""
        for slot in self.ground.glob("slot*"):
            yield from (slot / place / f"target{number}" for number in range(TARGETS))

    def manager(self, storage: str, below: Path | None = None, *, by_passphrase: bool = False) -> BackupManager:
        """Opens a storage path, of the ground or of a copy."""
        path = (below or self.ground) / storage
        if storage != "sealed":
            return BackupManager(path)
        return BackupManager(path, passphrase=PASSPHRASE) if by_passphrase else BackupManager(path, key_file=self.key)

    def master_key(self, place: str) -> bytes | None:
        return self.key.read_bytes() if place.startswith("sealed") else None

    def content(self, place: str, directory: Path) -> str:
        """The name of what a directory holds; the list itself (type, mode, time and SHA-256 of every name) is kept.

        Of a graph without the times: a file of a target whose bytes are the same stays as it is.
        """
        if not directory.is_dir():
            return NOTHING
        rows = {os.fsdecode(name): row for name, row in fingerprint(directory).items()}
        if not rows:
            return NOTHING
        timed = place.endswith("folder")
        listed = {
            name: [kind, mode, mtime_ns if timed else 0, len(content), hashlib.sha256(content).hexdigest()]
            for name, (kind, mode, mtime_ns, content) in sorted(rows.items())
        }
        text = json.dumps(listed, indent=0)
        name = hashlib.sha256(text.encode()).hexdigest()
        path = self.contents / f"{name}.json"
        if not path.exists():
            fresh = path.with_suffix(f".{os.getpid()}")
            fresh.write_text(text)
            fresh.replace(path)
        return name


@contextmanager
def aside() -> Iterator[None]:
    """The seam, if it is loaded, leaves this thread alone meanwhile."""
    loaded = ctypes.CDLL(None)
    seam = hasattr(loaded, "seam_rest")
    if seam:
        loaded.seam_rest()
    try:
        yield
    finally:
        if seam:
            loaded.seam_wake()


def put(state: Path, directory: Path, *, rewrite: bool) -> None:
    """Makes a directory hold a state, as LightRAG writes: each file anew under another name, which then replaces it.
    What is equal already stays as it is, unless `rewrite`.

    Raises:
        FileNotFoundError: the state is gone.
    """
    directory.mkdir(parents=True, exist_ok=True)
    wanted = {path.name: path.read_bytes() for path in state.iterdir() if path.is_file()}
    for path in directory.iterdir():
        if path.name not in wanted:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name, content in wanted.items():
        path = directory / name
        if rewrite or not path.is_file() or path.read_bytes() != content:
            fresh = directory / f"{name}.fresh"
            fresh.write_bytes(content)
            fresh.replace(path)


def remove(directory: Path, trash: Path) -> None:
    """Takes a directory away at once; `trash` is a name beside it that nobody uses."""
    if directory.exists():
        directory.rename(trash)
        shutil.rmtree(trash)
