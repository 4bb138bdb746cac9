"""Recovery points over HTTP: made, tried, brought back as one, undone, and let go."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.web import Answer, Web, application, asking, serving

from lightrag_bkp import BackupManager
from lightrag_bkp.doctor import elsewhere
from lightrag_bkp.receiving.here import open_keys
from lightrag_bkp.recovery import DisasterRecoveryManager
from lightrag_bkp.state import State


@dataclass
class Site:
    """Two graphs, and who asks for them."""

    directory: Path
    web: Web

    def write(self, text: str) -> None:
        for name in ("sales", "support"):
            (self.directory / name).mkdir(exist_ok=True)
            (self.directory / name / "notes").write_text(f"{name}: {text}")

    def read(self) -> set[str]:
        return {(self.directory / name / "notes").read_text().partition(": ")[2] for name in ("sales", "support")}

    def new_point(self) -> dict[str, Any]:
        body = {"graph_ids": ["support", "sales"], "description": "before the upgrade"}
        made = self.web.waited("POST", "/recovery/checkpoints", body)
        assert made.status == 201, made
        assert made.headers["location"].endswith(f"/recovery/checkpoints/{made.document['checkpoint_id']}")
        return made.document

    def at(self, point: dict[str, Any], method: str, what: str = "", body: object = None) -> Answer:
        return self.web.waited(method, f"/recovery/checkpoints/{point['checkpoint_id']}{what}", body)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("recovery")
    backup = BackupManager(directory / "storage")
    for name in ("sales", "support"):
        backup.register_graph(name, directory / name)
    with serving(application(backup, None, DisasterRecoveryManager(backup))) as url:
        site = Site(directory, Web(url))
        site.write("first")
        yield site


def test_graphs_are_brought_back_as_one_and_that_is_undone(site: Site) -> None:
    site.write("good")
    point = site.new_point()
    assert (point["graphs"], point["validated"], point["unusable"]) == (["sales", "support"], False, [])
    validated = site.at(point, "POST", "/validate")
    assert (validated.status, validated.document["ok"], validated.document["problems"]) == (200, True, [])
    shown = site.at(point, "GET").document
    assert shown["validated"] and shown["validation_timestamp"] and shown["failovers"] == [] and shown["advice"] is None
    drilled = site.at(point, "POST", "/drill")
    assert drilled.document["ok"] and [one["graph_id"] for one in drilled.document["graphs"]] == point["graphs"]
    site.write("spoilt")
    planned = site.at(point, "POST", "/failover", {"dry_run": True})
    assert planned.document["dry_run"] and site.read() == {"spoilt"}
    done = site.at(point, "POST", "/failover")
    assert done.document["ok"] and site.read() == {"good"}
    assert site.at(point, "POST", "/undo").document["undo"] and site.read() == {"spoilt"}
    (past,) = site.at(point, "GET").document["failovers"]
    assert past["state"] == "undone" and past["ok"]


def test_what_is_written_down_is_shown(site: Site) -> None:
    point = site.new_point()
    listed = site.web.ask("GET", "/recovery/checkpoints").document
    assert point["checkpoint_id"] in [one["checkpoint_id"] for one in listed["checkpoints"]]
    assert (listed["unreadable"], listed["left_held"]) == ({}, [])
    status = site.web.ask("GET", "/recovery/status").document
    assert status["latest"]["checkpoint_id"] == point["checkpoint_id"]
    health = site.web.ask("GET", "/recovery/health").document
    assert health["overall_status"] in ("healthy", "degraded") and health["timestamp"]
    assert set(health["graphs"]) == set(health["backups"]) == set(health["replication"]) == {"sales", "support"}
    assert site.web.ask("GET", "/recovery/checkpoints/latest").document["checkpoint_id"] == point["checkpoint_id"]


def test_what_is_written_down_names_no_place_to_who_only_reads(site: Site) -> None:
    site.new_point()
    site.at({"checkpoint_id": "latest"}, "POST", "/failover", {"dry_run": True})
    reader = site.web.as_one_with(open_keys(site.directory / "storage").add("reader", "read")[1])
    for path in ("/recovery/health", "/recovery/status", "/recovery/checkpoints/latest", "/operations",
                 "/recovery/checkpoints"):  # fmt: skip
        answer = reader.ask("GET", path)
        assert answer.status == 200 and str(site.directory) not in json.dumps(answer.document), path
    assert str(site.directory) in json.dumps(site.web.ask("GET", "/recovery/health").document)


def test_a_point_is_deleted_and_its_snapshots_let_go(site: Site) -> None:
    point = site.new_point()
    taken = point["snapshots"]["sales"]["id"]
    shown = site.web.ask("GET", f"/backup/graphs/sales/snapshots/{taken}").document
    assert shown["holders"] == [f"recovery:{point['checkpoint_id']}"]
    assert site.at(point, "DELETE").status == 204 and site.at(point, "DELETE").slug == "not-found"
    assert not site.web.ask("GET", f"/backup/graphs/sales/snapshots/{taken}").document["held"]


# ---- what fails ----


def test_a_point_that_cannot_come_back_is_refused_and_says_so(site: Site) -> None:
    point = site.new_point()
    packs = site.directory / "storage" / "graphs" / "sales" / "packs"
    shutil.move(packs, packs.with_name("away"))
    try:
        validated = site.at(point, "POST", "/validate")
        assert validated.status == 200 and not validated.document["ok"] and validated.document["problems"]
        refused = site.at(point, "POST", "/failover")
        assert (refused.status, refused.slug) == (412, "refused")
        assert site.at(point, "GET").document["problems"]
    finally:
        shutil.move(packs.with_name("away"), packs)
    assert site.at(point, "POST", "/undo").slug == "refused"


def test_a_failover_that_is_rolled_back_is_a_failure(site: Site) -> None:
    point = site.new_point()
    assert site.at(point, "POST", "/validate").document["ok"]
    site.write("kept")
    (site.directory / "support" / "notes").unlink()
    shutil.rmtree(site.directory / "support")
    (site.directory / "support").write_text("in the way")  # the second graph cannot be brought back
    failed = site.at(point, "POST", "/failover")
    assert (failed.status, failed.slug, failed.document["code"]) == (500, "failover-failed", "FAILOVER_FAILED"), failed
    outcome = failed.document["outcome"]
    assert not outcome["ok"] and outcome["rolled_back"] and outcome["error"] in failed.document["detail"]
    assert (site.directory / "sales" / "notes").read_text() == "sales: kept"
    (site.directory / "support").unlink()
    site.write("kept")


def test_a_point_that_is_damaged_is_a_failure_that_says_so(site: Site) -> None:
    point = site.new_point()
    record = site.directory / "storage" / "recovery_points" / point["checkpoint_id"] / f"{0:020}"
    whole = record.read_bytes()
    record.chmod(0o600)
    record.write_bytes(whole[:-1])
    answer = site.at(point, "GET")
    assert (answer.status, answer.slug) == (500, "damaged") and point["checkpoint_id"] in answer.document["detail"]
    assert point["checkpoint_id"] in site.web.ask("GET", "/recovery/checkpoints").document["unreadable"]
    assert site.web.ask("GET", "/recovery/checkpoints/latest").status == 412
    assert site.at(point, "DELETE").status == 204


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/recovery/checkpoints", {"graph_ids": []}, 422),
        ("POST", "/recovery/checkpoints", {"graph_ids": "sales"}, 422),
        ("POST", "/recovery/checkpoints", {"graph_ids": ["../up"]}, 422),
        ("POST", "/recovery/checkpoints", {"graph_ids": ["sales"], "path": "/tmp"}, 422),
        ("POST", "/recovery/checkpoints", None, 422),
        ("POST", "/recovery/checkpoints", {"graph_ids": ["sales", "unknown"]}, 404),
        ("GET", "/recovery/checkpoints/unknown", None, 404),
        ("DELETE", "/recovery/checkpoints/unknown", None, 404),
        ("POST", "/recovery/checkpoints/unknown/validate", None, 404),
        ("POST", "/recovery/checkpoints/unknown/validate", {"level": "deep"}, 422),
        ("POST", "/recovery/checkpoints/unknown/drill", None, 404),
        ("POST", "/recovery/checkpoints/unknown/failover", None, 404),
        ("POST", "/recovery/checkpoints/unknown/failover", {"elsewhere": True}, 422),
        ("POST", "/recovery/checkpoints/unknown/failover", {"dry_run": "perhaps"}, 422),
        ("POST", "/recovery/checkpoints/unknown/undo", None, 404),
        ("GET", "/recovery/checkpoints?page_size=1", None, 422),
    ],
)
def test_what_cannot_be_is_refused(site: Site, method: str, path: str, body: Any, status: int) -> None:
    answer = site.web.waited(method, path, body)
    assert answer.status == status and answer.slug, answer


def test_a_beginning_of_several_is_none(site: Site) -> None:
    points = [site.new_point(), site.new_point()]
    answer = site.web.ask("GET", "/recovery/checkpoints/2")
    assert answer.status == 422 and points[1]["checkpoint_id"] in answer.document["detail"]
    assert site.at(points[0] | {"checkpoint_id": points[0]["checkpoint_id"][:-1]}, "GET").status == 200


# ---- probes ----


def test_an_orchestrator_is_told_whether_it_is_ready(tmp_path: Path) -> None:
    backup = BackupManager(tmp_path / "storage")
    backup.register_graph("sales", tmp_path / "sales")
    (tmp_path / "sales").mkdir()
    with asking(application(backup), None) as web:
        assert web.ask("GET", "/health/live").document == {"status": "alive"}
        assert web.ask("GET", "/health/ready").document == {"ready": True, "reasons": []}
        if (tmp_path / "storage").exists():
            shutil.rmtree(tmp_path / "storage")
        (tmp_path / "storage").write_text("no directory")
        answer = web.ask("GET", "/health/ready")
    assert answer.status == 503 and "the storage cannot be read" in answer.document["reasons"]
    assert str(tmp_path) not in json.dumps(answer.document) and int(answer.headers["retry-after"]) >= 1


def test_a_damaged_database_is_said(tmp_path: Path) -> None:
    backup = BackupManager(tmp_path / "storage")
    with asking(application(backup), None) as web:
        file = _with_a_damaged_page(tmp_path / "storage")
        answer = web.ask("GET", "/health/ready")
        (reason,) = answer.document["reasons"]
        assert answer.status == 503 and reason.startswith("the database is damaged: ") and str(file) not in reason
    (found,) = asyncio.run(elsewhere.look(backup))
    assert "database is damaged" in found.message


def _with_a_damaged_page(storage: Path) -> Path:
    """The database of a storage path, made, and then with nonsense for its table of events."""
    file = storage / "state/replication.db"
    with State(f"sqlite:///{file}", "").connected():
        pass
    with sqlite3.connect(file) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    with open(file, "r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)
    return file
