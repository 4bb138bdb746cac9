"""Cuts of a graph while another process works on it, each brought back and looked at. As a program it says what they
were:

    PYTHONPATH=tests .venv/bin/python -m support.cutting DIRECTORY CUTS DEADLINE_S
"""

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lightrag_bkp import BackupManager, Busy
from lightrag_bkp.validation import Validation, validate_directory

from . import check, graphs
from .ingesting import DIM, ingesting


@dataclass(frozen=True)
class Taken:
    """A snapshot that was brought back.

    Attributes:
        consistency: of the snapshot. judged: what the program says of it.
        wrong: what `check` says, which knows nothing of documents in flight. later: the same, when LightRAG had gone on
            from there and processed them.
    """

    consistency: str
    judged: Validation
    wrong: list[str]
    later: list[str]


async def cut_while_ingesting(directory: Path, wanted: int, deadline_s: float) -> tuple[list[Taken], list[Busy]]:
    """Takes snapshots until there are `wanted`, restores each, and looks at it; returns them, and what was refused."""
    places: list[tuple[str, Path]] = []
    refused: list[Busy] = []
    with ingesting(directory / "rag_storage"):
        async with BackupManager(directory / "storage") as manager:
            graph = manager.register_graph("g", directory / "rag_storage")
            while len(places) < wanted:
                try:
                    taken = await graph.create_snapshot(deadline_s=deadline_s)
                except Busy as busy:
                    refused.append(busy)
                    continue
                place = directory / taken.backup_id
                await graph.restore(taken.backup_id, place)
                places.append((taken.consistency, place))
    return [await _looked_at(*place) for place in places], refused


async def _looked_at(consistency: str, place: Path) -> Taken:
    judged, wrong = await validate_directory(place), check.findings(place)
    async with graphs.opened(place, dim=DIM) as rag:
        await rag.apipeline_process_enqueue_documents()
    assert set(check.documents_by_status(place)) == {"processed"}
    return Taken(consistency, judged, wrong, check.findings(place))


async def _main(directory: Path, wanted: int, deadline_s: float) -> None:
    found, refused = await cut_while_ingesting(directory, wanted, deadline_s)
    print(
        json.dumps(
            {
                "snapshots": Counter(one.consistency for one in found),
                "refused": len(refused),
                "verdicts": Counter(one.judged.verdict for one in found),
                "with documents in flight": sum(one.judged.amounts["in_flight"] > 0 for one in found),
                "findings": Counter(kind.check for one in found for kind in one.judged.findings),
                "checked otherwise": Counter(_kind(said) for one in found for said in one.wrong),
                "after processing what was in flight": Counter(_kind(said) for one in found for said in one.later),
            },
            indent=2,
        )
    )


def _kind(said: str) -> str:
    return " ".join(word for word in said.split() if word.isalpha())


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
