"""LightRAG directories broken on purpose: each function breaks one thing and says where.

Files are parsed, changed and written as LightRAG writes them, with nothing of the code under test.
"""

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path
from typing import Any

import networkx
import numpy as np

Rows = dict[str, Any]
SEPARATOR = "<SEP>"
GRAPH = "graph_chunk_entity_relation.graphml"


def store(name: str) -> str:
    """File name of a key-value store."""
    return f"kv_store_{name}.json"


def vectors(name: str) -> str:
    """File name of a vector store."""
    return f"vdb_{name}.json"


@contextmanager
def rows(directory: Path, name: str) -> Iterator[Rows]:
    """The rows of a key-value store, written back at the end."""
    path = directory / store(name)
    found = json.loads(path.read_text("utf-8"))
    yield found
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False), "utf-8")


class Vectors:
    """A vector file: its records, and the matrix as an array of rows."""

    def __init__(self, raw: Rows) -> None:
        self.raw = raw
        self.data: list[Rows] = raw["data"]
        self.matrix = np.frombuffer(base64.b64decode(raw["matrix"]), "<f4").reshape(-1, raw["embedding_dim"]).copy()

    def text(self) -> str:
        self.raw["data"] = self.data
        self.raw["matrix"] = base64.b64encode(self.matrix.astype("<f4").tobytes()).decode()
        return json.dumps(self.raw, ensure_ascii=False)


@contextmanager
def vector_file(directory: Path, name: str) -> Iterator[Vectors]:
    """A vector file, written back at the end."""
    path = directory / vectors(name)
    found = Vectors(json.loads(path.read_text("utf-8")))
    yield found
    path.write_text(found.text(), "utf-8")


@contextmanager
def graph(directory: Path) -> Iterator[Any]:
    """The graph, written back at the end."""
    path = directory / GRAPH
    found = networkx.read_graphml(path)
    yield found
    networkx.write_graphml(found, path)


def half(numbers: Any) -> str:
    """A vector as LightRAG keeps it in a record."""
    return base64.b64encode(zlib.compress(np.asarray(numbers).astype("<f2").tobytes())).decode()


def digest(text: str) -> str:
    return md5(text.encode()).hexdigest()


def any_node(g: Any) -> str:
    """The same one each time."""
    return min(g.nodes)


def any_edge(g: Any) -> tuple[str, str]:
    return min(tuple(sorted(edge)) for edge in g.edges)


def edge_key(edge: tuple[str, str]) -> str:
    return SEPARATOR.join(sorted(edge))


# ---- text, as a hostile or unlucky hand changes it ----


def replace_bytes(directory: Path, name: str, old: bytes, new: bytes) -> None:
    path = directory / name
    content = path.read_bytes()
    assert old in content, f"{old!r} is not in {name}"
    path.write_bytes(content.replace(old, new, 1))


def truncate(directory: Path, name: str, share: float = 0.5) -> None:
    path = directory / name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def reformat(directory: Path, change: Callable[[Rows], Rows] = lambda row: row, **how: Any) -> None:
    """Writes every JSON file anew, in another layout of the same values."""
    for path in directory.glob("*.json"):
        path.write_text(json.dumps(change(json.loads(path.read_text("utf-8"))), **how), "utf-8")


def reversed_keys(value: Any) -> Any:
    """The same value with the members of all objects in reverse order."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(one) for one in value] if isinstance(value, list) else value
