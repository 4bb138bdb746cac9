"""The main job on real data: snapshot a graph while LightRAG builds it, prove the snapshot, lose everything, bring it
back.

    python examples/demo.py [--documents N]

LightRAG is the installed one with its real pipeline; only the LLM and the embedding are stand-ins
(tests/support), so nothing is downloaded and no key is needed.
"""

import argparse
import asyncio
import hashlib
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from lightrag import LightRAG, QueryParam

from lightrag_bkp import BackupManager, BackupSnapshot, GraphBackup

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support import graphs

T = TypeVar("T")

DIM = 384
QUESTION = "Who works with E3?"
timings: dict[str, float] = {}


async def timed(step: str, work: Awaitable[T]) -> T:
    """Says what is done and notes how long it took, in seconds."""
    print(f"  {step} ...", flush=True)
    started = time.perf_counter()
    result = await work
    timings[step] = time.perf_counter() - started
    return result


def digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every file, by name."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


async def ask(directory: Path) -> str:
    """Opens the directory with LightRAG and returns what it finds for the question."""
    async with graphs.opened(directory, dim=DIM) as rag:
        found = await rag.aquery(QUESTION, param=QueryParam(mode="local", only_need_context=True))
    return next((line for line in str(found).splitlines() if "E3 relates to" in line or "relates to E3" in line), "")


async def build(
    directory: Path, manager: BackupManager, documents: int
) -> tuple[GraphBackup, list[BackupSnapshot], dict[str, str]]:
    """Ingests two batches of documents; one snapshot in the midst of the first, one after the second, with the digests
    of that moment."""
    async with graphs.opened(directory, dim=DIM, delay_s=0.05) as rag:
        graph = manager.register_graph("demo", directory, rag=rag)
        await graphs.insert_documents(rag, 0, 1)
        ingestion = asyncio.create_task(graphs.insert_documents(rag, 1, documents))
        await asyncio.sleep(0.5)
        first = await timed("snapshot while documents are ingested", graph.create_snapshot())
        if ingestion.done():
            raise SystemExit("the ingestion was over before the snapshot; ask for more --documents")
        await timed("the rest of the documents, and as many again", finish(ingestion, rag, documents))
        second = await timed("second snapshot", graph.create_snapshot(metadata={"reason": "demo"}))
        return graph, [first, second], digests(directory)


async def finish(ingestion: asyncio.Task[None], rag: LightRAG, documents: int) -> None:
    await ingestion
    await graphs.insert_documents(rag, 1 + documents, documents)


async def run(scratch: Path, documents: int) -> bool:
    directory = scratch / "rag_storage"
    async with BackupManager(scratch / "backups") as manager:
        graph, snapshots, before = await build(directory, manager, documents)
        for snapshot in snapshots:
            verified = await timed(f"verify {snapshot.backup_id}", graph.verify_snapshot(snapshot.backup_id, "digests"))
            if not verified.ok:
                raise SystemExit(f"verification found damage: {verified.findings}")
        print("  destroying the working directory ...")
        shutil.rmtree(directory)
        await timed("restore", graph.restore_snapshot(snapshots[-1].backup_id, directory))
    same = digests(directory) == before
    answer = await timed("LightRAG opens it and answers", ask(directory))
    report(snapshots, same, answer)
    return same and bool(answer)


def report(snapshots: list[BackupSnapshot], same: bool, answer: str) -> None:
    width = max(len(step) for step in timings)
    print()
    for step, seconds in timings.items():
        print(f"  {step:<{width}}  {seconds:8.3f} s")
    print(f"\n  {'snapshot':<26}  {'consistency':<11}  {'source':>10}  {'stored':>10}  LightRAG held")
    for snapshot in snapshots:
        held_ms = snapshot.held_ms or 0.0
        sizes = f"{snapshot.size_bytes / 1e6:>7.2f} MB  {snapshot.stored_bytes / 1e6:>7.2f} MB"
        print(f"  {snapshot.backup_id:<26}  {snapshot.consistency:<11}  {sizes}  {held_ms:.1f} ms")
    print(f"\n  {QUESTION}  {answer.strip() or 'no answer'}")
    print(f"  byte for byte: {'yes' if same else 'NO'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=40, help="how many documents each of the two batches has")
    arguments = parser.parse_args()
    logging.getLogger("lightrag_bkp").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="lightrag-bkp-demo-") as scratch:
        return 0 if asyncio.run(run(Path(scratch), arguments.documents)) else 1


if __name__ == "__main__":
    sys.exit(main())
