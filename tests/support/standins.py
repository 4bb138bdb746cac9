"""Deterministic stand-ins for the LLM, the embedding and the tokenizer.

Their world is small: a text is about the entities it names, `E1`, `E2`, ...; consecutive names are related. Everything
else is LightRAG's own. Needs numpy and the standard library only, so that it also runs beside old LightRAG releases and
inside the stub service.
"""

import asyncio
import functools
import hashlib
import itertools
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

Vector = np.ndarray[Any, np.dtype[np.float32]]

_FENCED_TEXT = re.compile(r"Input Text[^`]*```\s*(.*?)```", re.DOTALL)
_ENTITY = re.compile(r"\bE\d+\b")
_SEPARATOR = "<|#|>"
_NAME_WEIGHT = 4


def language_model(delay_s: float = 0.0) -> Callable[..., Awaitable[str]]:
    """A model that extracts the entities of this world; `delay_s` is how long an extraction takes, in seconds."""

    async def answer(
        prompt: str, system_prompt: str | None = None, history_messages: Any = None, **options: Any
    ) -> str:
        said = reply(f"{system_prompt or ''}\n{prompt}")
        if delay_s and said.endswith("<|COMPLETE|>"):
            await asyncio.sleep(delay_s)
        return said

    return answer


def reply(prompt: str) -> str:
    """What the model says: extraction rows for a fenced text, keywords for a question, else a fixed sentence."""
    texts = _FENCED_TEXT.findall(prompt)
    if texts:
        return _extraction(texts[-1])
    if "high_level_keywords" in prompt:
        return json.dumps({"high_level_keywords": ["cooperation"], "low_level_keywords": _names(prompt)})
    return "A short summary."


def _extraction(text: str) -> str:
    names = _names(text)
    rows = [_SEPARATOR.join(("entity", name, "concept", f"{name} is described in these words.")) for name in names]
    rows += [
        _SEPARATOR.join(("relation", one, other, "cooperation", f"{one} relates to {other}."))
        for one, other in itertools.pairwise(names)
    ]
    return "\n".join((*rows, "<|COMPLETE|>"))


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(_ENTITY.findall(text)))


def embed(text: str, dim: int) -> Vector:
    """A vector of `dim` float32: the sum of one random direction per word, names weighing most, so that texts meet
    where their words do."""
    words = dict.fromkeys(re.findall(r"\w+", text)) or [text]
    total = np.zeros(dim, dtype=np.float32)
    for word in words:
        total += _direction(word.lower(), dim) * np.float32(_NAME_WEIGHT if _ENTITY.fullmatch(word) else 1)
    return total


@functools.lru_cache(maxsize=20_000)
def _direction(word: str, dim: int) -> Vector:
    seed = int.from_bytes(hashlib.md5(word.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(dim, dtype=np.float32)


def embedding_model(dim: int, *, unit: bool = False) -> Callable[..., Awaitable[Vector]]:
    """The function LightRAG's `EmbeddingFunc` wraps.

    Args:
        unit: vectors of length 1, as many models give.
    """

    async def embed_all(texts: list[str], **options: Any) -> Vector:
        rows: Vector = np.stack([embed(text, dim) for text in texts])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if unit else rows

    return embed_all


class ByteTokenizer:
    """One token per byte. Stateless, hence safe for threads and for copying."""

    def encode(self, content: str) -> list[int]:
        return list(content.encode("utf-8", "replace"))

    def decode(self, tokens: list[int]) -> str:
        return bytes(tokens).decode("utf-8", "replace")
