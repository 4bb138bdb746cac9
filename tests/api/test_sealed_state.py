"""A sealed storage path that is used over HTTP: its database tells no more than its repositories."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.web import Web, application, asking, serving

from lightrag_bkp import BackupManager
from lightrag_bkp.receiving.here import open_keys
from lightrag_bkp.recovery import DisasterRecoveryManager
from lightrag_bkp.replication import ReplicationManager
from lightrag_bkp.state import cover

PASSPHRASE = "correct horse battery staple"
NOWHERE = "http://127.0.0.1:1"


@dataclass
class Used:
    """A storage path after all kinds of use, what was said in it, and what it answered."""

    storage: Path
    secrets: list[bytes]
    operations: list[dict[str, Any]]
    events: list[dict[str, Any]]
    logs: list[dict[str, Any]]

    def manager(self, passphrase: str | None = PASSPHRASE) -> BackupManager:
        return _manager(self.storage, passphrase)


def _manager(storage: Path, passphrase: str | None) -> BackupManager:
    backup = BackupManager(storage, passphrase=passphrase)
    backup.register_graph("g", storage.parent / "hush-directory")
    backup.register_graph("gone", storage.parent / "hush-nowhere")
    return backup


def _app(backup: BackupManager) -> Any:
    replication = ReplicationManager(storage_path=backup.storage_path, keyring=backup.keyring)
    return application(backup, replication, DisasterRecoveryManager(backup))


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Used]:
    directory = tmp_path_factory.mktemp("sealed")
    source = directory / "hush-directory"
    source.mkdir()
    (source / "hush-item").write_text("hush-content")
    with serving(application(BackupManager(directory / "there"))) as there:
        key = open_keys(directory / "there").add("osaka", "replicate")[1]
        with asking(_app(_manager(directory / "storage", PASSPHRASE))) as web:
            said = _use(web, there, key)
            shown = _shown(web)
    secrets = [b"hush", os.fsencode(source), *said]
    yield Used(directory / "storage", secrets, *shown)


def _use(web: Web, there: str, key: str) -> list[bytes]:
    """Everything that leaves words; returns what may not be found."""
    assert web.waited("POST", "/backup/graphs/gone/snapshots").status >= 400, "before there is a key"
    path = "/backup/graphs/g/snapshots"
    taken = web.ask("POST", path, {"metadata": {"hush-name": "hush-value"}}, Prefer="wait=60", Idempotency_Key="once")
    assert taken.status == 201, taken
    one = f"{path}/{taken.document['backup_id']}"
    assert web.ask("POST", f"{one}/hold", {"holder": "hush-holder"}).status == 200
    assert web.waited("POST", f"{one}/restore", {"dry_run": True}).status == 200
    assert web.waited("POST", f"{one}/restore").status == 200
    assert web.waited("POST", f"{one}/restore", {"items": ["hush-missing"]}).status >= 400
    assert web.waited("POST", f"{one}/verify", {"level": "data"}).status in (200, 422)
    point = web.waited("POST", "/recovery/checkpoints", {"graph_ids": ["g"], "description": "hush-description"})
    assert point.status == 201, point
    at = f"/recovery/checkpoints/{point.document['checkpoint_id']}"
    assert web.waited("POST", f"{at}/failover").status == 200
    for name, url, its_key in (("osaka", there, key), ("nowhere", NOWHERE, None)):
        made = web.ask("POST", "/replication/targets", {"name": name, "base_url": url, "api_key": its_key})
        assert web.ask("PUT", f"/replication/graphs/g/targets/{made.document['target_id']}").status == 204
    sent = web.waited("POST", "/replication/graphs/g/replicate", {"patience_s": 0})
    assert "osaka" in str(sent.document)
    return [str(taken.document["backup_id"]).encode(), str(taken.document["data_hash"]).encode()]


def _shown(web: Web) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    listed = web.ask("GET", "/operations?page_size=200").document["operations"]
    each = [web.ask("GET", f"/operations/{one['operation_id']}").document for one in listed]
    events = web.ask("GET", "/events?page_size=200", Accept="application/json").document["events"]
    logs = web.ask("GET", "/replication/graphs/g/logs").document["logs"]
    return each, events, logs


def test_no_byte_of_it_says_what_was_done(used: Used) -> None:
    for path in used.storage.rglob("*"):
        if path.is_file() and "packs" not in path.parts:
            content = path.read_bytes()
            assert not [secret for secret in used.secrets if secret in content], path
    said = str([used.operations, used.events, used.logs])
    for word in ("hush-value", "hush-item", "hush-missing", "hush-nowhere", "hush-holder"):
        assert word in said, "who has the key is told"
    assert {log["status"] for log in used.logs} > {"COMPLETED"}


def test_who_starts_again_is_told_the_same_with_the_key_and_nothing_without(
    used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cover, "_OWN_KEY", os.urandom(32))  # another process
    with asking(_app(used.manager())) as web:
        operations, events, logs = _shown(web)
        assert (operations, events, logs) == (used.operations, used.events, used.logs)
        assert "hush-nowhere" in str(operations[-1]["error"]), "the failure before there was a key"
        path = "/backup/graphs/g/snapshots"
        body = {"metadata": {"hush-name": "hush-value"}}
        again = web.ask("POST", path, body, Prefer="wait=60", Idempotency_Key="once")
        assert again.status == 201 and again.document["metadata"] == body["metadata"]
    for wrong in ("wrong", None):
        monkeypatch.setattr(cover, "_OWN_KEY", os.urandom(32))
        with asking(_app(used.manager(wrong))) as web:
            operations, events, logs = _shown(web)
            assert {one["detail"] for one in events} == {cover.CLOSED}
            assert {log["error_message"] for log in logs} == {None, cover.CLOSED}
            assert not [one for one in operations if one["result"] or one["target"] or one["progress"]]
            failed = web.waited("POST", "/backup/graphs/gone/snapshots")
            assert failed.status >= 400 and "not with the key this" not in failed.document["detail"], failed
    test_no_byte_of_it_says_what_was_done(used)
