"""A snapshot of one graph: `python examples/keep_a_graph.py [WORKING_DIR [STORAGE]]`.

Without a directory LightRAG makes a graph for it, with stand-ins for model and embedding, and everything is temporary.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import lightrag_bkp.compat  # noqa: F401  makes lightrag.backup importable; lightrag_bkp.backup is the same

# isort: split
from lightrag.backup import BackupManager

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support import graphs


async def keep(source: str | Path, path: str | Path) -> None:
    graph_backup = BackupManager(storage_path=path, retention_days=30).register_graph("my_graph")
    snapshot = await graph_backup.create_snapshot(source, metadata={"version": "1.0"})
    print(snapshot.backup_id)


def main(source: str | Path | None = None, path: str | Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        if source is None:
            source = Path(scratch, "rag_storage")
            asyncio.run(graphs.build_pipeline_graph(source))
        asyncio.run(keep(source, path or Path(scratch, "backups")))


if __name__ == "__main__":
    main(*sys.argv[1:3])
