"""kill -9 in each step of a restore: of each call that changes something, in the target or in the storage.

Children of one process restore; the seam ends each of them before its n-th change. Then the restore is finished, and
the target is wholly old or wholly new. One case is a real mount point, as Docker's volumes are: the unnamed workspace,
with another workspace's directory in it, which can only be restored item by item.

LRB_KILL_STEP: every so many changes only (default 1).
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.trouble import PRELUDE, environment, mounting

STEP = os.environ.get("LRB_KILL_STEP", "1")

RESTORE = """
import asyncio, ctypes, os, subprocess
from lightrag_bkp import BackupManager
from lightrag_bkp.sources import outside

outside.REST_S = 0.05
STORES = ("kv_store_text_chunks.json", "vdb_entities.json", "vdb_relationships.json", "vdb_chunks.json",
          "graph_chunk_entity_relation.graphml")
root, way, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
target = root / "target"
target.mkdir()
if way == "mount":
    subprocess.run(["mount", "-t", "tmpfs", "none", target], check=True)
if way != "exchange":
    (target / "another").mkdir()
    (target / "another" / "kv_store_text_chunks.json").write_text("{}")

def open_graph():
    return BackupManager(root / "storage").register_graph("g", target)

def stores():
    return {name: (target / name).read_bytes() for name in STORES}

states = []
for _ in range(2):
    for name in STORES:
        (target / name).write_bytes(os.urandom(3000))
    states.append((asyncio.run(open_graph().create_snapshot(partial=True)).backup_id, stores()))

def restore(snapshot_id, at):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if not ctypes.CDLL(None).seam_plan(bytes(root), b"change::%d" % at, b"kill"):
                os._exit(99)
            asyncio.run(open_graph().restore(snapshot_id, target, allow_unusable=True))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

(new_id, new), (_, old) = states
killed = 0
for at in range(0, 100_000, step):
    code = restore(new_id, at)
    assert code in (0, -9), code
    asyncio.run(open_graph().finish_restore(target))
    found = stores()
    assert found == new or (code and found == old), f"killed at change {at}: neither old nor new"
    left = {name for name in os.listdir(target) if name.startswith(".lrb")} | (
        {name for name in os.listdir(root)} - {"target", "storage"})
    assert not left, left
    assert way == "exchange" or (target / "another" / "kv_store_text_chunks.json").read_text() == "{}"
    if code == 0:
        break
    killed += 1
    if found == new:  # back to the old state for the next try
        for name in STORES:
            (target / name).write_bytes(old[name])
graph = open_graph()
assert asyncio.run(graph.verify_snapshot()).ok
for snapshot in graph.list_snapshots():
    if snapshot.safety:
        asyncio.run(graph.delete_snapshot(snapshot.backup_id))
for path in (root / "storage" / "graphs" / "g" / "tmp").iterdir():
    os.utime(path, (0, 0))
asyncio.run(graph.prune(wait_s=0))
assert not os.listdir(root / "storage" / "graphs" / "g" / "tmp")
assert asyncio.run(graph.verify_snapshot()).ok
print(killed)
"""


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("way", ["exchange", "item by item", "mount"])
def test_killed_at_every_change_a_restore_leaves_old_or_new(tmp_path: Path, seam_library: Path, way: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    prefix = mounting() if way == "mount" else []
    script = textwrap.dedent(PRELUDE) + RESTORE
    ran = subprocess.run(
        [*prefix, sys.executable, "-c", script, root, way, STEP],
        env=environment(LD_PRELOAD=str(seam_library)),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert int(ran.stdout) * int(STEP) > 60
