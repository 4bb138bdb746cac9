"""Copies over HTTP, from one application to another that receives below the same prefix."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.folders import fingerprint
from support.web import PREFIX, Answer, Web, application, asking, serving

from lightrag_bkp import BackupManager
from lightrag_bkp.api.auth import PROBES
from lightrag_bkp.receiving.here import open_keys
from lightrag_bkp.replication import ReplicationManager
from lightrag_bkp.sync import BackupManager as SyncBackupManager

NOWHERE = "http://127.0.0.1:1"


@dataclass
class World:
    """An instance, and another one that copies go to. `here` asks the first."""

    directory: Path
    here: Web
    there: Web

    @property
    def source(self) -> Path:
        return self.directory / "source"

    def key_for_there(self, name: str, scope: str = "replicate") -> str:
        return open_keys(self.directory / "there").add(name, scope)[1]

    def added(self, name: str, **more: Any) -> Answer:
        """A target is registered."""
        return self.here.ask("POST", "/replication/targets", {"name": name, "base_url": self.there.url} | more)

    def new_target(self, name: str, **more: Any) -> str:
        answer = self.added(name, **more)
        assert answer.status == 201, answer
        return str(answer.document["target_id"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("replication")
    (directory / "source" / "deep").mkdir(parents=True)
    (directory / "source" / "deep" / "notes").write_text("first")
    (directory / "source" / "big").write_bytes(bytes(range(256)) * 12_000)
    backup = BackupManager(directory / "here")
    backup.register_graph("alpha", directory / "source")
    replication = ReplicationManager(storage_path=directory / "here")
    receiving = application(BackupManager(directory / "there"))
    with serving(application(backup, replication)) as here, serving(receiving) as there:
        yield World(directory, Web(here), Web(there))


# ---- the whole way ----


def test_a_snapshot_goes_to_another_instance_and_comes_back_from_there(world: World) -> None:
    assert world.here.waited("POST", "/backup/graphs/alpha/snapshots").status == 201
    key = world.key_for_there("tokyo")
    target_id = world.new_target("tokyo", api_key=key)
    seen = world.here.ask("GET", f"/replication/targets/{target_id}/health").document
    assert (seen["status"], seen["name"]) == ("HEALTHY", "tokyo"), seen
    assert world.here.ask("PUT", f"/replication/graphs/alpha/targets/{target_id}").status == 204
    done = world.here.waited("POST", "/replication/graphs/alpha/replicate")
    assert done.status == 200 and done.document["ok"], done
    operation = done.headers["operation-location"].removeprefix(PREFIX)
    told = world.here.ask("GET", operation).document["progress"]
    assert (told["phase"], told["items_done"], told["items_total"]) == ("send", 1, 1)
    assert told["bytes_in"] == told["bytes_total"] > 0
    (status,) = world.here.ask("GET", "/replication/graphs/alpha/status").document["targets"]
    assert status["lag"] == {"entries": 0, "bytes": 0, "seconds": 0.0, "known": True}
    (log,) = world.here.ask("GET", "/replication/graphs/alpha/logs").document["logs"]
    assert (log["status"], log["name"], log["is_there"]) == ("COMPLETED", "tokyo", True) and log["bytes"] > 0
    again = world.here.waited("POST", "/replication/graphs/alpha/replicate", {"target_id": target_id})
    assert again.document["replications"][0]["bytes"] < 4096

    replica = SyncBackupManager(world.directory / "there" / "replicas" / "tokyo")
    replica.require_graph("alpha").restore("latest", world.directory / "back")
    assert fingerprint(world.directory / "back") == fingerprint(world.source)
    looked_at = ("/operations", "/events?page_size=200")
    everything = [world.here.ask("GET", path, Accept="application/json").document for path in looked_at]
    assert key not in json.dumps(everything)
    world.here.ask("DELETE", f"/replication/graphs/alpha/targets/{target_id}")


def test_the_receiver_asks_for_keys_of_its_own(world: World) -> None:
    """LightRAG's key and keys of other scopes send nothing."""
    for key, status in ((None, 401), (world.there.key, 401), (world.key_for_there("me", "admin"), 403)):
        answer = world.there.as_one_with(key).ask("GET", "/receive/capabilities")
        assert answer.status == status and answer.document["retryable"] is False
        assert answer.slug == ("receive:unauthenticated" if status == 401 else "receive:other-scope")
    asked = world.there.as_one_with(world.key_for_there("osaka")).ask("GET", "/receive/capabilities")
    assert asked.status == 200 and asked.document["product"] == "lightrag-bkp"
    assert asked.document["limits"]["body_bytes"] < 1 << 20, "LightRAG takes no longer bodies"


def test_without_a_storage_nothing_is_received(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTRAG_BACKUP_STORAGE_PATH", str(tmp_path))
    app = application()
    with asking(app) as web:
        answer = web.ask("GET", "/receive/capabilities")
    assert (answer.status, answer.slug, answer.document["retryable"]) == (503, "receive:not-ready", True)
    assert answer.document["instance"] == f"{PREFIX}/receive/capabilities" and answer.headers["retry-after"] == "60"
    assert not [path for path in app.openapi()["paths"] if "/receive" in path], "it has a page of its own"


# ---- targets ----


def test_targets_are_registered_listed_changed_and_removed(world: World) -> None:
    made = world.added("paris", api_key="secret-of-paris", enabled=False)
    target_id = made.document["target_id"]
    assert (made.status, made.headers["location"]) == (201, f"{PREFIX}/replication/targets/{target_id}")
    assert set(made.document) == {"target_id", "name", "base_url", "enabled", "created_at"}
    listed = world.here.ask("GET", "/replication/targets?page_size=200").document
    assert made.document in listed["targets"] and listed["pagination"]["total_count"] >= 1
    changed = world.here.ask("PATCH", f"/replication/targets/{target_id}", {"name": "lyon", "enabled": True})
    assert changed.document == made.document | {"name": "lyon", "enabled": True}
    assert world.here.ask("GET", f"/replication/targets/{target_id}").document == changed.document
    with ReplicationManager(storage_path=world.directory / "here") as kept:
        target = kept.get_target(target_id)
    assert target is not None and target.api_key == "secret-of-paris"
    assert world.here.ask("DELETE", f"/replication/targets/{target_id}").status == 204
    assert world.here.ask("DELETE", f"/replication/targets/{target_id}").slug == "not-found"
    events = world.here.ask("GET", "/events?page_size=200", Accept="application/json").document["events"]
    kinds = [(one["kind"], one["outcome"]) for one in events if one["target"] == target_id]
    assert kinds == [("target_remove", "failed"), ("target_remove", "succeeded"), ("target_change", "succeeded"),
                     ("target_add", "succeeded")]  # fmt: skip
    assert "secret-of-paris" not in json.dumps(events)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"base_url": "http://127.0.0.1:2"}, 422),  # the key that is kept is for another server
        ({"base_url": "ftp://127.0.0.1:1"}, 422),
        ({"name": " "}, 422),
        ({"name": "taken"}, 409),
        ({"api_key": ""}, 422),
        ({"enabled": "perhaps"}, 422),
        ({"target_id": "other"}, 422),
        ({"ca_file": "/etc/passwd"}, 422),
        ({"base_url": "http://127.0.0.1:2", "api_key": "k"}, 200),
        ({}, 200),
    ],
    ids=repr,
)
def test_a_target_is_changed_or_stays_what_it_was(world: World, change: dict[str, Any], status: int) -> None:
    taken, target_id = world.added("taken"), world.new_target("mine", base_url=NOWHERE, api_key="first")
    before = world.here.ask("GET", f"/replication/targets/{target_id}").document
    answer = world.here.ask("PATCH", f"/replication/targets/{target_id}", change)
    assert answer.status == status, answer
    after = world.here.ask("GET", f"/replication/targets/{target_id}").document
    assert after == (before if status != 200 else answer.document)
    for one in (target_id, taken.document["target_id"]):
        world.here.ask("DELETE", f"/replication/targets/{one}")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "there", "base_url": NOWHERE}, 409),
        ({"name": "other", "base_url": NOWHERE, "target_id": "there"}, 409),
        ({"name": "x"}, 422),
        ({"name": "x", "base_url": "http://user:word@host"}, 422),
        ({"name": "x", "base_url": "https://127.1"}, 422),
        ({"name": "x\n", "base_url": NOWHERE}, 422),
        ({"name": "x", "base_url": NOWHERE, "api_key": "two\nlines"}, 422),
        ({"name": "x", "base_url": NOWHERE, "bytes_per_second": 0}, 422),
        ({"name": "x", "base_url": NOWHERE, "target_id": "a/b"}, 422),
        ({"name": "x", "base_url": NOWHERE, "password": "?"}, 422),
        ([], 422),
    ],
    ids=repr,
)
def test_what_cannot_be_a_target_is_refused(world: World, body: Any, status: int) -> None:
    world.added("there", base_url=NOWHERE, target_id="there")
    answer = world.here.ask("POST", "/replication/targets", body)
    assert answer.status == status and answer.slug, answer
    assert "two\nlines" not in answer.document["detail"]


def test_a_target_is_not_asked_without_end(world: World) -> None:
    target_id = world.new_target("asked", base_url=NOWHERE)
    answers = [world.here.ask("GET", f"/replication/targets/{target_id}/health") for _ in range(PROBES + 1)]
    assert [one.status for one in answers] == [200] * PROBES + [429]
    assert answers[0].document["status"] == "UNREACHABLE" and int(answers[-1].headers["retry-after"]) >= 1
    other = world.new_target("another", base_url=NOWHERE)
    assert world.here.ask("GET", f"/replication/targets/{other}/health").status == 200


def test_a_target_where_nobody_may_be_connected_is_sent_nothing(world: World) -> None:
    answer = world.added("metadata", base_url="http://169.254.169.254/", api_key="secret", allow_private=True)
    assert answer.status == 422 and "leads to an address where no target can be" in answer.document["detail"], answer


# ---- what fails ----


def test_what_no_target_took_is_a_failure_that_says_why(world: World) -> None:
    world.here.waited("POST", "/backup/graphs/alpha/snapshots")
    target_id = world.new_target("wrong", api_key=world.key_for_there("reader", "read"))
    world.here.ask("PUT", f"/replication/graphs/alpha/targets/{target_id}")
    failed = world.here.waited("POST", "/replication/graphs/alpha/replicate")
    assert (failed.status, failed.slug, failed.document["code"]) == (502, "not-replicated", "NOT_REPLICATED")
    (one,) = failed.document["replications"]
    assert one["status"] == "REFUSED" and "wrong" in failed.document["detail"]
    world.here.ask("PATCH", f"/replication/targets/{target_id}", {"enabled": False})
    assert world.here.waited("POST", "/replication/graphs/alpha/replicate").slug == "refused"
    named = {"target_id": target_id}
    assert world.here.waited("POST", "/replication/graphs/alpha/replicate", named).slug == "refused"
    assert world.here.ask("DELETE", f"/replication/graphs/alpha/targets/{target_id}").status == 204
    assert world.here.ask("DELETE", f"/replication/graphs/alpha/targets/{target_id}").status == 404
    world.here.ask("DELETE", f"/replication/targets/{target_id}")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/replication/targets/unknown", None, 404),
        ("PATCH", "/replication/targets/unknown", {"name": "x"}, 404),
        ("DELETE", "/replication/targets/unknown", None, 404),
        ("GET", "/replication/targets/unknown/health", None, 404),
        ("PUT", "/replication/graphs/alpha/targets/unknown", None, 404),
        ("DELETE", "/replication/graphs/alpha/targets/unknown", None, 404),
        ("POST", "/replication/graphs/unknown/replicate", None, 404),
        ("POST", "/replication/graphs/alpha/replicate", {"target_id": "unknown"}, 404),
        ("POST", "/replication/graphs/alpha/replicate", {"snapshot_id": "unknown"}, 404),
        ("POST", "/replication/graphs/alpha/replicate", {"patience_s": -1}, 422),
        ("POST", "/replication/targets", {"name": "x", "base_url": "https://a.example\0"}, 422),
        ("POST", "/replication/targets", {"name": "x", "base_url": "https://a.example", "api_key": "\ud800"}, 422),
        ("POST", "/replication/targets", {"name": "x", "base_url": "https://a.example", "api_key": "nul\0"}, 422),
        ("GET", "/replication/graphs/alpha/logs?target_id=a/b", None, 422),
        ("GET", "/replication/graphs/unknown/status", None, 200),
        ("GET", "/replication/graphs/unknown/logs", None, 200),
    ],
)
def test_what_is_not_there_is_named(world: World, method: str, path: str, body: Any, status: int) -> None:
    answer = world.here.waited(method, path, body)
    assert answer.status == status and (status == 200 or answer.slug), answer


HOSTILE = ["..", "%2e%2e", "..%2f..%2fetc", "a%00b", "%00", "a%2Fb", "x" * 5000, "%F0%9F%92%A9", "%ff%fe", "a%0Ab"]
HOSTILE += ["-x", "'", "${x}"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/replication/targets/{}"),
        ("PATCH", "/replication/targets/{}"),
        ("DELETE", "/replication/targets/{}"),
        ("GET", "/replication/targets/{}/health"),
        ("GET", "/replication/graphs/{}/status"),
        ("GET", "/replication/graphs/{}/logs"),
        ("PUT", "/replication/graphs/{}/targets/{}"),
        ("POST", "/replication/graphs/{}/replicate"),
        ("GET", "/recovery/checkpoints/{}"),
        ("POST", "/recovery/checkpoints/{}/failover"),
        ("DELETE", "/recovery/checkpoints/{}"),
        ("GET", "/receive/graphs/{}"),
    ],
)
def test_names_that_lead_elsewhere_lead_nowhere(world: World, method: str, path: str, name: str) -> None:
    body = {"name": "x"} if method == "PATCH" else None
    answer = world.here.ask(method, path.format(name, name), body)
    assert answer.status in (401, 404, 405, 422, 503 if path.startswith("/recovery") else 422), answer
    assert str(world.directory) not in json.dumps(answer.document)
