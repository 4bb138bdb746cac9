"""Two graphs protected as one, and brought back as one: `python examples/bring_graphs_back.py [DIR_A DIR_B [STORAGE]]`.

Without directories LightRAG makes two graphs, with stand-ins for model and embedding, and everything is temporary.
"""

import asyncio
import logging
import os
import sys
import tempfile
from pathlib import Path

import lightrag_bkp.compat  # noqa: F401  makes lightrag.recovery importable; lightrag_bkp.recovery is the same

# isort: split
from lightrag.recovery import DisasterRecoveryManager

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support import graphs


async def protect_and_return() -> None:
    dr = DisasterRecoveryManager()
    cp = await dr.create_recovery_point(graph_ids=["graph_a", "graph_b"], description="Pre-maintenance backup")
    if await dr.validate_recovery_point(cp.checkpoint_id):
        await dr.initiate_failover(cp.checkpoint_id)


logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
logging.getLogger("lightrag_bkp").setLevel(logging.INFO)  # one line for each thing done
with tempfile.TemporaryDirectory() as scratch:
    places = sys.argv[1:3] or [os.path.join(scratch, name) for name in ("a", "b")]
    if not sys.argv[1:]:
        for place in places:
            asyncio.run(graphs.build_pipeline_graph(Path(place)))
    os.environ["LIGHTRAG_BACKUP_GRAPHS"] = ",".join(map("=".join, zip(("graph_a", "graph_b"), places, strict=True)))
    os.environ["LIGHTRAG_BACKUP_STORAGE_PATH"] = sys.argv[3] if sys.argv[3:] else os.path.join(scratch, "backups")
    asyncio.run(protect_and_return())
