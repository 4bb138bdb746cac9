"""Writes the repositories that every later version has to read: `python tests/compat/make_repositories.py`.

    tests/compat/repositories/<version>/manifest.json     passphrase, and per storage and graph: snapshot id -> items
                                       /open/graphs/...   a storage path that is not sealed
                                       /sealed/graphs/... the same with a passphrase

Two graphs in each. "kept": a small LightRAG directory and a plain one's oddities, three snapshots of which one was
dropped and pruned. "folded": a log of which only the newest checkpoint and what follows is left. What was written by a
version is never written again: the script refuses to replace it.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from support.folders import Fingerprint, fingerprint, write_odd_tree  # noqa: E402

from lightrag_bkp import __version__  # noqa: E402
from lightrag_bkp.sync import BackupManager, GraphBackup  # noqa: E402

PASSPHRASE = "kept for the compatibility tests"
CHECKPOINT_KIND = 10

Items = dict[str, list[Any]]
"""Name (surrogateescape) -> type, mode, mtime in ns, SHA-256 of the bytes or of the link's text."""


def described(found: Fingerprint) -> Items:
    """What a manifest says of a directory's content."""
    return {
        os.fsdecode(name): [kind, mode, mtime_ns, hashlib.sha256(content).hexdigest()]
        for name, (kind, mode, mtime_ns, content) in sorted(found.items())
    }


def take(graph: GraphBackup, source: Path) -> tuple[str, Items]:
    return graph.create_snapshot(source).backup_id, described(fingerprint(source))


def keep(storage: Path, work: Path, passphrase: str | None) -> dict[str, dict[str, Items]]:
    """Fills a storage path; returns what its manifest has to say."""
    source = work / "source"
    write_odd_tree(source)
    (source / "big").write_bytes(os.urandom(260_000))
    shutil.copytree(HERE / "directories" / "1.5.7", source / "copies" / "rag_storage")
    with BackupManager(storage, passphrase=passphrase) as manager:
        graph = manager.register_graph("kept")
        kept = dict([take(graph, source)])
        dropped, _ = take(graph, source)
        (source / "copies" / "rag_storage" / "vdb_entities.json").write_bytes(os.urandom(60_000))
        kept |= [take(graph, source)]
        graph.hold(dropped, "a fixture")
        graph.release(dropped, "a fixture")
        graph.delete_snapshot(dropped)
        graph.prune(wait_s=0)
        folded = manager.register_graph("folded")
        small = work / "small"
        small.mkdir()
        (small / "note").write_text("before the checkpoint")
        before = dict([take(folded, small)])
        held = next(iter(before))
        for _ in range(130):
            folded.hold(held, "one of many")
            folded.release(held, "one of many")
        folded.hold(held, "one who stays")
        (small / "note").write_text("behind the checkpoint")
        after = dict([take(folded, small)])
    trim(storage / "graphs" / "folded" / "log")
    for path in storage.glob("graphs/*/*"):
        if path.name not in ("log", "packs", "keys"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return {"kept": kept, "folded": before | after}


def trim(log: Path) -> None:
    """Removes the entries before the newest checkpoint."""
    paths = sorted(log.iterdir())
    newest = max(n for n, path in enumerate(paths) if path.read_bytes()[10] == CHECKPOINT_KIND)
    assert newest
    for path in paths[:newest]:
        path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes repositories for later versions to read.")
    parser.add_argument("version", nargs="?", default=__version__)
    place = HERE / "repositories" / parser.parse_args().version
    if place.exists():
        sys.exit(f"{place} is there, and what was written once stays: name another version")
    manifest: dict[str, Any] = {"passphrase": PASSPHRASE}
    for name, passphrase in (("open", None), ("sealed", PASSPHRASE)):
        with tempfile.TemporaryDirectory() as work:
            manifest[name] = keep(place / name, Path(work), passphrase)
    (place / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
