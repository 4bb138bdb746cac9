"""Where copies go, and whether it can receive: `python examples/register_a_target.py [URL [STORAGE]]`.

The key for that instance is in LIGHTRAG_REPLICATION_API_KEY. Without a URL one is started, on loopback and for the
moment.
"""

import asyncio
import os
import subprocess
import sys
import tempfile

import lightrag_bkp.compat  # noqa: F401  makes lightrag.replication importable; lightrag_bkp.replication is the same

# isort: split
from lightrag.replication import ReplicationManager, ReplicationTarget


def register(url: str, key: str | None) -> None:
    mgr = ReplicationManager()
    target = ReplicationTarget(name="Backup Server", base_url=url, api_key=key)
    mgr.register_target(target)
    rep = mgr.get_graph_replicator("my_graph")
    rep.add_target(target)
    print(asyncio.run(rep.check_target_health(target.target_id)))


with tempfile.TemporaryDirectory() as scratch:
    os.environ["LIGHTRAG_BACKUP_STORAGE_PATH"] = sys.argv[2] if sys.argv[2:] else scratch  # what the manager reads
    if sys.argv[1:]:
        register(sys.argv[1], os.environ.get("LIGHTRAG_REPLICATION_API_KEY"))
    else:
        program = [sys.executable, "-m", "lightrag_bkp.cli", "--storage", os.path.join(scratch, "there")]
        key = subprocess.check_output([*program, "key", "add", "here"], text=True).strip()
        listening = [*program, "receive", "--listen", "127.0.0.1:0"]
        with subprocess.Popen(listening, stdout=subprocess.PIPE, text=True) as there:
            register(there.stdout.readline().split()[-1], key)  # it says "receiving on http://..."
            there.terminate()
