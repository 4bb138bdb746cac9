"""Whether the files of a LightRAG directory fit together.

Every file of a torn copy parses; what breaks is what one file says about another. These are the invariants that broke
in 93 % of naive copies, written against LightRAG's files alone, with nothing of the code under test.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx

Rows = dict[str, Any]

_SEPARATOR = "<SEP>"
_CAP = 200
"""LightRAG lists at most so many sources per entity or relation in the graph; the tracking rows are complete."""


_HAND_MADE = frozenset({"", "UNKNOWN", "manual_creation"})
"""Sources that stand for no chunk: objects made through the editing functions."""


def findings(directory: Path, workspace: str = "", *, anchors_first: bool = True) -> list[str]:
    """What is wrong with the graph in `directory`, one sentence each; empty when everything fits.

    `anchors_first`: the LightRAG that wrote it lists what a document contributes before it does; older ones list it
    when the document is processed.
    """
    graph = _Graph(directory / workspace)
    return [
        *_vector_findings(graph),
        *_chunk_findings(graph),
        *_document_findings(graph),
        *_tracking_findings(graph, graph.nodes, "entity"),
        *_tracking_findings(graph, graph.edges, "relation"),
        *_anchor_findings(graph, anchors_first),
    ]


def documents_by_status(directory: Path, workspace: str = "") -> dict[str, list[str]]:
    """Document ids by status."""
    found: dict[str, list[str]] = {}
    for doc, row in _Graph(directory / workspace).rows("doc_status").items():
        found.setdefault(row["status"], []).append(doc)
    return found


class _Graph:
    """The parsed files. An edge is known by its two names, sorted and joined."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        stored = networkx.read_graphml(directory / "graph_chunk_entity_relation.graphml")
        self.nodes = {name: _sources(attributes) for name, attributes in stored.nodes(data=True)}
        self.edges = {_edge(one, other): _sources(attributes) for one, other, attributes in stored.edges(data=True)}
        self.placeholders = {
            n for n, attributes in stored.nodes(data=True) if attributes.get("entity_type") == "UNKNOWN"
        }

    def rows(self, store: str) -> Rows:
        path = self._directory / f"kv_store_{store}.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    def vectors(self, store: str) -> list[Rows]:
        """The rows of a vector file, after a look at its matrix."""
        stored = json.loads((self._directory / f"vdb_{store}.json").read_text("utf-8"))
        matrix_bytes = len(base64.b64decode(stored["matrix"]))
        assert matrix_bytes == len(stored["data"]) * stored["embedding_dim"] * 4, (
            f"vdb_{store}.json: rows and matrix differ"
        )
        return list(stored["data"])


def _sources(attributes: Rows) -> set[str]:
    return set(attributes.get("source_id", "").split(_SEPARATOR)) - _HAND_MADE


def _edge(one: str, other: str) -> str:
    return _SEPARATOR.join(sorted((one, other)))


def _both_ways(what: str, here: set[str], there_name: str, there: set[str]) -> Iterator[str]:
    yield from (f"{what} {name} has no {there_name}" for name in sorted(here - there))
    yield from (f"{there_name} {name} has no {what}" for name in sorted(there - here))


def _vector_findings(graph: _Graph) -> Iterator[str]:
    entities = {row["entity_name"]: row for row in graph.vectors("entities")}
    relations = {_edge(row["src_id"], row["tgt_id"]): row for row in graph.vectors("relationships")}
    yield from _both_ways("node", set(graph.nodes) - graph.placeholders, "entity vector", set(entities))
    yield from _both_ways("edge", set(graph.edges), "relation vector", set(relations))
    for kind, objects, vectors in (("node", graph.nodes, entities), ("edge", graph.edges, relations)):
        for name in objects.keys() & vectors.keys():
            if objects[name] != _sources(vectors[name]):
                yield f"{kind} {name} and its vector name different sources"


def _chunk_findings(graph: _Graph) -> Iterator[str]:
    chunks = set(graph.rows("text_chunks"))
    yield from _both_ways("chunk", chunks, "chunk vector", {row["__id__"] for row in graph.vectors("chunks")})
    named = set().union(*graph.nodes.values(), *graph.edges.values())
    yield from (f"source {name} of the graph is no chunk" for name in sorted(named - chunks))


def _document_findings(graph: _Graph) -> Iterator[str]:
    chunks, texts = graph.rows("text_chunks"), graph.rows("full_docs")
    entities, relations = graph.rows("full_entities"), graph.rows("full_relations")
    for doc, row in graph.rows("doc_status").items():
        if row["status"] != "processed":
            continue
        if doc not in texts:
            yield f"processed document {doc} has no text"
        if doc not in entities or doc not in relations:
            yield f"processed document {doc} has no anchors"
        yield from (
            f"chunk {chunk} of processed document {doc} is missing"
            for chunk in row["chunks_list"]
            if chunk not in chunks
        )


def _tracking_findings(graph: _Graph, objects: dict[str, set[str]], kind: str) -> Iterator[str]:
    """Below the cap the tracking row and the graph name the same sources. What is made by hand has no tracking rows."""
    tracked = graph.rows(f"{kind}_chunks")
    if not tracked:
        return
    yield from (f"{kind} {name} has no tracking row" for name in objects if objects[name] and name not in tracked)
    yield from (f"tracking row {name} has no {kind}" for name in tracked if name not in objects)
    for name in objects.keys() & tracked.keys():
        complete = set(tracked[name]["chunk_ids"])
        if objects[name] - complete:
            yield f"tracking row of {kind} {name} lacks sources the graph names"
        elif len(complete) < _CAP and complete != objects[name]:
            yield f"tracking row of {kind} {name} names sources the graph lacks"


def _anchor_findings(graph: _Graph, anchors_first: bool) -> Iterator[str]:
    """Every contribution of a document to the graph is listed under the document, or a later delete could not find
    it."""
    processed = {doc for doc, row in graph.rows("doc_status").items() if row["status"] == "processed"}
    owner = {chunk: row["full_doc_id"] for chunk, row in graph.rows("text_chunks").items()}
    names = {doc: set(row["entity_names"]) for doc, row in graph.rows("full_entities").items()}
    pairs = {doc: {_edge(*pair) for pair in row["relation_pairs"]} for doc, row in graph.rows("full_relations").items()}
    for kind, objects, anchors in (("node", graph.nodes, names), ("edge", graph.edges, pairs)):
        if not anchors:
            continue
        for name, sources in objects.items():
            for doc in {owner[source] for source in sources if source in owner}:
                if name not in anchors.get(doc, ()) and (anchors_first or doc in processed):
                    yield f"{kind} {name} is not listed under its document {doc}"
