"""Restores over mount points: a file system or a single file that is mounted below the target is refused before
anything changes, and a restore that got stuck at one says how it ends.

Everything happens in a mount namespace of a process of its own.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.trouble import PRELUDE, environment, mounting

HERE = """
import os, subprocess

STORES = ("kv_store_text_chunks.json", "vdb_entities.json", "vdb_relationships.json", "vdb_chunks.json",
          "graph_chunk_entity_relation.graphml")
root = Path(sys.argv[1])
target = root / "target"

def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)

def mount_files(place):
    place.mkdir(parents=True)
    mount("-t", "tmpfs", "none", place)
    (place / "photo").write_text("the only one")

def contents(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}

def write(directory, text, names):
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)

def manager():
    return BackupManager(root / "storage")

def refused(graph, snapshot, place, **more):
    before, beside = contents(target), set(os.listdir(root))
    for dry_run in (True, False):
        try:
            graph.restore(snapshot.backup_id, target, dry_run=dry_run, **more)
        except errors.UnsupportedError as error:
            assert str(error).startswith(f"{place}: it is a mount point"), error
            assert "unmount it, or restore to another directory" in str(error), error
        else:
            raise AssertionError(f"not refused, dry run: {dry_run}")
    assert contents(target) == before and set(os.listdir(root)) == beside, "changed or left something"
    assert len(graph.list_snapshots()) == 1, "a safety snapshot of what is refused"
"""

PLAIN = """
source, place = root / "source", target / sys.argv[2]
write(source, "as it was", ["notes", "deep/letter"])
write(target, "newer", ["notes", "deep/letter"])
mount_files(place)
graph = manager().register_graph("plain", source)
snapshot = graph.create_snapshot()
refused(graph, snapshot, place)
assert (place / "photo").read_text() == "the only one"
subprocess.run(["umount", place], check=True)
graph.restore(snapshot.backup_id, target)
assert contents(target) == contents(source)
"""

ONE_FILE = """
write(target, "as it was", STORES)
if sys.argv[2] == "item by item":
    write(target, "of another workspace", ["other/kv_store_text_chunks.json"])
graph = manager().register_graph("g", target)
snapshot = graph.create_snapshot(partial=True)
write(target, "newer", STORES)
elsewhere = root / "elsewhere"
elsewhere.write_text("mounted")
mount("--bind", elsewhere, target / "vdb_chunks.json")
refused(graph, snapshot, target / "vdb_chunks.json", allow_unusable=True)
assert elsewhere.read_text() == "mounted"
"""

FOREIGN = """
write(target, "as it was", STORES)
graph = manager().register_graph("g", target)
snapshot = graph.create_snapshot(partial=True)
write(target, "newer", STORES)
mount_files(target / "inputs")
(target / "config.ini").touch()
(root / "elsewhere").write_text("mounted")
mount("--bind", root / "elsewhere", target / "config.ini")
graph.restore(snapshot.backup_id, target, allow_unusable=True)
assert {(target / name).read_text() for name in STORES} == {"as it was"}
assert (target / "inputs" / "photo").read_text() == "the only one"
assert (target / "config.ini").read_text() == "mounted"
assert not [name for name in os.listdir(target) if name.startswith(".lrb")]
"""

STUCK = """
import signal
from lightrag_bkp import _bridge

write(target, "as it was", STORES)
graph = manager().register_graph("g", target)
snapshot = graph.create_snapshot(partial=True)
marker, at = target / ".lrb_restore.swap", 0
while not marker.exists():
    write(target, "newer", STORES)
    child = os.fork()
    if child == 0:
        _bridge._core.publish_stop_after(at)
        manager().register_graph("g", target).restore(snapshot.backup_id, target, allow_unusable=True)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
    at += 1
(aside,) = [path for path in root.iterdir() if path.name.startswith(".lrb_restore-target-")]
mount("--bind", aside / "vdb_chunks.json", aside / "vdb_chunks.json")
for _ in range(2):
    try:
        graph.restore(snapshot.backup_id, target, allow_unusable=True)
    except errors.RestoreUnfinishedError as error:
        assert str(aside / "vdb_chunks.json") in str(error) and "unmount what is mounted there" in str(error), error
        assert "then restore again" in str(error) and "safety snapshot" in str(error), error
    else:
        raise AssertionError("not stuck")
subprocess.run(["umount", aside / "vdb_chunks.json"], check=True)
graph.restore(snapshot.backup_id, target, allow_unusable=True)
assert contents(target) == {name: b"as it was" for name in STORES}
assert not aside.exists()
"""


def run(script: str, *args: object) -> None:
    command = [*mounting(), sys.executable, "-c", textwrap.dedent(PRELUDE) + HERE + script, *map(str, args)]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("place", ["album", "deep/album", "deep/letters/album"])
def test_a_mounted_file_system_that_is_not_in_the_snapshot_is_not_emptied(tmp_path: Path, place: str) -> None:
    run(PLAIN, tmp_path, place)


@pytest.mark.parametrize("way", ["exchange", "item by item"])
def test_a_mounted_file_in_place_of_an_item_is_refused(tmp_path: Path, way: str) -> None:
    run(ONE_FILE, tmp_path, way)


def test_what_is_mounted_beside_the_items_stays(tmp_path: Path) -> None:
    run(FOREIGN, tmp_path)


def test_a_restore_that_is_stuck_at_a_mount_says_how_it_ends(tmp_path: Path) -> None:
    run(STUCK, tmp_path)
