"""Complete LightRAG directories of any size, written in little memory: every store fits every other, as after an
ingestion, and no validation finds anything. LightRAG itself would take hours, and gigabytes, for a million entities.

Entity n is tied to its next neighbours and comes from chunk n modulo their number; ten chunks make a document.
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

_AT = 1_790_000_000
_BLOCK_ROWS = 3000
"""A multiple of three rows, so that their base64 needs no padding."""

_CHUNKS_PER_DOCUMENT = 10
_NODE_KEYS = ("entity_id", "entity_type", "description", "source_id", "file_path", "created_at", "truncate")
_EDGE_KEYS = ("weight", "description", "keywords", "source_id", "file_path", "created_at", "truncate")


@dataclass(frozen=True)
class LargeGraph:
    """How much is in a graph: `ties` relations for each entity."""

    entities: int
    ties: int
    chunks: int
    dim: int

    @property
    def relations(self) -> int:
        return self.entities * self.ties

    @property
    def documents(self) -> int:
        return -(-self.chunks // _CHUNKS_PER_DOCUMENT)

    @property
    def ids(self) -> int:
        """How many ids the stores have between them."""
        return self.entities + self.relations + self.chunks + self.documents

    def write(self, directory: Path) -> None:
        """Writes all stores to a new directory."""
        directory.mkdir(parents=True)
        write_vectors(directory / "vdb_entities.json", self.dim, self.entities, self._entity)
        write_vectors(directory / "vdb_relationships.json", self.dim, self.relations, self._relation)
        write_vectors(directory / "vdb_chunks.json", self.dim, self.chunks, self._chunk_vector)
        for name, rows in (
            ("text_chunks", map(self._chunk, range(self.chunks))),
            ("full_docs", map(self._text, range(self.documents))),
            ("doc_status", map(self._status, range(self.documents))),
            ("full_entities", map(self._entities_of, range(self.documents))),
            ("full_relations", map(self._relations_of, range(self.documents))),
            ("entity_chunks", (self._tracked(f"E{n}", n) for n in range(self.entities))),
            ("relation_chunks", (self._tracked("<SEP>".join(self._pair(n)), n) for n in range(self.relations))),
        ):
            with open(directory / f"kv_store_{name}.json", "w") as file:
                _write_rows(file, rows)
        with open(directory / "graph_chunk_entity_relation.graphml", "w") as file:
            self._write_graph(file)

    # ---- who comes from where ----

    def _pair(self, relation: int) -> tuple[str, str]:
        one, tie = divmod(relation, self.ties)
        first, second = sorted((f"E{one}", f"E{(one + tie + 1) % self.entities}"))
        return first, second

    def _source(self, entity: int) -> str:
        return self._chunk_id(entity % self.chunks)

    def _source_of_relation(self, relation: int) -> str:
        return self._source(relation // self.ties)

    def _document_id(self, document: int) -> str:
        return "doc-" + _md5(f"report-{document}.txt")

    def _chunk_id(self, chunk: int) -> str:
        document, order = divmod(chunk, _CHUNKS_PER_DOCUMENT)
        return f"{self._document_id(document)}-chunk-{order:03d}"

    def _chunks_of(self, document: int) -> range:
        first = document * _CHUNKS_PER_DOCUMENT
        return range(first, min(first + _CHUNKS_PER_DOCUMENT, self.chunks))

    def _entities_in(self, document: int) -> Iterator[int]:
        for chunk in self._chunks_of(document):
            yield from range(chunk, self.entities, self.chunks)

    # ---- rows ----

    def _entity(self, number: int) -> str:
        name = f"E{number}"
        return (
            f'"__id__": "ent-{_md5(name)}", "__created_at__": {_AT}, "entity_name": "{name}", "content": "{name}\\n'
            f'{name} is one of many.", "source_id": "{self._source(number)}", "file_path": "many.txt"'
        )

    def _relation(self, number: int) -> str:
        one, other = self._pair(number)
        return (
            f'"__id__": "rel-{_md5(one + other)}", "__created_at__": {_AT}, "src_id": "{one}", "tgt_id": "{other}",'
            f' "source_id": "{self._source_of_relation(number)}", "content": "near\\t{one}\\n{other}\\nThey are near.",'
            ' "file_path": "many.txt"'
        )

    def _chunk_vector(self, number: int) -> str:
        document = number // _CHUNKS_PER_DOCUMENT
        return (
            f'"__id__": "{self._chunk_id(number)}", "__created_at__": {_AT}, "content": "Part {number} tells of many.",'
            f' "full_doc_id": "{self._document_id(document)}", "file_path": "report-{document}.txt"'
        )

    def _chunk(self, number: int) -> str:
        document, order = divmod(number, _CHUNKS_PER_DOCUMENT)
        return (
            f'"{self._chunk_id(number)}": {{"tokens": 5, "content": "Part {number} tells of many.", "chunk_order_index"'
            f': {order}, "full_doc_id": "{self._document_id(document)}", "file_path": "report-{document}.txt"}}'
        )

    def _text(self, document: int) -> str:
        return f'"{self._document_id(document)}": {{"content": "Many.", "file_path": "report-{document}.txt"}}'

    def _status(self, document: int) -> str:
        chunks = ", ".join(f'"{self._chunk_id(chunk)}"' for chunk in self._chunks_of(document))
        return (
            f'"{self._document_id(document)}": {{"status": "processed", "content_summary": "Many.", "content_length": 5'
            f', "file_path": "report-{document}.txt", "chunks_count": {len(self._chunks_of(document))}, "chunks_list":'
            f' [{chunks}], "created_at": "2026-01-01T00:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00"}}'
        )

    def _entities_of(self, document: int) -> str:
        names = [f'"E{n}"' for n in self._entities_in(document)]
        return f'"{self._document_id(document)}": {{"entity_names": [{", ".join(names)}], "count": {len(names)}}}'

    def _relations_of(self, document: int) -> str:
        numbers = (n * self.ties + tie for n in self._entities_in(document) for tie in range(self.ties))
        pairs = ['["{}", "{}"]'.format(*self._pair(n)) for n in numbers]
        return f'"{self._document_id(document)}": {{"relation_pairs": [{", ".join(pairs)}], "count": {len(pairs)}}}'

    def _tracked(self, name: str, number: int) -> str:
        source = self._source_of_relation(number) if "<SEP>" in name else self._source(number)
        return f'"{name}": {{"chunk_ids": ["{source}"], "count": 1, "update_time": {_AT}}}'

    # ---- the graph ----

    def _write_graph(self, file: IO[str]) -> None:
        file.write("<?xml version='1.0' encoding='utf-8'?>\n")
        file.write('<graphml xmlns="http://graphml.graphdrawing.org/xmlns">')
        for first, kind, keys in ((0, "node", _NODE_KEYS), (len(_NODE_KEYS), "edge", _EDGE_KEYS)):
            for number, key in enumerate(keys, first):
                type_ = {"weight": "double", "created_at": "long"}.get(key, "string")
                file.write(f'<key id="d{number}" for="{kind}" attr.name="{key}" attr.type="{type_}"/>\n')
        file.write('<graph edgedefault="undirected">')
        for number in range(self.entities):
            values = (f"E{number}", "concept", "One of many.", self._source(number), "many.txt", str(_AT), "")
            file.write(f'<node id="E{number}">{_data(0, values)}</node>\n')
        for number in range(self.relations):
            values = ("1.0", "They are near.", "near", self._source_of_relation(number), "many.txt", str(_AT), "")
            one, other = self._pair(number)
            file.write(f'<edge source="{one}" target="{other}">{_data(len(_NODE_KEYS), values)}</edge>\n')
        file.write("</graph></graphml>")


def write_vectors(path: Path, dim: int, rows: int, fields: Callable[[int], str]) -> None:
    """Writes a vector file of random rows as LightRAG would; `fields` gives the members of each record but `vector`."""

    def block(first: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        generator = np.random.Generator(np.random.PCG64(first))
        return generator.standard_normal((min(_BLOCK_ROWS, rows - first), dim), dtype=np.float32)

    with open(path, "wb") as file:
        file.write(b'{"embedding_dim": %d, "data": [' % dim)
        for first in range(0, rows, _BLOCK_ROWS):
            for number, row in enumerate(block(first).astype(np.float16), first):
                payload = base64.b64encode(zlib.compress(row.tobytes()))
                separator = b", " if number else b""
                file.write(b'%s{%s, "vector": "%s"}' % (separator, fields(number).encode(), payload))
        file.write(b'], "matrix": "')
        for first in range(0, rows, _BLOCK_ROWS):
            some = block(first)
            file.write(base64.b64encode((some / np.linalg.norm(some, axis=1, keepdims=True)).tobytes()))
        file.write(b'"}')


def _write_rows(file: IO[str], rows: Iterator[str]) -> None:
    separator = "{"
    for row in rows:
        file.write(separator + row)
        separator = ", "
    file.write("}")


def _data(first: int, values: tuple[str, ...]) -> str:
    return "".join(f'<data key="d{number}">{value}</data>' for number, value in enumerate(values, first))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
