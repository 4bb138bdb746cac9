"""LightRAG at work: `python -m torture.states DIRECTORY --seed S --first N --count C` makes states N … N + C - 1 of the
graph in DIRECTORY, each from the one before, as LightRAG writes them.

Opening alone changes vector files: every row is normalised again.
"""

import argparse
import asyncio
import json
import logging
import random
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from .plan import chance

ENTITIES, RELATIONS, CHUNKS = 500, 800, 120
KEPT = 6
"""So many states stay."""


def dim_of(directory: Path) -> int:
    """Components of a vector: no multiple of anything in one storage path, and in the other a power of two."""
    return 250 if directory.name == "sealed" else 128


def newest(directory: Path) -> list[Path]:
    """The states there are, by number."""
    return sorted((path for path in directory.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


async def _change_nothing(rag: Any, dice: random.Random, number: int) -> None:
    """A restart."""


async def _append(rag: Any, dice: random.Random, number: int) -> None:
    from support import graphs

    size = dice.choice((3, 10, 30))
    text = json.dumps(graphs.custom_graph(size, size, max(1, size // 4)))
    text = re.sub(r"\bE(\d+)", rf"N{number}x\1", text).replace("Text ", f"Text of {number}: ")
    await rag.ainsert_custom_kg(json.loads(text))


async def _delete(rag: Any, dice: random.Random, number: int) -> None:
    names = await rag.chunk_entity_relation_graph.get_all_labels()
    for name in dice.sample(sorted(names), min(len(names) // 4, dice.choice((1, 5, 20)))):
        await rag.adelete_by_entity(name)


async def _edit(rag: Any, dice: random.Random, number: int) -> None:
    names = await rag.chunk_entity_relation_graph.get_all_labels()
    await rag.aedit_entity(dice.choice(sorted(names)), {"description": f"Told anew, for the {number}th time."})


_CHANGES: tuple[Callable[[Any, random.Random, int], Awaitable[None]], ...] = (_change_nothing, _append, _delete, _edit)


async def make(directory: Path, seed: str, number: int) -> None:
    """Makes state `number`, from the newest one if there is one."""
    from support import graphs

    directory.mkdir(parents=True, exist_ok=True)
    dice, fresh = chance(seed, "state", directory.name, number), directory / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    there = newest(directory)
    if there:
        shutil.copytree(there[-1], fresh)
        async with graphs.opened(fresh, dim=dim_of(directory)) as rag:
            await dice.choice(_CHANGES)(rag, dice, number)
            for store in (rag.entities_vdb, rag.relationships_vdb, rag.chunks_vdb):
                (await store._get_client()).save()
            await rag._insert_done()
    else:
        await graphs.build_custom_graph(fresh, ENTITIES, RELATIONS, CHUNKS, dim=dim_of(directory))
    fresh.rename(directory / str(number))
    for old in newest(directory)[:-KEPT]:
        shutil.rmtree(old)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.INFO)
    for number in range(given.first, given.first + given.count):
        asyncio.run(make(given.directory, given.seed, number))


if __name__ == "__main__":
    main()
