"""Which LightRAG is installed, and how good a cut of it can be: `python -m lightrag_bkp.sources.installed`.

An empty LightRAG is made in a directory of its own, for the names that decide are those of live objects (`internals`);
that is why this is a program. It prints one line of JSON: {version, idle, busy, reloads, lacking}, the rungs of a cut
when LightRAG is idle and at work (None: it is waited for), and what is missing for better ones.
"""

import asyncio
import importlib
import json
import os
import tempfile
from typing import Any

from .internals import memory, missing


async def look() -> dict[str, Any]:
    """As printed. The process goes to an empty directory before LightRAG is loaded, which reads settings from there."""
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        lightrag, utils = importlib.import_module("lightrag"), importlib.import_module("lightrag.utils")
        rag = lightrag.LightRAG(
            working_dir=directory,
            workspace="",
            embedding_func=utils.EmbeddingFunc(embedding_dim=8, max_token_size=1, func=_unused),
            llm_model_func=_unused,
            tokenizer=utils.Tokenizer("none", _NoTokens()),
        )
        await rag.initialize_storages()
        try:
            cutting, restoring = missing(rag), memory.lacking(rag)
        finally:
            await rag.finalize_storages()
    idle = "unfenced" if cutting["settled"] else "settled" if cutting["quiesced"] else "quiesced"
    names = [name for lacking in (*cutting.values(), *restoring.values()) for name in lacking]
    return {
        "version": lightrag.__version__,
        "idle": idle,
        "busy": None if any(cutting.values()) else "gated",
        "reloads": not any(restoring.values()),
        "lacking": sorted(set(names)),
    }


async def _unused(*arguments: Any, **options: Any) -> Any:
    raise AssertionError("nothing is ingested here")


class _NoTokens:
    def encode(self, content: str) -> list[int]:
        return []

    def decode(self, tokens: list[int]) -> str:
        return ""


if __name__ == "__main__":
    print(json.dumps(asyncio.run(look())))
