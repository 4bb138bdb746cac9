"""Real LightRAG directories, and what LightRAG makes of them later.

`base` is a freshly built graph. `removed` is what its LightRAG saved after it removed two documents, without a restart.
The others are copies of the base: `rewritten` as it is (new files, equal bytes), `restarted` after LightRAG opened it
and saved, `appended` after LightRAG opened it, took in 1 % more and saved, `deleted` after LightRAG opened it, removed
two documents and saved. Opening alone changes the vector files: LightRAG normalises every row again.

This module is also the program that builds them, because LightRAG would fill the measuring process with gigabytes:
`python -m benchmarks.data DIRECTORY --size-mb N --dim D`.
"""

import argparse
import asyncio
import json
import logging
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightrag import LightRAG

ROOT = Path(__file__).resolve().parent.parent

STATES = ("base", "removed", "rewritten", "restarted", "appended", "deleted")

_REFERENCE_MB = 556
_REFERENCE_CHUNKS = 4000
_CHUNKS_PER_DOCUMENT = 2
_ENTITIES_PER_CHUNK = 5
_RELATIONS_PER_CHUNK = 10
_APPENDED_SHARE = 0.01
_DELETED_AT = (1 / 3, 2 / 3)
"""Where the deleted documents lie in the order of insertion."""


@dataclass(frozen=True)
class Shape:
    """How much is in a graph, and how many components its vectors have."""

    entities: int
    relations: int
    chunks: int
    dim: int
    unit: bool = False
    """Vectors of length 1, as many models give; else a length of their own."""

    @classmethod
    def of(cls, chunks: int, dim: int, unit: bool = False) -> "Shape":
        return cls(chunks * _ENTITIES_PER_CHUNK, chunks * _RELATIONS_PER_CHUNK, chunks, dim, unit)

    @classmethod
    def sized(cls, size_mb: float, dim: int, unit: bool = False) -> "Shape":
        """A graph that takes about `size_mb` on disk; nearly all of that are vectors, about 8 bytes per component."""
        chunks = round(_REFERENCE_CHUNKS * size_mb / _REFERENCE_MB * 1024 / dim)
        return cls.of(max(chunks, len(_DELETED_AT) * _CHUNKS_PER_DOCUMENT), dim, unit)

    def appended(self) -> "Shape":
        return self.of(max(1, round(self.chunks * _APPENDED_SHARE)), self.dim)


class Sources:
    """The states on disk. One at a time is moved to `place`, so that every tool sees one path and untouched files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.place = directory / "source"
        self._present: str | None = None

    def build(self, shape: Shape) -> None:
        """Builds all states, unless an earlier run left them for this shape."""
        marker = self.directory / "shape.json"
        wanted = json.dumps(asdict(shape))
        if marker.exists() and marker.read_text() == wanted and all((self.directory / s).is_dir() for s in STATES):
            return
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        _run(self.directory, shape)
        marker.write_text(wanted)

    def put(self, state: str) -> None:
        """Moves a state to `place`, and back what was there. The files keep their identity and times."""
        if state != self._present:
            self.put_back()
            (self.directory / state).rename(self.place)
            self._present = state

    def put_back(self) -> None:
        """Empties `place`."""
        if self._present is not None:
            self.place.rename(self.directory / self._present)
            self._present = None


def build_base(directory: Path, shape: Shape) -> None:
    """Writes a freshly built graph to `directory`, unless it is there."""
    if not directory.exists():
        _run(directory.parent, shape, "--base", directory.name)


def _run(directory: Path, shape: Shape, *options: str) -> None:
    words = [sys.executable, "-m", "benchmarks.data", str(directory), *options]
    words += [f"--{name}={int(value)}" for name, value in asdict(shape).items()]
    subprocess.run(words, cwd=ROOT, check=True)


def build(directory: Path, shape: Shape) -> None:
    """Writes all states below `directory`."""
    asyncio.run(_build_base(directory / "removed", shape, directory / "base"))
    for other in STATES[2:]:
        _copy(directory / "base", directory / other)
    asyncio.run(_restart(directory / "restarted", shape))
    asyncio.run(_append(directory / "appended", shape))
    asyncio.run(_delete(directory / "deleted", shape))


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


async def _build_base(directory: Path, shape: Shape, copy: Path | None = None) -> None:
    """With `copy`, the graph is copied there, and in `directory` the same LightRAG then removes two documents."""
    from support import graphs

    async with graphs.opened(directory, dim=shape.dim, unit=shape.unit) as rag:
        await rag.ainsert_custom_kg(graphs.custom_graph(shape.entities, shape.relations, shape.chunks))
        if copy:
            _copy(directory, copy)
            await _delete_documents(rag, shape)


async def _restart(directory: Path, shape: Shape) -> None:
    from support import graphs

    async with graphs.opened(directory, dim=shape.dim, unit=shape.unit) as rag:
        for store in (rag.entities_vdb, rag.relationships_vdb, rag.chunks_vdb):
            (await store._get_client()).save()


async def _append(directory: Path, shape: Shape) -> None:
    from support import graphs

    async with graphs.opened(directory, dim=shape.dim, unit=shape.unit) as rag:
        await rag.ainsert_custom_kg(_further_graph(shape))


async def _delete(directory: Path, shape: Shape) -> None:
    from support import graphs

    async with graphs.opened(directory, dim=shape.dim, unit=shape.unit) as rag:
        await _delete_documents(rag, shape)


def _further_graph(shape: Shape) -> dict[str, Any]:
    """1 % more, none of whose entities is known yet."""
    from support import graphs

    more = shape.appended()
    text = json.dumps(graphs.custom_graph(more.entities, more.relations, more.chunks))
    renamed: dict[str, Any] = json.loads(re.sub(r"\bE(\d+)", lambda found: f"E{int(found[1]) + shape.entities}", text))
    return renamed


async def _delete_documents(rag: "LightRAG", shape: Shape) -> None:
    """What LightRAG's `adelete_by_doc_id` does to its storages; a custom graph has no document it could be called for.

    Document d is chunks 2d and 2d + 1, the entities they tell of, and every relation they tell of or that loses an end.
    """
    from lightrag.utils import compute_mdhash_id
    from support import graphs

    graph = graphs.custom_graph(shape.entities, shape.relations, shape.chunks)
    documents = [int(shape.chunks // _CHUNKS_PER_DOCUMENT * at) for at in _DELETED_AT]
    numbers = {d * _CHUNKS_PER_DOCUMENT + n for d in documents for n in range(_CHUNKS_PER_DOCUMENT)}
    sources = {f"s{n}" for n in numbers}
    chunk_ids = [compute_mdhash_id(graph["chunks"][n]["content"], prefix="chunk-") for n in numbers]
    entities = {row["entity_name"] for row in graph["entities"] if row["source_id"] in sources}
    pairs = [
        (row["src_id"], row["tgt_id"])
        for row in graph["relationships"]
        if row["source_id"] in sources or row["src_id"] in entities or row["tgt_id"] in entities
    ]
    joined = [one + other for pair in pairs for one, other in (pair, pair[::-1])]
    await rag.relationships_vdb.delete([compute_mdhash_id(text, prefix="rel-") for text in joined])
    await rag.chunk_entity_relation_graph.remove_edges(pairs)
    await rag.chunk_entity_relation_graph.remove_nodes(list(entities))
    await rag.entities_vdb.delete([compute_mdhash_id(name, prefix="ent-") for name in entities])
    await rag.chunks_vdb.delete(chunk_ids)
    await rag.text_chunks.delete(chunk_ids)
    await rag._insert_done()


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description="Builds the directories.")
    parser.add_argument("directory", type=Path)
    for name in ("entities", "relations", "chunks", "dim", "unit"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--base", metavar="NAME", help="only the freshly built graph, under this name")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    sys.path.insert(0, str(ROOT / "tests"))
    shape = Shape(arguments.entities, arguments.relations, arguments.chunks, arguments.dim, bool(arguments.unit))
    if arguments.base:
        asyncio.run(_build_base(arguments.directory / arguments.base, shape))
    else:
        build(arguments.directory, shape)


if __name__ == "__main__":
    _main()
