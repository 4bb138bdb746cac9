"""Snapshots over HTTP: taken, listed, judged, brought back, held, deleted, cleaned up."""

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from support import check, dying
from support.beside import beside
from support.serving import Kept, ended, taken
from support.web import KEY, PREFIX, Web, application, serving

from lightrag_bkp import BackupManager, capture
from lightrag_bkp.api import schemas, schemas_backup
from lightrag_bkp.api.auth import WRONG_KEYS
from lightrag_bkp.receiving.here import open_keys
from lightrag_bkp.recovery import DisasterRecoveryManager


def test_a_snapshot_is_taken_behind_an_operation(web: Web, graph: Kept) -> None:
    answer = web.ask("POST", graph.path, {"metadata": {"n": 1}, "tags": {"why": "upgrade"}})
    begun = schemas.OperationAnswer.model_validate(answer.document)
    place = answer.headers["Location"]
    assert answer.status == 202 and place == answer.headers["Operation-Location"]
    assert place.endswith(f"/operations/{begun.operation_id}") and begun.kind == "snapshot"
    done = ended(web, begun.operation_id)
    assert done["state"] == "succeeded" and done["error"] is None and done["finished_at"]
    snapshot = schemas_backup.SnapshotAnswer.model_validate(done["result"])
    assert done["target"] == snapshot.backup_id and done["graph_id"] == graph.graph_id
    assert snapshot.metadata == {"n": 1, "why": "upgrade"} and snapshot.tags == {"why": "upgrade"}
    assert snapshot.verdict == "usable" and snapshot.size_bytes > 0
    (listed,) = web.ask("GET", graph.path).document["snapshots"]
    assert listed["backup_id"] == snapshot.backup_id and listed["data_hash"] == snapshot.data_hash


def test_one_that_is_waited_for_is_made(web: Web, graph: Kept) -> None:
    answer = web.waited("POST", graph.path)
    made = schemas_backup.SnapshotAnswer.model_validate(answer.document)
    assert answer.status == 201 and answer.headers["Preference-Applied"] == "wait=60"
    assert answer.headers["Location"].endswith(f"{graph.path}/{made.backup_id}")
    shown = web.ask("GET", f"{graph.path}/latest")
    found = schemas_backup.SnapshotDetails.model_validate(shown.document)
    assert shown.status == 200 and found.backup_id == made.backup_id and found.items_complete
    assert {one.name for one in found.items if one.type == "file"} >= {"kv_store_full_docs.json", "vdb_chunks.json"}
    assert found.validation is not None and found.validation.verdict == "usable"
    assert web.ask("GET", f"{graph.path}/{made.backup_id[:-3]}").document == shown.document


@pytest.mark.parametrize("place", ["metadata", "tags"])
@pytest.mark.parametrize("levels", [32, 900, 100_000])
def test_metadata_nested_too_deep_are_refused_at_once(web: Web, plain: Kept, place: str, levels: int) -> None:
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    body = f'{{"{place}": {{"a": {"[" * levels}{"]" * levels}}}}}'
    answer = web.client.post(web.url + PREFIX + plain.path, content=body, headers=headers)
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
    if place == "metadata" and levels < 1000:
        assert answer.json()["detail"].endswith("it is nested deeper than 32 levels; flatten it")
    assert web.ask("GET", plain.path).document["snapshots"] == []


async def test_metadata_stored_too_deep_spoil_no_listing(
    web: Web, plain: Kept, manager: BackupManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As versions before the bound stored them."""
    with monkeypatch.context() as before:
        before.setattr(capture, "is_within", lambda *_: True)
        graph = manager.require_graph(plain.graph_id)
        deep = await graph.create_snapshot(metadata=json.loads('{"a":' + "[" * 400 + "]" * 400 + "}"))
    good = await graph.create_snapshot(metadata={"k": "u"})
    listed = web.ask("GET", plain.path).document["snapshots"]
    assert {one["backup_id"]: one["metadata"] for one in listed} == {deep.backup_id: None, good.backup_id: {"k": "u"}}


def test_a_listing_comes_in_pages(web: Web, plain: Kept) -> None:
    ids = [taken(web, plain)["backup_id"] for _ in range(12)][::-1]
    first = web.ask("GET", f"{plain.path}?page_size=10")
    document = schemas_backup.SnapshotsAnswer.model_validate(first.document)
    assert [one.backup_id for one in document.snapshots] == ids[:10]
    pages = document.pagination
    assert (pages.total_count, pages.total_pages, pages.has_next, pages.has_prev) == (12, 2, True, False)
    assert document.next is not None
    rest = web.ask("GET", document.next.partition("backup-replication")[2]).document
    assert [one["backup_id"] for one in rest["snapshots"]] == ids[10:] and rest["next"] is None
    assert rest["pagination"]["has_prev"] and not rest["pagination"]["has_next"]


def test_a_graph_comes_back_where_it_lives(web: Web, graph: Kept) -> None:
    snapshot = taken(web, graph)["backup_id"]
    before = {one.name: one.read_bytes() for one in graph.directory.iterdir() if one.is_file()}
    (graph.directory / "kv_store_full_docs.json").write_text("{}")
    path = f"{graph.path}/{snapshot[:-2]}/restore"
    plan = schemas_backup.RestoreAnswer.model_validate(web.waited("POST", path, {"dry_run": True}).document)
    assert plan.dry_run and plan.counts["replace"] == 1 and plan.item_count == len(plan.items)
    assert (graph.directory / "kv_store_full_docs.json").read_text() == "{}"
    answer = web.waited("POST", path)
    done = schemas_backup.RestoreAnswer.model_validate(answer.document)
    assert answer.status == 200 and done.snapshot_id == snapshot and done.safety_snapshot and done.restart_required
    assert {one.name: one.read_bytes() for one in graph.directory.iterdir() if one.is_file()} == before
    assert check.findings(graph.directory) == []


def test_single_items_and_clones_come_back(web: Web, graph: Kept) -> None:
    snapshot = taken(web, graph)["backup_id"]
    path = f"{graph.path}/{snapshot}/restore"
    for name in ("kv_store_full_docs.json", "kv_store_text_chunks.json"):
        (graph.directory / name).write_text("{}")
    only = web.waited("POST", path, {"items": ["kv_store_full_docs.json"], "allow_unusable": True}).document
    assert [one["name"] for one in only["items"]] == ["kv_store_full_docs.json"]
    none = web.waited("POST", path, {"items": []})  # of a filter that let nothing through: nothing would come back
    assert (none.status, none.slug) == (422, "invalid")
    assert (graph.directory / "kv_store_text_chunks.json").read_text() == "{}"
    clone = web.waited("POST", path, {"workspace": "copy"}).document
    assert Path(clone["target_dir"]) == graph.directory / "copy"
    assert (graph.directory / "copy" / "kv_store_full_docs.json").stat().st_size > 2
    again = web.waited("POST", path, {"workspace": "copy"})
    assert (again.status, again.slug) == (409, "conflict")
    assert "say replace" in again.document["detail"] and "=True" not in again.document["detail"]
    assert web.waited("POST", path, {"workspace": "copy", "replace": True}).status == 200, "what it advises helps"


def test_what_is_held_stays(web: Web, plain: Kept) -> None:
    snapshot = taken(web, plain)["backup_id"]
    path = f"{plain.path}/{snapshot}"
    held = schemas_backup.HoldAnswer.model_validate(web.ask("POST", f"{path}/hold", {"holder": "audit"}).document)
    assert held.held and held.changed and held.holders == ["audit"]
    refused = web.ask("DELETE", path)
    assert (refused.status, refused.slug) == (409, "conflict") and "audit" in refused.document["detail"]
    assert not web.ask("POST", f"{path}/hold", {"holder": "audit"}).document["changed"]
    free = web.ask("POST", f"{path}/release", {"holder": "audit"}).document
    assert not free["held"] and free["holders"] == []
    deleted = web.ask("DELETE", path)
    assert (
        deleted.status == 200 and schemas_backup.DeletedSnapshot.model_validate(deleted.document).backup_id == snapshot
    )
    assert web.ask("DELETE", path).status == 404


@pytest.mark.parametrize("level", ["catalogue", "digests", "drill"])
def test_a_snapshot_is_verified(web: Web, graph: Kept, level: str) -> None:
    taken(web, graph)
    answer = web.waited("POST", f"{graph.path}/latest/verify", {"level": level})
    outcome = schemas_backup.VerifyAnswer.model_validate(answer.document)
    assert answer.status == 200 and outcome.ok and outcome.level == level
    assert outcome.verdict == ("usable" if level == "drill" else None)


def test_rot_is_an_answer_and_names_the_pack(web: Web, plain: Kept, storage: Path) -> None:
    (plain.directory / "noise").write_bytes(os.urandom(100_000))
    taken(web, plain)
    assert web.waited("POST", f"/backup/graphs/{plain.graph_id}/verify").document["ok"]
    (pack,) = (one for one in (storage / "graphs" / plain.graph_id / "packs").iterdir() if one.stat().st_size > 90_000)
    rotten = bytearray(pack.read_bytes())
    rotten[50_000] ^= 1
    os.chmod(pack, 0o640)
    pack.write_bytes(rotten)
    answer = web.waited("POST", f"/backup/graphs/{plain.graph_id}/verify", {"level": "digests"})
    assert answer.status == 200 and not answer.document["ok"]
    assert pack.name in str(answer.document["findings"])
    (plain.directory / "noise").unlink()
    broken = web.waited("POST", f"{plain.path}/latest/restore")
    assert (broken.status, broken.slug) == (500, "damaged") and broken.document["detail"]


def test_a_clean_up_says_what_it_drops(web: Web, plain: Kept, manager: BackupManager) -> None:
    known = manager.require_graph(plain.graph_id)
    known.retention_days = 1
    ids = [taken(web, plain)["backup_id"] for _ in range(2)]
    body: dict[str, Any] = {"graph_id": plain.graph_id, "dry_run": True}
    plan = schemas_backup.CleanupAnswer.model_validate(web.waited("POST", "/backup/cleanup", body).document)
    said = plan.graphs[plain.graph_id]
    assert plan.deleted_snapshots == 0 and said.kept == 2 and said.snapshots is not None
    assert [one.backup_id for one in said.snapshots] == ids and all(one.keep and one.reason for one in said.snapshots)
    web.ask("DELETE", f"{plain.path}/{ids[0]}")
    done = schemas_backup.CleanupAnswer.model_validate(
        web.waited("POST", "/backup/cleanup", body | {"dry_run": False}).document
    )
    assert not done.dry_run and done.graphs[plain.graph_id].kept == 1


def test_a_clean_up_of_all_goes_on_beside_a_damaged_graph(
    web: Web, plain: Kept, graph: Kept, storage: Path, manager: BackupManager
) -> None:
    taken(web, plain), taken(web, graph)
    for entry in (storage / "graphs" / plain.graph_id / "log").iterdir():
        os.chmod(entry, 0o640)
        entry.write_bytes(b"no entry")
    answer = web.waited("POST", "/backup/cleanup")
    graphs = schemas_backup.CleanupAnswer.model_validate(answer.document).graphs
    failed = graphs[plain.graph_id].error
    assert answer.status == 200 and failed is not None and failed.code == "DAMAGED"
    assert graphs[graph.graph_id].error is None and graphs[graph.graph_id].kept == 1
    manager.close()  # what was read once is not read again
    listed = {one["graph_id"]: one for one in web.ask("GET", "/backup/graphs?page_size=200").document["graphs"]}
    assert listed[plain.graph_id]["error"] and listed[graph.graph_id]["error"] is None


def test_graphs_and_figures_are_told(web: Web, reader: Web, plain: Kept) -> None:
    snapshot = taken(web, plain)
    graphs = schemas_backup.GraphsAnswer.model_validate(web.ask("GET", "/backup/graphs?page_size=200").document).graphs
    (mine,) = (one for one in graphs if one.graph_id == plain.graph_id)
    assert (mine.registered, mine.snapshots, mine.latest) == (True, 1, snapshot["backup_id"])
    assert mine.source_dir == str(plain.directory) and mine.latest_at is not None
    stats = schemas_backup.StatsAnswer.model_validate(web.ask("GET", "/backup/stats").document)
    assert stats.total_graphs == len(stats.graphs) and stats.total_snapshots >= 1 and stats.total_stored_bytes > 0
    assert schemas_backup.StatsAnswer.model_validate(reader.ask("GET", "/backup/stats").document).storage_path is None


def test_who_may_only_read_is_told_no_places(web: Web, reader: Web, plain: Kept, storage: Path) -> None:
    answer = web.waited("POST", plain.path)
    operation = answer.headers["Operation-Location"].partition("backup-replication")[2]
    restored = web.waited("POST", f"{plain.path}/latest/restore").headers["Operation-Location"]
    paths = [plain.path, f"{plain.path}/latest", "/backup/graphs?page_size=200", "/backup/stats", operation]
    paths += [restored.partition("backup-replication")[2], "/operations", f"{plain.path}/unknown"]
    for path in paths:
        said = str(reader.ask("GET", path).document)
        assert str(plain.directory) not in said and str(storage) not in said, path
        assert "backup_id" in said or "graph" in said or "operation" in said


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "slug"),
    [
        ("POST", "/backup/graphs/unknown/snapshots", {}, 404, "not-found"),
        ("GET", "/backup/graphs/unknown/snapshots", None, 404, "not-found"),
        ("GET", "/backup/graphs/..%2Fup/snapshots", None, 404, "not-found"),
        ("GET", "/backup/graphs/-wrong/snapshots", None, 422, "invalid"),
        ("GET", "{path}?page_size=9", None, 422, "invalid"),
        ("GET", "{path}?page=0", None, 422, "invalid"),
        ("GET", "{path}/nothing", None, 404, "not-found"),
        ("GET", "{path}/2?items=some", None, 422, "invalid"),
        ("DELETE", "{path}/nothing", None, 404, "not-found"),
        ("POST", "{path}", {"unknown": 1}, 422, "invalid"),
        ("POST", "{path}", {"metadata": {"a": "x"}, "tags": {"a": "y"}}, 422, "invalid"),
        ("POST", "{path}", {"metadata": {"a": "x" * 20_000}}, 422, "invalid"),
        ("POST", "{path}", {"on_busy": "never"}, 422, "invalid"),
        ("POST", "{path}/nothing/restore", {}, 404, "not-found"),
        ("POST", "{path}/latest/restore", {"target_dir": "/tmp"}, 422, "invalid"),
        ("POST", "{path}/latest/restore", {"workspace": "../up"}, 422, "invalid"),
        ("POST", "{path}/latest/restore", {"items": ["nothing"]}, 404, "not-found"),
        ("POST", "{path}/latest/verify", {"level": "all"}, 422, "invalid"),
        ("POST", "{path}/latest/restore", {"items": ["\ud800"]}, 422, "invalid"),
        ("POST", "{path}/latest/restore", {"items": ["nul\0"]}, 422, "invalid"),
        ("POST", "{path}/latest/restore", {"items": ["\udc80"]}, 404, "not-found"),
        ("POST", "{path}/latest/hold", {"holder": ""}, 422, "invalid"),
        ("POST", "{path}/latest/hold", {"holder": "nul\0"}, 422, "invalid"),
        ("POST", "{path}/latest/hold", {"holder": "\ud800"}, 422, "invalid"),
        ("POST", "{path}/latest/hold", {"holder": "recovery:20260101T000000Z-deadbeef"}, 422, "invalid"),
        ("POST", "{path}/latest/release", {"holder": "recovery:20260101T000000Z-deadbeef"}, 422, "invalid"),
        ("POST", "/backup/cleanup", {"graph_id": "unknown"}, 404, "not-found"),
        ("POST", "/backup/cleanup", {"graph_id": "../up"}, 422, "invalid"),
        ("GET", "/backup/nothing", None, 404, "not-found"),
        ("PUT", "/backup/cleanup", {}, 405, "method-not-allowed"),
    ],
)
def test_what_cannot_be_is_a_problem(
    web: Web, plain: Kept, method: str, path: str, body: object, status: int, slug: str
) -> None:
    taken(web, plain)
    answer = web.waited(method, path.replace("{path}", plain.path), body)
    assert (answer.status, answer.slug) == (status, slug), answer
    schemas.BackupProblem.model_validate(answer.document)
    assert len(answer.document["detail"]) > 10


def test_a_source_that_is_gone_is_said_and_nothing_is_left(web: Web, plain: Kept) -> None:
    (plain.directory / "notes").unlink()
    plain.directory.rmdir()
    answer = web.waited("POST", plain.path)
    assert (answer.status, answer.slug) == (404, "not-found")
    assert web.ask("GET", plain.path).document["snapshots"] == []


def test_a_graph_at_work_is_busy(web: Web, graph: Kept) -> None:
    store = graph.directory / "kv_store_full_docs.json"

    def work(stop: threading.Event) -> None:
        while not stop.wait(0.02):
            (graph.directory / "new").write_bytes(store.read_bytes())
            os.replace(graph.directory / "new", store)

    with beside(work):
        answer = web.waited("POST", graph.path, {"on_busy": "fail", "validate": "off"})
        assert (answer.status, answer.slug) == (409, "busy") and store.name in answer.document["detail"]
    assert taken(web, graph, on_busy="crash")["consistency"] == "crash"


def test_an_unusable_graph_replaces_none(web: Web, graph: Kept) -> None:
    spoilt = graph.directory / "kv_store_full_docs.json"
    whole = spoilt.read_bytes()
    spoilt.write_text("{}")
    assert taken(web, graph, on_busy="crash")["verdict"] == "unusable"
    spoilt.write_bytes(whole)
    answer = web.waited("POST", f"{graph.path}/latest/restore")
    assert (answer.status, answer.slug) == (412, "refused") and spoilt.read_bytes() == whole
    assert web.waited("POST", f"{graph.path}/latest/restore", {"allow_unusable": True}).status == 200


def test_a_storage_that_is_gone_is_said(plain: Kept, tmp_path: Path) -> None:
    """By every route, with every key and to who only asks whether it is ready; nothing is made in its place, and
    once it is back all is well.
    """
    storage = tmp_path / "disk" / "storage"
    manager = BackupManager(storage)
    manager.register_graph(plain.graph_id, plain.directory)
    with serving(application(manager, recovery=DisasterRecoveryManager(manager))) as url:
        web, reader = Web(url), Web(url, open_keys(storage).add("watcher", "read")[1])
        taken(web, plain)
        (tmp_path / "disk").rename(tmp_path / "unmounted")
        for path in (plain.path, f"{plain.path}/latest", "/backup/graphs", "/backup/stats", "/recovery/status",
                     "/recovery/checkpoints"):  # fmt: skip
            answer = web.ask("GET", path)
            assert (answer.status, answer.slug) == (502, "storage") and "is gone" in answer.document["detail"], path
        assert web.ask("POST", plain.path, {}).slug == "storage"
        lost = [web.ask("GET", "/operations"), web.ask("GET", "/events"), web.ask("POST", "/backup/cleanup", {})]
        lost += [reader.ask("GET", "/backup/graphs") for _ in range(WRONG_KEYS + 1)]
        assert {(one.status, one.slug) for one in lost} == {(503, "state")}
        assert (ready := web.ask("GET", "/health/ready")).status == 503 and len(ready.document["reasons"]) == 2
        assert not storage.exists()
        (tmp_path / "unmounted").rename(tmp_path / "disk")
        assert web.ask("GET", "/health/ready").status == reader.ask("GET", "/operations").status == 200
        taken(web, plain)


def test_a_restore_that_died_while_it_staged_is_in_nobodys_way(web: Web, graph: Kept, storage: Path) -> None:
    """As one does whose worker is killed, while the server lives on: the graph is as it was."""
    (graph.directory / "neighbour").mkdir()  # so that it is staged within
    first = taken(web, graph)["backup_id"]
    changed = graph.directory / "kv_store_text_chunks.json"
    changed.write_text(changed.read_text() + "\n")
    work, change = graph.directory / ".lrb_restore", 0
    while not (work / "new" / changed.name).exists():
        shutil.rmtree(work, ignore_errors=True)
        assert dying.die_beside(graph.directory, storage, first, change, graph.graph_id) == 77
        change += 1
    assert not (work / "journal").exists()
    assert web.ask("GET", "/health/ready").document["ready"] is True
    assert taken(web, graph)["backup_id"] != first
    assert web.waited("POST", f"{graph.path}/{first}/restore").status == 200
    assert not work.exists() and not changed.read_text().endswith("\n")


def test_names_that_are_no_utf8_come_through(web: Web, plain: Kept) -> None:
    strange = os.fsdecode(b"caf\xe9")
    (plain.directory / strange).write_text("x")
    taken(web, plain)
    names = [one["name"] for one in web.ask("GET", f"{plain.path}/latest?items=all").document["items"]]
    assert strange in names
    (plain.directory / strange).unlink()
    done = web.waited("POST", f"{plain.path}/latest/restore", {"items": [strange]})
    assert done.status == 200 and (plain.directory / strange).read_text() == "x"
    assert web.waited("POST", f"{plain.path}/latest/restore", {"items": [strange + "s"]}).status == 404
    event = web.ask("GET", f"/events?graph_id={plain.graph_id}").document["events"][0]
    assert event["outcome"] == "failed" and "caf\\udce9s" in event["detail"]
