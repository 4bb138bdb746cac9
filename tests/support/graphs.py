"""Real LightRAG directories: through the whole pipeline, or through `ainsert_custom_kg` when size matters more than
completeness.

LightRAG keeps its key-value stores in module globals, by workspace. Objects that are open at the same time in one
process therefore need different workspaces, and `closed` forgets the globals only when the last one closes.
"""

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lightrag import LightRAG
from lightrag.kg.shared_storage import finalize_share_data, get_namespace_data
from lightrag.utils import EmbeddingFunc, Tokenizer

from .standins import ByteTokenizer, embedding_model, language_model

for _chatty in ("lightrag", "nano-vectordb"):  # They log every step, and set their level when imported.
    logging.getLogger(_chatty).setLevel(logging.ERROR)

_open: list[LightRAG] = []


async def open_rag(
    directory: Path, workspace: str = "", *, dim: int = 64, unit: bool = False, delay_s: float = 0.0, **options: Any
) -> LightRAG:
    """Opens `directory` with LightRAG.

    Args:
        directory: the working directory; made when missing.
        workspace: "" for the unnamed one.
        dim: components per vector. unit: vectors of length 1.
        delay_s: how long the LLM takes for an extraction, in seconds.
        options: further fields of LightRAG.
    """
    rag = make_rag(directory, workspace, dim=dim, unit=unit, delay_s=delay_s, **options)
    await rag.initialize_storages()
    _open.append(rag)
    return rag


def make_rag(
    directory: Path, workspace: str = "", *, dim: int = 64, unit: bool = False, delay_s: float = 0.0, **options: Any
) -> LightRAG:
    """As `open_rag`, but nothing is opened: what a server makes before it forks its workers."""
    directory.mkdir(parents=True, exist_ok=True)
    return LightRAG(
        working_dir=str(directory),
        workspace=workspace,
        embedding_func=EmbeddingFunc(embedding_dim=dim, max_token_size=8192, func=embedding_model(dim, unit=unit)),
        tokenizer=Tokenizer("bytes", ByteTokenizer()),
        **{"llm_model_func": language_model(delay_s), "entity_extract_max_gleaning": 0, **options},
    )


async def close_rag(rag: LightRAG) -> None:
    """Closes what `open_rag` opened, so that the same workspace can be opened from disk again."""
    _open[:] = [other for other in _open if other is not rag]
    await rag.finalize_storages()
    if not _open:
        finalize_share_data()


@asynccontextmanager
async def opened(directory: Path, workspace: str = "", **options: Any) -> AsyncIterator[LightRAG]:
    """`open_rag` and `close_rag` around a block."""
    rag = await open_rag(directory, workspace, **options)
    try:
        yield rag
    finally:
        await close_rag(rag)


def document(number: int, *, entities: int = 40, sentences: int = 8) -> str:
    """The text of document `number`: `sentences` sentences about some of E0 ... E<entities - 1>."""
    choice = random.Random(number)
    names = [f"E{choice.randrange(entities)}" for _ in range(sentences + 1)]
    told = [f"{one} works with {other} on the matter of file {number}." for one, other in itertools.pairwise(names)]
    return f"Report {number}.\n" + "\n".join(told)


async def insert_documents(rag: LightRAG, first: int, count: int, *, entities: int = 40) -> None:
    """Takes documents `first` ... `first + count - 1` through the whole pipeline."""
    numbers = range(first, first + count)
    await rag.ainsert(
        [document(n, entities=entities) for n in numbers], file_paths=[f"report-{n}.txt" for n in numbers]
    )


async def until_busy(rag: LightRAG) -> None:
    """Waits until the pipeline is at work."""
    status = await get_namespace_data("pipeline_status", workspace=rag.workspace)
    while not status["busy"]:  # noqa: ASYNC110 - LightRAG has no event for it
        await asyncio.sleep(0.005)


async def build_pipeline_graph(
    directory: Path, documents: int = 6, workspace: str = "", *, dim: int = 64, entities: int = 40
) -> None:
    """Writes a complete directory: every file of LIGHTRAG's default stores, all documents processed."""
    async with opened(directory, workspace, dim=dim) as rag:
        await insert_documents(rag, 0, documents, entities=entities)


def custom_graph(entities: int, relations: int, chunks: int) -> dict[str, Any]:
    """The argument of `ainsert_custom_kg`: a ring of entities and, beyond it, random relations."""
    choice = random.Random(f"{entities} {relations} {chunks}")
    pairs = [(n, (n + 1) % entities) for n in range(min(entities, relations))]
    known = {frozenset(pair) for pair in pairs}
    while len(pairs) < relations:
        pair = choice.randrange(entities), choice.randrange(entities)
        if pair[0] != pair[1] and frozenset(pair) not in known:
            known.add(frozenset(pair))
            pairs.append(pair)
    common = {"file_path": "custom.txt"}
    return {
        "chunks": [
            {"content": f"Text {n} about E{n % entities}.", "source_id": f"s{n}", "chunk_order_index": n, **common}
            for n in range(chunks)
        ],
        "entities": [
            {
                "entity_name": f"E{n}",
                "entity_type": "concept",
                "description": f"E{n} is made by hand.",
                "source_id": f"s{n % chunks}",
                **common,
            }
            for n in range(entities)
        ],
        "relationships": [
            {
                "src_id": f"E{a}",
                "tgt_id": f"E{b}",
                "description": f"E{a} meets E{b}.",
                "keywords": "meeting",
                "weight": 1.0,
                "source_id": f"s{(a + b) % chunks}",
                **common,
            }
            for a, b in pairs
        ],
    }


async def build_custom_graph(
    directory: Path, entities: int, relations: int, chunks: int, *, dim: int = 64, workspace: str = ""
) -> None:
    """Writes graph, text_chunks and the three vector files only; fast, for size."""
    async with opened(directory, workspace, dim=dim) as rag:
        await rag.ainsert_custom_kg(custom_graph(entities, relations, chunks))
