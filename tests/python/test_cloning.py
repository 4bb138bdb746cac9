"""Restores under another workspace's name, and to another INPUT_DIR."""

import json
from pathlib import Path
from typing import Any

import pytest
from lightrag.utils_pipeline import sidecar_blocks_path, sidecar_uri_for
from support import check, graphs
from support.folders import fingerprint

from lightrag_bkp import BackupManager, GraphBackup
from lightrag_bkp.errors import ConflictError, InvalidInputError
from lightrag_bkp.sources.names import FULL_DOCS

pytestmark = pytest.mark.usefixtures("short_rest")

GRAPH = "graph_chunk_entity_relation.graphml"


@pytest.fixture
def graph(graph_dir: Path, tmp_path: Path) -> GraphBackup:
    return BackupManager(tmp_path / "storage").register_graph("g", graph_dir)


def stores(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


# ---- clones ----


async def test_a_clone_lives_beside_its_original(graph_dir: Path, tmp_path: Path) -> None:
    """The original runs all the while; both are worked with afterwards, and neither sees the other."""
    async with graphs.opened(graph_dir) as rag:
        graph = BackupManager(tmp_path / "storage").register_graph("g", rag=rag)
        snapshot = await graph.create_snapshot()
        outcome = await graph.restore(snapshot.backup_id, graph_dir, workspace="trial")
        assert (outcome.target_dir, outcome.safety_snapshot) == (str(graph_dir / "trial"), None)
        assert stores(graph_dir / "trial") == stores(graph_dir)
        async with graphs.opened(graph_dir, "trial") as trial:
            assert len(trial.doc_status._data) == 6
            await graphs.insert_documents(trial, 100, 1)
        assert len(rag.doc_status._data) == 6
        await graphs.insert_documents(rag, 200, 2)
    for workspace, count in (("", 8), ("trial", 7)):
        assert len(check.documents_by_status(graph_dir, workspace)["processed"]) == count
        assert check.findings(graph_dir, workspace) == []


async def test_a_named_workspace_becomes_the_unnamed_one(tmp_path: Path) -> None:
    await graphs.build_pipeline_graph(tmp_path / "rag", 1, "named")
    graph = BackupManager(tmp_path / "storage").register_graph("g", tmp_path / "rag", workspace="named")
    snapshot = await graph.create_snapshot()
    await graph.restore(snapshot.backup_id, tmp_path / "other", workspace="")
    assert stores(tmp_path / "other") == stores(tmp_path / "rag" / "named")


async def test_data_in_the_way_is_replaced_on_request_only(graph: GraphBackup, graph_dir: Path) -> None:
    snapshot = await graph.create_snapshot()
    await graphs.build_pipeline_graph(graph_dir, 1, "trial")
    before = stores(graph_dir / "trial")
    for dry_run in (False, True):
        with pytest.raises(ConflictError, match="holds a graph already"):
            await graph.restore(snapshot.backup_id, graph_dir, workspace="trial", dry_run=dry_run)
    assert stores(graph_dir / "trial") == before
    outcome = await graph.restore(snapshot.backup_id, graph_dir, workspace="trial", replace=True)
    assert stores(graph_dir / "trial") == stores(graph_dir)
    assert outcome.safety_snapshot is not None
    await graph.restore(outcome.safety_snapshot, graph_dir)
    assert stores(graph_dir / "trial") == before, "what was replaced comes back where it was"
    assert len(check.documents_by_status(graph_dir)["processed"]) == 6


async def test_the_snapshots_own_workspace_is_no_clone(graph: GraphBackup, graph_dir: Path) -> None:
    snapshot = await graph.create_snapshot()
    (graph_dir / GRAPH).unlink()
    await graph.restore(snapshot.backup_id, graph_dir, workspace="")
    assert check.findings(graph_dir) == []


@pytest.mark.parametrize("name", ["base", "Default", "_", "_x", "text", "full", "inputs", "a-b", "a.b", "ü", "x" * 42])
async def test_names_backends_confuse_are_refused(graph: GraphBackup, tmp_path: Path, name: str) -> None:
    snapshot = await graph.create_snapshot()
    with pytest.raises(InvalidInputError, match="cannot be used for a clone"):
        await graph.restore(snapshot.backup_id, tmp_path / "target", workspace=name)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("name", "there"), [("Team", "team"), ("team_text", "team"), ("team", "team_entity"), ("TEAM_full", "team")]
)
async def test_names_that_meet_another_workspace_are_refused(
    graph: GraphBackup, tmp_path: Path, name: str, there: str
) -> None:
    snapshot = await graph.create_snapshot()
    await graph.restore(snapshot.backup_id, tmp_path / "target", workspace=there)
    with pytest.raises(ConflictError, match=f"would be taken for {there!r}"):
        await graph.restore(snapshot.backup_id, tmp_path / "target", workspace=name)


@pytest.mark.parametrize("name", ["team", "Team_2", "7", "x" * 41, "team_texts"])
async def test_other_names_are_taken(graph: GraphBackup, tmp_path: Path, name: str) -> None:
    snapshot = await graph.create_snapshot()
    await graph.restore(snapshot.backup_id, tmp_path / "target", workspace="other")
    assert (await graph.restore(snapshot.backup_id, tmp_path / "target", workspace=name)).target_dir.endswith(name)


async def test_a_plain_directory_has_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "notes").write_text("mine")
    graph = BackupManager(tmp_path / "storage").register_graph("g", tmp_path / "plain")
    snapshot = await graph.create_snapshot()
    for words in ({"workspace": "w"}, {"input_dir": tmp_path / "inputs"}):
        with pytest.raises(InvalidInputError, match="plain directory"):
            await graph.restore(snapshot.backup_id, tmp_path / "target", **words)  # type: ignore[arg-type]


# ---- another INPUT_DIR ----

DECOY = 'She wrote "sidecar_location": "file:///inputs/__parsed__/decoy.parsed/" into the report.'


@pytest.fixture
async def parsed(tmp_path: Path) -> GraphBackup:
    """A graph with uploads, two of them parsed, as LightRAG names those; one text looks like such a name."""
    rag_dir, inputs = tmp_path / "rag", tmp_path / "in puts" / "w"
    async with graphs.opened(rag_dir, "w") as rag:
        await graphs.insert_documents(rag, 0, 2)
        await rag.ainsert([f"{DECOY} E1 works with E2."], file_paths=["decoy.txt"])
        rows = dict(rag.full_docs._data)
        for number, row in enumerate(row for row in rows.values() if DECOY not in row["content"]):
            artifacts = inputs / "__parsed__" / f"Bericht ü{number}.pdf.parsed"
            artifacts.mkdir(parents=True)
            (artifacts / "x.blocks.jsonl").write_text('{"type": "meta"}\n')
            row["sidecar_location"] = sidecar_uri_for(artifacts)
        await rag.full_docs.upsert(rows)
        await rag.full_docs.index_done_callback()
    (inputs / "waiting.txt").write_text("not parsed yet")
    manager = BackupManager(tmp_path / "storage")
    return manager.register_graph("g", rag_dir, workspace="w", input_dir=tmp_path / "in puts")


def locations(directory: Path) -> list[str]:
    rows = json.loads((directory / FULL_DOCS).read_text("utf-8"))
    return [row["sidecar_location"] for row in rows.values() if row.get("sidecar_location")]


def moved_text(before: bytes, tmp_path: Path, workspace: str) -> bytes:
    """What `full_docs` must be: other directories in the two locations, and the same bytes everywhere else."""
    old, new = (sidecar_uri_for(tmp_path / name)[: -len("/")] for name in ("in puts/w", f"elsewhere/{workspace}"))
    assert before.count(old.encode()) == 2
    return before.replace(old.encode(), new.encode())


@pytest.mark.parametrize("workspace", ["w", "copy", ""])
async def test_parsed_documents_are_looked_for_where_they_come_back(
    parsed: GraphBackup, tmp_path: Path, workspace: str
) -> None:
    snapshot = await parsed.create_snapshot()
    before = stores(tmp_path / "rag" / "w")
    outcome = await parsed.restore(
        snapshot.backup_id, tmp_path / "target", workspace=workspace, input_dir=tmp_path / "elsewhere"
    )
    root, uploads = tmp_path / "target" / workspace, tmp_path / "elsewhere" / workspace
    assert stores(root) == before | {FULL_DOCS: moved_text(before[FULL_DOCS], tmp_path, workspace)}
    assert outcome.sidecars == 2
    assert fingerprint(uploads) == fingerprint(tmp_path / "in puts" / "w")
    assert outcome.uploads == len(fingerprint(uploads))
    assert not (root / "inputs").exists()
    found = [sidecar_blocks_path(location) for location in locations(root)]
    assert len(found) == 2 and all(path and Path(path).is_relative_to(uploads) for path in found)
    async with graphs.opened(tmp_path / "target", workspace) as rag:
        assert len(rag.full_docs._data) == 3
    assert check.findings(tmp_path / "target", workspace) == []


async def test_restoring_there_again_changes_nothing(parsed: GraphBackup, tmp_path: Path) -> None:
    snapshot = await parsed.create_snapshot()
    words: dict[str, Any] = {"input_dir": tmp_path / "elsewhere"}
    await parsed.restore(snapshot.backup_id, tmp_path / "target", **words)
    before = stores(tmp_path / "target" / "w") | stores(tmp_path / "elsewhere" / "w")
    again = await parsed.restore(snapshot.backup_id, tmp_path / "target", **words)
    assert (again.changed, again.safety_snapshot) == ((), None)
    assert stores(tmp_path / "target" / "w") | stores(tmp_path / "elsewhere" / "w") == before


async def test_without_an_input_dir_every_byte_stays(parsed: GraphBackup, tmp_path: Path) -> None:
    snapshot = await parsed.create_snapshot()
    outcome = await parsed.restore(snapshot.backup_id, tmp_path / "target")
    assert (outcome.sidecars, outcome.uploads) == (0, 0)
    assert (tmp_path / "target" / "w" / FULL_DOCS).read_bytes() == (tmp_path / "rag" / "w" / FULL_DOCS).read_bytes()
    assert (tmp_path / "target" / "w" / "inputs" / "waiting.txt").exists()


async def test_uploads_are_added_to_what_is_there(parsed: GraphBackup, tmp_path: Path) -> None:
    snapshot = await parsed.create_snapshot()
    there = tmp_path / "elsewhere" / "w"
    there.mkdir(parents=True)
    (there / "another.txt").write_text("stays")
    (there / "waiting.txt").write_text("another file of that name")
    words: dict[str, Any] = {"input_dir": tmp_path / "elsewhere"}
    with pytest.raises(ConflictError, match=r"waiting\.txt.*another file"):
        await parsed.restore(snapshot.backup_id, tmp_path / "target", **words)
    assert {path.name for path in there.iterdir()} == {"another.txt", "waiting.txt"}
    assert not (tmp_path / "target").exists()
    await parsed.restore(snapshot.backup_id, tmp_path / "target", replace=True, **words)
    assert (there / "waiting.txt").read_text() == "not parsed yet"
    assert (there / "another.txt").read_text() == "stays"


async def test_an_input_directory_without_uploads_is_no_obstacle(graph_dir: Path, tmp_path: Path) -> None:
    """In one of the unnamed workspace there may be nothing but the directories of others."""
    inputs = tmp_path / "inputs"
    (inputs / "neighbour").mkdir(parents=True)
    graph = BackupManager(tmp_path / "storage").register_graph("g", graph_dir, input_dir=inputs)
    snapshot = await graph.create_snapshot()
    (graph_dir / FULL_DOCS).unlink()
    outcome = await graph.bring_home(snapshot.backup_id)
    assert (outcome.uploads, [one.name for one in outcome.changed]) == (0, [FULL_DOCS])


async def test_a_running_lightrag_gets_the_new_locations(parsed: GraphBackup, tmp_path: Path) -> None:
    snapshot = await parsed.create_snapshot()
    await parsed.restore(snapshot.backup_id, tmp_path / "target")
    async with graphs.opened(tmp_path / "target", "w") as rag:
        graph = BackupManager(tmp_path / "storage").register_graph("g", rag=rag)
        outcome = await graph.restore(snapshot.backup_id, tmp_path / "target", input_dir=tmp_path / "elsewhere")
        assert (outcome.reloaded, outcome.sidecars) == (True, 2)
        held = [row.get("sidecar_location") for row in rag.full_docs._data.values()]
        assert [one for one in held if one] == locations(tmp_path / "target" / "w")
        assert all(str(tmp_path / "elsewhere") in one for one in held if one)


@pytest.mark.parametrize("where", ["storage", "storage/inputs", "rag/w", "target", "."])
async def test_uploads_go_nowhere_they_would_harm(parsed: GraphBackup, tmp_path: Path, where: str) -> None:
    snapshot = await parsed.create_snapshot()
    with pytest.raises(ConflictError):
        await parsed.restore(snapshot.backup_id, tmp_path / "target", workspace="", input_dir=tmp_path / where)
