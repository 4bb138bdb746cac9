"""Who changed what: in pages, and as a stream that is taken up where it broke off."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.serving import Kept, taken
from support.web import KEY, PREFIX, Web

from lightrag_bkp.api import events, schemas
from lightrag_bkp.receiving import keys
from lightrag_bkp.receiving.here import open_keys


def heard(web: Web, last: int | None, most: int, query: str = "") -> list[dict[str, Any]]:
    """The first events of a stream."""
    return list(_lines(web, last, most, query))


def _lines(web: Web, last: int | None, most: int, query: str, key: str = KEY) -> Iterator[dict[str, Any]]:
    headers = {"X-API-Key": key, "Accept": "text/event-stream"}
    headers |= {} if last is None else {"Last-Event-ID": str(last)}
    with web.client.stream("GET", f"{web.url}{PREFIX}/events{query}", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        said: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                said[name] = value
            elif "data" in said:
                event = json.loads(said["data"])
                assert said["id"] == str(event["event_id"]) and said["event"] == event["kind"]
                yield event
                most -= 1
                said = {}
                if most == 0:
                    return


def listed(web: Web, kept: Kept) -> list[schemas.EventAnswer]:
    answer = web.ask("GET", f"/events?graph_id={kept.graph_id}")
    return schemas.EventsAnswer.model_validate(answer.document).events


def test_every_change_is_written_down(web: Web, reader: Web, plain: Kept) -> None:
    snapshot = taken(web, plain)["backup_id"]
    web.ask("POST", f"{plain.path}/latest/hold", {"holder": "audit"})
    web.ask("DELETE", f"{plain.path}/{snapshot}")
    web.ask("POST", f"{plain.path}/latest/release", {"holder": "audit"})
    web.ask("DELETE", f"{plain.path}/{snapshot}")
    events = listed(reader, plain)[::-1]
    assert [(one.kind, one.outcome) for one in events] == [
        ("snapshot", "requested"),
        ("snapshot", "succeeded"),
        ("hold", "succeeded"),
        ("snapshot_delete", "failed"),
        ("release", "succeeded"),
        ("snapshot_delete", "succeeded"),
    ]
    assert {one.actor for one in events} == {"lightrag-api-key"}
    assert events[-1].target == snapshot and "held" in events[3].detail and events[2].detail == "audit"
    assert [one.event_id for one in events] == sorted(one.event_id for one in events)


def test_what_fails_says_why(web: Web, plain: Kept) -> None:
    (plain.directory / "notes").unlink()
    plain.directory.rmdir()
    web.waited("POST", plain.path)
    failed = listed(web, plain)[0]
    assert (failed.kind, failed.outcome) == ("snapshot", "failed") and str(plain.directory) in failed.detail


def test_a_stream_is_taken_up_where_it_broke_off(web: Web, plain: Kept) -> None:
    taken(web, plain)
    last = listed(web, plain)[0].event_id
    taken(web, plain)
    taken(web, plain)
    query = f"?graph_id={plain.graph_id}"
    first = heard(web, last, 2, query)
    rest = heard(web, first[-1]["event_id"], 2, query)
    assert [one["outcome"] for one in first + rest] == ["requested", "succeeded"] * 2
    assert [one["event_id"] for one in first + rest] == [one.event_id for one in listed(web, plain)[:4][::-1]]


def test_a_new_stream_begins_now(web: Web, plain: Kept) -> None:
    taken(web, plain)
    stream = _lines(web, None, 1, f"?graph_id={plain.graph_id}")
    timer = threading.Timer(0.5, web.as_one_with(KEY).ask, ("POST", f"{plain.path}/latest/hold"))
    timer.start()
    event = next(stream)
    stream.close()  # type: ignore[attr-defined]
    timer.join()
    assert event["kind"] == "hold"


def test_a_stream_ends_for_a_key_that_is_ended(
    web: Web, plain: Kept, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "TRUSTED_S", 0.0)
    monkeypatch.setattr(events, "LONGEST_S", 3600.0)
    made, key = open_keys(storage).add("soon-over", "read")
    stream = _lines(web, None, 9, f"?graph_id={plain.graph_id}", key)
    timer = threading.Timer(0.5, taken, (web.as_one_with(KEY), plain))
    timer.start()
    assert next(stream)["outcome"] == "requested"
    timer.join()
    open_keys(storage).revoke(made.key_id)
    web.ask("POST", f"{plain.path}/latest/hold")
    assert "hold" not in [one["kind"] for one in stream]


def test_a_row_that_cannot_be_told_ends_the_stream_and_no_more(
    plain: Kept, storage: Path, caplog: pytest.LogCaptureFixture, web: Web
) -> None:
    taken(web, plain)
    last = listed(web, plain)[0].event_id
    web.ask("POST", f"{plain.path}/latest/hold")
    with sqlite3.connect(storage / "state/replication.db") as database:
        database.execute("UPDATE events SET at_us = 'yesterday' WHERE event_id > ?", (last,))
    try:
        assert heard(web, last, 1, f"?graph_id={plain.graph_id}") == []
    finally:
        with sqlite3.connect(storage / "state/replication.db") as database:
            database.execute("DELETE FROM events WHERE event_id > ?", (last,))
    (record,) = (one for one in caplog.records if "event=stream_ended" in one.getMessage())
    assert f"after={last}" in record.getMessage() and record.exc_info is None


def test_a_strange_id_is_refused(web: Web) -> None:
    answer = web.ask("GET", "/events", Last_Event_ID="the last")
    assert (answer.status, answer.slug) == (422, "invalid")


@pytest.mark.parametrize("last", [None, "9223372036854775807"])
def test_who_heard_nothing_comes_again_to_what_happened_meanwhile(web: Web, plain: Kept, last: str | None) -> None:
    """The stream says where it begins before anything happens; of a database that is new that is its beginning."""
    newest = web.ask("GET", "/events", Accept="application/json").document["events"]
    headers = {"X-API-Key": KEY, "Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
    with web.client.stream("GET", f"{web.url}{PREFIX}/events", headers=headers) as answer:
        first = next(answer.iter_lines())
    begun = newest[0]["event_id"] if newest and last is None else 0
    assert first == f"id: {begun}"
    taken(web, plain)
    (event,) = heard(web, begun, 1)
    assert event["event_id"] > begun
