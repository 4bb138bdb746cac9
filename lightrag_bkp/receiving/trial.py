"""Whether a list of packs is enough for its snapshot: asked of the core, which reads as a restore would.

It is shown a replica in which that snapshot alone has a receipt, and that has no packs but those listed: links to the
files that are here. Only of graphs that are not sealed; of sealed ones nobody without the passphrase can tell.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .. import _bridge
from ..errors import DamagedError

if TYPE_CHECKING:
    from .replica import Replica

PREFIX = "trial."


def shortcoming(replica: "Replica", number: int, packs: Iterable[tuple[bytes, int]]) -> str | None:
    """Why these packs are not enough for the snapshot of an entry that is here, in half a sentence; None: they are.

    Raises:
        OSError, LightragBkpError: it could not be found out.
    """
    with tempfile.TemporaryDirectory(dir=os.path.join(replica.directory, "replica"), prefix=PREFIX) as storage:
        seen = os.path.join(storage, "graphs", replica.graph_id)
        for name in ("log", "packs", "tmp", "keys", os.path.join("replica", "receipts")):
            os.makedirs(os.path.join(seen, name))
        for entry in os.listdir(os.path.join(replica.directory, "log")):
            os.link(os.path.join(replica.directory, "log", entry), os.path.join(seen, "log", entry))
        for pack, _ in packs:
            os.link(replica.pack_path(pack.hex()), os.path.join(seen, "packs", pack.hex()))
        with open(os.path.join(seen, "replica", "receipts", f"{number:020}"), "wb"):
            pass  # its name is what the core looks at
        return _judge(storage, replica.graph_id, number)


def clear(replica: "Replica", before: float) -> None:
    """Removes what a process that was killed left of a trial."""
    with os.scandir(os.path.join(replica.directory, "replica")) as entries:
        for one in entries:
            if one.name.startswith(PREFIX) and one.stat(follow_symlinks=False).st_mtime <= before:
                shutil.rmtree(one.path, ignore_errors=True)


def _judge(storage: str, graph_id: str, number: int) -> str | None:
    core = _bridge.run_blocking(_bridge.open_job(storage, graph_id, False, None))
    try:
        snapshots = {row[1]: row[0] for row in core.snapshots()}
        if number not in snapshots:
            return "the log has no such snapshot"
        try:
            _bridge.run_blocking(_bridge.needs_job(core, snapshots[number]))
        except DamagedError:
            return "the list of packs is not enough for it"
        return None
    finally:
        core.close()
