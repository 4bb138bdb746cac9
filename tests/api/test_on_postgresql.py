"""The routes with their state on PostgreSQL, in two applications that share it: what one did the other tells."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.postgres import postgres_server
from support.serving import Kept, taken
from support.web import Web, application, serving

from lightrag_bkp import BackupManager
from lightrag_bkp.receiving.keys import KeyRing
from lightrag_bkp.replication import ReplicationManager
from lightrag_bkp.state import State


@dataclass(frozen=True)
class Pair:
    """Two applications, on two loops, over one storage path and one database."""

    one: Web
    other: Web
    kept: Kept
    state: State


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    place = tmp_path_factory.mktemp("shared")
    kept = Kept("alpha", place / "source")
    kept.directory.mkdir()
    (kept.directory / "notes").write_text("first")
    with (
        postgres_server() as url,
        serving(_served(place, kept, url)) as one,
        serving(_served(place, kept, url)) as other,
    ):
        yield Pair(Web(one), Web(other), kept, State(url, str(place / "key")))


def _served(place: Path, kept: Kept, url: str) -> object:
    backup = BackupManager(place / "storage")
    backup.register_graph(kept.graph_id, kept.directory)
    replication = ReplicationManager(url, key_file=place / "key", storage_path=place / "storage")
    return application(backup, replication)


def test_targets_are_everybodys(pair: Pair) -> None:
    made = pair.one.ask(
        "POST", "/replication/targets", {"name": "there", "base_url": "https://there.example", "api_key": "k"}
    )
    place = f"/replication/targets/{made.document['target_id']}"
    assert made.status == 201 and pair.other.ask("GET", place).document["name"] == "there"
    assert pair.other.ask("PUT", f"/replication/graphs/alpha/targets/{made.document['target_id']}").status == 204
    assert pair.one.ask("GET", "/replication/graphs/alpha/status").document["total_targets"] == 1
    assert pair.other.ask("PATCH", place, {"enabled": False}).status == 200
    assert pair.one.ask("GET", place).document["enabled"] is False
    assert pair.one.ask("DELETE", place).status == 204
    assert pair.other.ask("GET", place).slug == "not-found"


def test_work_is_done_once_for_a_key_whoever_is_asked(pair: Pair) -> None:
    def asked(web: Web, body: object) -> str:
        answer = web.ask("POST", pair.kept.path, body, Idempotency_Key="nightly", Prefer="wait=60")
        return str(answer.document.get("backup_id", answer.document.get("code")))

    first = asked(pair.one, {})
    assert asked(pair.other, {}) == first
    assert asked(pair.other, {"tags": {"another": "request"}}) == "KEY_REUSED"
    listed = pair.other.ask("GET", "/operations?kind=snapshot&page_size=10").document["operations"]
    assert [one["target"] for one in listed] == [first]
    whole = pair.other.ask("GET", f"/operations/{listed[0]['operation_id']}").document
    assert (whole["state"], whole["result"]["backup_id"]) == ("succeeded", first)
    assert pair.one.ask("DELETE", f"/operations/{listed[0]['operation_id']}").status == 409


def test_events_are_told_in_one_order_everywhere(pair: Pair) -> None:
    taken(pair.one, pair.kept)
    pair.other.ask("POST", f"{pair.kept.path}/latest/hold", {"holder": "me"})
    pair.one.ask("POST", f"{pair.kept.path}/latest/release", {"holder": "me"})
    told = [web.ask("GET", "/events?graph_id=alpha&page_size=10").document["events"] for web in (pair.one, pair.other)]
    assert told[0] == told[1]
    assert [one["kind"] for one in told[0][:4]] == ["release", "hold", "snapshot", "snapshot"]
    assert [one["event_id"] for one in told[0]] == sorted((one["event_id"] for one in told[0]), reverse=True)


def test_keys_open_both(pair: Pair) -> None:
    ring = KeyRing(pair.state)
    _, key = ring.add("watcher", "read")
    for web in (pair.one, pair.other):
        reader = web.as_one_with(key)
        assert reader.ask("GET", "/backup/graphs").status == 200
        assert reader.ask("POST", "/backup/cleanup", {}).slug == "forbidden"
        assert web.ask("GET", "/health/ready").document == {"ready": True, "reasons": []}
