"""A disk that does not answer: whatever waits for it, the loop of the host goes on, and who is cancelled waits no more.

Everything happens in a mount namespace of a process of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

from support.dead_disk import can_be
from support.trouble import PRELUDE, environment, lack, mounting

TESTS = Path(__file__).parents[1]
ON_DISKS_THAT_DIE = (
    PRELUDE
    + """
import asyncio, faulthandler, os, threading
from contextlib import asynccontextmanager, suppress
from support.dead_disk import DeadDisk
from lightrag_bkp import BackupManager
from lightrag_bkp.recovery import DisasterRecoveryManager
from lightrag_bkp.validation import validate_directory
from lightrag_bkp.shipping.claim import claimed
from lightrag_bkp import threads
from lightrag_bkp.threads import held

root, source = map(Path, sys.argv[1:])
storage, target = root / "storage", root / "target"
manager = BackupManager(storage)
graph = manager.register_graph("g", source)
recovery = DisasterRecoveryManager(manager)
health = recovery.health

threads.LINGER_S = 0.1

async def claim():
    async with held(claimed(str(storage), "g", "t")) as other:
        assert other is None

def stuck(disk, noticed):
    # The disk was asked and the loop was told; when it does not notice, it is the loop that waits.
    while not disk.asked(0.1):
        if noticed.is_set():
            return
    if not noticed.wait(10):
        faulthandler.dump_traceback(all_threads=True)
        os._exit(3)

async def waits_beside_the_loop(name, work, place):
    loop, asked, noticed = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    disk = DeadDisk(place)
    watch = threading.Thread(target=stuck, args=(disk, noticed))
    watch.start()
    loop.add_reader(disk.fd, asked.set)
    task = asyncio.create_task(work())
    try:
        while not asked.is_set():
            assert not task.done(), (name, task)
            await asyncio.sleep(0.01)
        loop.remove_reader(disk.fd)
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled(), (name, place, task)
    finally:
        noticed.set()
        loop.remove_reader(disk.fd)
        disk.end()
        watch.join()

async def main():
    await graph.create_snapshot()
    point = (await recovery.create_recovery_point(["g"])).checkpoint_id
    await claim()
    target.mkdir()
    deaths = {
        storage: {
            "snapshot": lambda: graph.create_snapshot(),
            "snapshot of a fresh process": lambda: BackupManager(storage).register_graph("g", source).create_snapshot(),
            "restore": lambda: graph.restore("latest", target),
            "unpack": lambda: graph.unpack("latest", target),
            "prune": lambda: graph.prune(),
            "clean-up": lambda: manager.cleanup_all_graphs(),
            "delete": lambda: graph.delete_snapshot("latest"),
            "hold": lambda: graph.hold("latest"),
            "verify": lambda: graph.verify_snapshot(),
            "drill": lambda: graph.verify_snapshot("latest", "drill"),
            "validate": lambda: graph.validate_snapshot("latest"),
            "slots": lambda: manager.list_key_slots(),
            "claim": claim,
            "point": lambda: recovery.create_recovery_point(["g"]),
            "validate point": lambda: recovery.validate_recovery_point(point),
            "drill of a point": lambda: recovery.run_drill(point),
            "failover": lambda: recovery.failover(point),
            "undo": lambda: recovery.undo_failover(point),
            "delete point": lambda: recovery.delete_recovery_point(point),
            "health": lambda: recovery.health_check(),
            "health of backups": lambda: health.validate_backups("g"),
            "health of copies": lambda: health.validate_replication("g"),
        },
        storage / "recovery_points": {
            "point": lambda: recovery.create_recovery_point(["g"]),
            "failover": lambda: recovery.failover(point),
            "delete point": lambda: recovery.delete_recovery_point(point),
        },
        storage / "state": {"claim": claim},
        source: {
            "snapshot": lambda: graph.create_snapshot(),
            "validate": lambda: validate_directory(source),
            "home": lambda: graph.bring_home("latest"),
            "health": lambda: health.validate_graph("g"),
            "finish": lambda: graph.finish_restore(),
        },
        target: {
            "restore": lambda: graph.restore("latest", target),
            "dry run": lambda: graph.restore("latest", target, dry_run=True),
            "unpack": lambda: graph.unpack("latest", target),
        },
    }
    for place, works in deaths.items():
        for name, work in works.items():
            await waits_beside_the_loop(name, work, place)

    # Whoever was cancelled has left nothing locked, or half-done.
    async with asyncio.timeout(60):
        await claim()
        await graph.create_snapshot()
        assert (await recovery.failover(point)).ok
        assert (await recovery.undo_failover(point)).ok
        await graph.restore("latest", target)
    assert (target / "graph_chunk_entity_relation.graphml").exists()

asyncio.run(main())
print("went on")
"""
)


def test_the_loop_goes_on_while_a_disk_does_not_answer(tmp_path: Path, graph_dir: Path) -> None:
    if not can_be():
        lack("the kernel's FUSE is needed, and its device or root: a file system that nobody serves is mounted")
    path = os.pathsep.join([environment()["PYTHONPATH"], str(TESTS)])
    command = [*mounting(), sys.executable, "-c", ON_DISKS_THAT_DIE, str(tmp_path), str(graph_dir)]
    said = {"XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": path}
    ran = subprocess.run(command, env=environment(**said), capture_output=True, text=True, timeout=300)
    assert ran.stdout.endswith("went on\n"), ran.stdout + ran.stderr
