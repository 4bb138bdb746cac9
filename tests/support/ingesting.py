"""A LightRAG in a process of its own that takes documents through the pipeline until its input is closed: `python -m
support.ingesting DIR`, which prints a line as soon as the first documents are on disk.

`Ingesting` is that process, for tests that look at its files from outside.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import graphs

_TESTS = Path(__file__).resolve().parent.parent
DIM = 16
_DELAY_S = 0.1
_AT_ONCE = 4
_BACKLOG = 3 * _AT_ONCE
"""Documents waiting at any time, so that the pipeline never rests."""


@contextmanager
def ingesting(directory: Path) -> Iterator["subprocess.Popen[str]"]:
    """Somebody works on the graph in `directory` during the block; what is begun by its end is finished."""
    process = subprocess.Popen(
        [sys.executable, "-m", "support.ingesting", str(directory)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_TESTS), str(_TESTS.parent)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n", process.communicate()
        yield process
        _, complaints = process.communicate(timeout=300)
        assert process.returncode == 0, complaints
    finally:
        process.kill()
        process.wait()


async def _ingest(directory: Path) -> None:
    stop = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    async with graphs.opened(directory, dim=DIM, delay_s=_DELAY_S, max_parallel_insert=_AT_ONCE) as rag:
        await graphs.insert_documents(rag, 0, 2)
        feeding = asyncio.create_task(_feed(rag, stop))
        print("at work", flush=True)
        while not feeding.done():
            await rag.apipeline_process_enqueue_documents()
            await asyncio.sleep(0.01)
        await feeding
        await rag.apipeline_process_enqueue_documents()


async def _feed(rag: Any, stop: "asyncio.Task[str]") -> None:
    number = 2
    while not stop.done():
        counts = await rag.doc_status.get_status_counts()
        if sum(counts.values()) - counts.get("processed", 0) < _BACKLOG:
            numbers = range(number, number + _AT_ONCE)
            number += _AT_ONCE
            await rag.apipeline_enqueue_documents(
                [graphs.document(n) for n in numbers], file_paths=[f"report-{n}.txt" for n in numbers]
            )
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(_ingest(Path(sys.argv[1])))
