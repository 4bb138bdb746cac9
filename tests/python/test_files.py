"""Which names of a LightRAG directory are taken, and what a set of open descriptors is worth."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightrag_bkp.errors import IncompleteSourceError, NotFoundError, StorageError
from lightrag_bkp.sources import files, names

WHOLE = (
    "kv_store_full_docs.json",
    "kv_store_text_chunks.json",
    "kv_store_full_entities.json",
    "kv_store_full_relations.json",
    "kv_store_entity_chunks.json",
    "kv_store_relation_chunks.json",
    "kv_store_llm_response_cache.json",
    "kv_store_doc_status.json",
    "vdb_entities.json",
    "vdb_relationships.json",
    "vdb_chunks.json",
    "graph_chunk_entity_relation.graphml",
)


def write_graph(directory: Path, wanted: tuple[str, ...] = WHOLE) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        (directory / name).write_text("{}")
    return directory


def replace(path: Path, text: str) -> None:
    """As LightRAG writes: a sibling, then a rename."""
    temporary = path.with_name(f"{path.name}.tmp.1.2.3")
    temporary.write_text(text)
    os.replace(temporary, path)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "rag")


@pytest.fixture
def pins(graph: Path) -> Iterator[files.Pins]:
    pinned = files.pin(files.detect(graph))
    yield pinned
    pinned.close()


def test_detect_the_empty_workspace(graph: Path) -> None:
    layout = files.detect(graph)
    assert (layout.kind, layout.root, layout.workspace) == (files.Kind.LIGHTRAG, str(graph), "")


def test_detect_a_named_workspace(tmp_path: Path) -> None:
    write_graph(tmp_path / "space")
    layout = files.detect(tmp_path, "space")
    assert (layout.root, layout.working_dir) == (str(tmp_path / "space"), str(tmp_path))


def test_detect_resolves_a_linked_directory(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(graph)
    assert files.detect(tmp_path / "link").root == str(graph)


def test_detect_names_the_workspaces_when_the_empty_one_has_nothing(tmp_path: Path) -> None:
    write_graph(tmp_path / "b")
    write_graph(tmp_path / "a")
    with pytest.raises(NotFoundError, match="workspaces there: a, b"):
        files.detect(tmp_path)


@pytest.mark.parametrize("workspace", ["", "space"])
def test_a_fresh_graph_is_an_error_not_an_empty_snapshot(tmp_path: Path, workspace: str) -> None:
    (tmp_path / workspace).mkdir(exist_ok=True)
    with pytest.raises(NotFoundError):
        files.detect(tmp_path, workspace)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        files.detect(tmp_path / "nowhere")


def test_any_other_directory_is_plain(tmp_path: Path) -> None:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    write_graph(tmp_path / "deep" / "deeper")
    assert files.detect(tmp_path).kind is files.Kind.PLAIN


def test_pin_takes_every_store_and_nothing_else(graph: Path) -> None:
    write_graph(graph / "other_workspace")
    for name in ("lightrag.log", "vdb_chunks.json.tmp.1.2.3", "notes.txt"):
        (graph / name).write_text("x")
    (graph / "scan_spool").mkdir()
    pinned = files.pin(files.detect(graph))
    try:
        assert set(pinned.fds) == set(WHOLE)
        assert dict(pinned.skipped) == {
            "lightrag.log": "log",
            "vdb_chunks.json.tmp.1.2.3": "half-written file of LightRAG",
            "notes.txt": "not one of LightRAG's files",
            "scan_spool": "disposable spool of LightRAG's directory scan",
            "other_workspace": "other workspace or foreign directory",
        }
    finally:
        pinned.close()


def test_doc_status_and_full_docs_are_opened_first(pins: files.Pins) -> None:
    assert list(pins.fds)[:2] == ["kv_store_doc_status.json", "kv_store_full_docs.json"]


def test_descriptors_are_the_moment_they_were_opened_at(graph: Path, pins: files.Pins) -> None:
    for name in WHOLE:
        replace(graph / name, "changed")
    assert {os.pread(fd, 100, 0) for fd in pins.fds.values()} == {b"{}"}


def test_nothing_moved_while_nothing_is_written(graph: Path, pins: files.Pins) -> None:
    (graph / "vdb_chunks.json.tmp.1.2.3").write_text("in the making")
    assert files.moved(pins) == []


def test_moved_names_what_was_replaced_rewritten_removed_or_added(graph: Path, pins: files.Pins) -> None:
    replace(graph / "vdb_chunks.json", "{}")
    (graph / "vdb_entities.json").write_text("rewritten in place")
    (graph / "kv_store_full_docs.json").unlink()
    (graph / "kv_store_new.json").write_text("{}")
    assert files.moved(pins) == [
        "kv_store_full_docs.json",
        "kv_store_new.json",
        "vdb_chunks.json",
        "vdb_entities.json",
    ]


def test_close_gives_every_descriptor_back(graph: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    pinned = files.pin(files.detect(graph))
    assert len(os.listdir("/proc/self/fd")) == before + len(WHOLE)
    pinned.close()
    pinned.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_descriptors_are_given_back_when_pinning_fails(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))
    real = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "vdb_relationships.json":
            raise PermissionError(13, "refused", path)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError, match=r"vdb_relationships\.json'"):
        files.pin(files.detect(graph))
    monkeypatch.undo()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_symlinked_store_is_recorded_and_said(graph: Path, tmp_path: Path) -> None:
    (graph / "vdb_chunks.json").rename(tmp_path / "elsewhere.json")
    (graph / "vdb_chunks.json").symlink_to(tmp_path / "elsewhere.json")
    pinned = files.pin(files.detect(graph))
    try:
        assert pinned.links == ["vdb_chunks.json"]
        assert "symbolic link" in dict(pinned.skipped)["vdb_chunks.json"]
        with pytest.raises(IncompleteSourceError, match=r"vdb_chunks\.json.*symbolic link"):
            files.refuse_incomplete(pinned)
    finally:
        pinned.close()


def test_only_what_could_be_pinned_counts_as_moved(graph: Path) -> None:
    stranger = graph / "kv_store_old.json"
    stranger.mkdir()
    pinned = files.pin(files.detect(graph))
    try:
        assert pinned.skipped == [(stranger.name, "a directory, not a regular file")]
        assert files.moved(pinned) == []
        stranger.rmdir()
        stranger.write_text("{}")
        assert files.moved(pinned) == [stranger.name]
    finally:
        pinned.close()


def test_what_stands_in_a_stores_place_is_named(graph: Path) -> None:
    for name in ("vdb_chunks.json", "vdb_entities.json"):
        (graph / name).unlink()
    (graph / "vdb_entities.json").mkdir()
    pinned = files.pin(files.detect(graph))
    said = (
        f"vdb_entities.json is a directory, not a regular file; vdb_chunks.json missing in {str(graph)!r}: that part of"
        " the graph is not in files here, or LightRAG has not written it yet; put the file itself there, or pass "
    )
    try:
        with pytest.raises(IncompleteSourceError, match=re.escape(said)):
            files.refuse_incomplete(pinned)
    finally:
        pinned.close()


def test_a_fifo_in_a_stores_place_neither_blocks_nor_counts(graph: Path) -> None:
    (graph / "vdb_chunks.json").unlink()
    os.mkfifo(graph / "vdb_chunks.json")
    pinned = files.pin(files.detect(graph))
    try:
        assert ("vdb_chunks.json", "a FIFO, not a regular file") in pinned.skipped
        assert "vdb_chunks.json" not in pinned.fds
    finally:
        pinned.close()


def test_configuration_store_is_taken_but_never_its_locks(graph: Path) -> None:
    config = graph / "_lightrag_config"
    config.mkdir()
    for name in ("kv_server_config.json", "storage_anchor.json", ".lightrag_storage.lock"):
        (config / name).write_text("{}")
    pinned = files.pin(files.detect(graph))
    try:
        assert {"_lightrag_config/kv_server_config.json", "_lightrag_config/storage_anchor.json"} < set(pinned.fds)
        assert pinned.skipped == [("_lightrag_config/.lightrag_storage.lock", "lock file")]
        replace(config / "kv_server_config.json", "{}")
        assert files.moved(pinned) == ["_lightrag_config/kv_server_config.json"]
    finally:
        pinned.close()


def test_incomplete_graph_is_refused_naming_the_file(graph: Path) -> None:
    (graph / "graph_chunk_entity_relation.graphml").unlink()
    pinned = files.pin(files.detect(graph))
    try:
        with pytest.raises(IncompleteSourceError, match=r"graph_chunk_entity_relation\.graphml"):
            files.refuse_incomplete(pinned)
    finally:
        pinned.close()


@pytest.mark.parametrize(
    ("head", "expected"),
    [('{"embedding_dim": 1024, "data": []}', 1024), ('{"data": [], "embedding_dim": 8}', None), ("", None)],
)
def test_embedding_dim_is_read_from_the_head(graph: Path, head: str, expected: int | None) -> None:
    for namespace in names.VECTOR_NAMESPACES:
        (graph / f"vdb_{namespace}.json").write_text(head)
    pinned = files.pin(files.detect(graph))
    try:
        assert files.embedding_dim(pinned) == expected
    finally:
        pinned.close()
