"""Operations and events as rows, in SQLite and in PostgreSQL."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lightrag_bkp.state import Events, NewEvent, NewOperation, Operations, State, StoredOperation
from lightrag_bkp.state import events as event_rows
from lightrag_bkp.state.operations import KEPT_US

DAY_US = 86_400 * 1_000_000


@pytest.fixture
def operations(state: State) -> Operations:
    return Operations(state)


@pytest.fixture
def events(state: State) -> Events:
    return Events(state)


def new(number: int, created_us: int = 1000, **more: object) -> NewOperation:
    told = {"kind": "snapshot", "graph_id": "g", "target": None, "requested_by": "me", "owner": "here 1 2"} | more
    return NewOperation(operation_id=f"{number:032x}", created_us=created_us, **told)  # type: ignore[arg-type]


def begin(operations: Operations, one: NewOperation) -> StoredOperation:
    return operations.begin(one, DAY_US)


def happened(kind: str, graph_id: str | None = None) -> NewEvent:
    return NewEvent(1000, kind, "me", graph_id, None, "succeeded")


def at_once(work: Callable[[int], object], times: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_an_operation_lives_and_ends_once(operations: Operations) -> None:
    begun = begin(operations, new(1))
    assert (begun.state, begun.is_over, begun.heartbeat_us) == ("running", False, 1000)
    assert operations.unfinished() == [begun]
    assert operations.beat({begun.operation_id: '{"phase": "encode"}'}, 2000) == []
    beaten = operations.get(begun.operation_id)
    assert beaten is not None and (beaten.progress, beaten.heartbeat_us) == ('{"phase": "encode"}', 2000)
    ending = {"state": "succeeded", "finished_us": 3000, "result": "{}", "target": "s"}
    assert operations.end(begun.operation_id, ending)
    assert not operations.end(begun.operation_id, {"state": "failed"})
    assert not operations.ask_to_end(begun.operation_id) and operations.unfinished() == []
    ended = operations.get(begun.operation_id)
    assert ended is not None and (ended.state, ended.target, ended.is_over) == ("succeeded", "s", True)
    assert operations.beat({begun.operation_id: None}, 4000) == [] and operations.get(begun.operation_id) == ended


def test_who_works_on_it_hears_that_it_is_to_end(operations: Operations) -> None:
    one, two = (begin(operations, new(number)).operation_id for number in (1, 2))
    assert operations.ask_to_end(two)
    assert operations.beat({one: None, two: None}, 2000) == [two]
    assert not operations.ask_to_end("0" * 32)


def test_only_what_says_nothing_is_interrupted(operations: Operations) -> None:
    begun = begin(operations, new(1))
    operations.beat({begun.operation_id: None}, 2000)
    assert not operations.interrupt(begun, "{}", 3000)
    beaten = operations.get(begun.operation_id)
    assert beaten is not None and operations.interrupt(beaten, "{}", 3000)
    assert not operations.interrupt(beaten, "{}", 4000)


def test_a_key_is_one_callers_for_a_day(operations: Operations) -> None:
    first = begin(operations, new(1, idempotency_key="k", fingerprint=b"f"))
    assert begin(operations, new(2, 1000 + DAY_US - 1, idempotency_key="k", fingerprint=b"other")) == first
    assert begin(operations, new(3, idempotency_key="k", requested_by="you")).requested_by == "you"
    later = begin(operations, new(4, 1000 + DAY_US, idempotency_key="k"))
    assert later.operation_id == f"{4:032x}"
    old = operations.get(first.operation_id)
    assert old is not None and old.idempotency_key is None


def test_a_key_used_by_many_at_once_begins_one(state: State) -> None:
    ids: list[str] = []
    key = {"idempotency_key": "crowd", "fingerprint": b"f"}
    at_once(lambda number: ids.append(begin(Operations(state), new(number, **key)).operation_id), 8)
    assert len(ids) == 8 and len(set(ids)) == 1
    assert Operations(state).page(0, 10)[1] == 1


def test_the_newest_come_first_and_old_ones_go(operations: Operations) -> None:
    for number in range(1, 6):
        begin(operations, new(number, number, kind="verify" if number % 2 else "restore"))
    operations.end(f"{1:032x}", {"state": "succeeded", "finished_us": 10})
    rows, total = operations.page(1, 2)
    assert [int(row.operation_id, 16) for row in rows] == [4, 3] and total == 5
    rows, total = operations.page(0, 10, kind="verify", state="running", graph_id="g")
    assert [int(row.operation_id, 16) for row in rows] == [5, 3] and total == 2
    begin(operations, new(6, 11 + KEPT_US))
    assert operations.get(f"{1:032x}") is None  # the others are not over
    assert operations.page(0, 10)[1] == 5


def test_events_are_numbered_as_they_are_seen(state: State, events: Events) -> None:
    assert events.newest() == 0 and events.after(0, 10) == []
    seen: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set() or events.newest() > (seen[-1] if seen else 0):
            seen.extend(one.event_id for one in events.after(seen[-1] if seen else 0, 3))

    watcher = threading.Thread(target=watch)
    watcher.start()
    at_once(lambda number: [Events(state).add(happened(f"k{number}")) for _ in range(5)], 4)
    stop.set()
    watcher.join()
    assert seen == sorted(seen) and len(seen) == 20


def test_events_come_in_pages_of_one_graph_or_all(events: Events) -> None:
    for number in range(5):
        events.add(happened(f"k{number}", "g" if number % 2 else None))
    rows, total = events.page(1, 2)
    assert [one.kind for one in rows] == ["k3", "k2"] and total == 5
    rows, total = events.page(0, 10, "g")
    assert [one.kind for one in rows] == ["k3", "k1"] and total == 2
    assert [one.kind for one in events.after(rows[-1].event_id, 10, "g")] == ["k3"]


def test_old_events_go(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_rows, "MOST_EVENTS", 3)
    numbers = [events.add(happened(f"k{number}")) for number in range(5)]
    assert [one.event_id for one in events.after(0, 10)] == numbers[2:]
    assert events.page(0, 10)[1] == 3


def test_who_only_asks_makes_no_file(tmp_path: Path) -> None:
    state = State(f"sqlite:///{tmp_path / 'none' / 'state.db'}", str(tmp_path / "key"))
    assert Operations(state).get("x") is None and Operations(state).page(0, 1) == ([], 0)
    assert Operations(state).unfinished() == [] and not Operations(state).ask_to_end("x")
    assert Events(state).newest() == 0 and Events(state).page(0, 1) == ([], 0)
    assert not (tmp_path / "none").exists()
