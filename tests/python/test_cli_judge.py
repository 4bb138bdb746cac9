"""`validate`: a page, a document, and an exit code."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from support import breaking
from support.program import Program, without_override


def test_a_usable_graph(program: Program, built_graph: Path) -> None:
    lines = program("validate", built_graph).out.splitlines()
    assert lines[0] == "verdict: usable"
    assert "6 documents (6 processed, 0 in flight, 0 failed), vectors of 64 numbers" in lines[1]
    document = program.json("validate", built_graph)
    assert (document["verdict"], document["findings"], document["workspace"]) == ("usable", [], "")
    assert document["amounts"]["documents"] == 6


def test_a_graph_that_can_be_repaired(program: Program, graph_dir: Path) -> None:
    with breaking.vector_file(graph_dir, "relationships") as file:
        file.data.clear()
        file.matrix = file.matrix[:0]
    page = program("validate", graph_dir, code=3).out
    assert page.startswith("verdict: repairable\n")
    assert "error (invariant 10): edges without a vector: " in page
    assert "  remedy: lightrag-rebuild-vdb" in page
    (finding,) = program.json("validate", graph_dir, code=3)["findings"]
    assert finding["check"] == "edge_no_vector"
    assert finding["count"] > len(finding["ids"]) == 20


def test_of_one_workspace(program: Program, graph_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    graph_dir.rename(tmp_path / "all" / "one")
    assert program.json("validate", tmp_path / "all", "--workspace", "one")["workspace"] == "one"
    assert "workspaces there: one" in program("validate", tmp_path / "all", code=1).err


def test_what_is_no_graph(program: Program, folder: Path) -> None:
    assert "no files of LightRAG" in program("validate", folder, code=1).err
    program("validate", folder / "nowhere", code=1)
    program("validate", folder, "--embedding-dim", "0", code=2)


def test_ids_cannot_act_on_a_terminal(program: Program, graph_dir: Path) -> None:
    with breaking.rows(graph_dir, "doc_status") as status:
        status["evil\x1b[2J\n"] = {"status": "done"}
    page = program("validate", graph_dir, code=3).out
    assert "\x1b" not in page
    assert "    evil\\x1b[2J\\n" in page


def test_of_a_part_a_snapshot_says_what_validate_says(program: Program, graph_dir: Path) -> None:
    (graph_dir / "vdb_chunks.json").unlink()
    whole = program("validate", graph_dir, code=3).out
    assert whole.startswith("verdict: repairable") and "--partial judges the files that are there" in whole
    part = program("validate", graph_dir, "--partial").out
    assert part.startswith("verdict: usable\n") and "--partial judges" not in part
    taken = program("snapshot", "g", graph_dir, "--partial").out
    assert "usable" in taken.splitlines()[0]
    assert (
        "the verdict is of the files that are there: with --partial, vdb_chunks.json count as kept elsewhere" in taken
    )


@pytest.mark.parametrize("place", ["vdb_entities.json", ".", ".."])
@pytest.mark.parametrize("command", [("validate",), ("snapshot", "g")], ids=["validate", "snapshot"])
def test_what_may_not_be_read_is_named(
    program: Program, graph_dir: Path, tmp_path: Path, command: tuple[str, ...], place: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    moved = graph_dir.rename(home / "rag")
    program("snapshot", "other", home / "rag", "--on-busy", "crash")  # so that the storage is there
    denied = Path(os.path.normpath(moved / place))
    mode = denied.stat().st_mode
    denied.chmod(0)
    try:
        said = replace(program, before=without_override()).sentence(*command, moved, code=1)
    finally:
        denied.chmod(mode)
    assert said.startswith(f"'{moved if place == '..' else denied}': Permission denied: check owner and mode")
