"""Documents of a server become values, or one sentence that says which member is wrong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NotRequired, TypedDict

import pytest

from lightrag_bkp import errors
from lightrag_bkp.client.connection import in_path
from lightrag_bkp.client.problems import error_of
from lightrag_bkp.client.reading import Unreadable, read
from lightrag_bkp.models import Item, PruneOutcome, RestoredItem, RestoreOutcome, VerifyLevel


@dataclass(frozen=True)
class Thing:
    name: str
    size: int
    at: datetime | None = None
    level: VerifyLevel | None = None
    parts: Sequence[tuple[float, ...]] = ()
    others: dict[str, bool] | None = None


class Told(TypedDict):
    name: str
    more: NotRequired[int]


def test_a_whole_document_becomes_a_value() -> None:
    document = {"name": "a", "size": 3, "at": "2026-01-02T03:04:05+01:00", "level": "drill", "parts": [[1, 2.5]]}
    found = read(Thing, document | {"others": {"x": True}, "unknown": {}})
    at = datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert found == Thing("a", 3, at, VerifyLevel.DRILL, ((1.0, 2.5),), {"x": True})
    assert read(Thing, {"name": "a", "size": 3}) == Thing("a", 3)
    assert read(Told, {"name": "a", "unknown": 1}) == {"name": "a", "unknown": 1}
    assert read(Any, [{}]) == [{}]


@pytest.mark.parametrize(
    ("kind", "document", "said"),
    [
        (Thing, [], "the answer is not an object"),
        (Thing, None, "the answer is not an object"),
        (Thing, {"name": "a"}, "the answer.size is not there"),
        (Thing, {"name": 7, "size": 3}, "the answer.name is not a text"),
        (Thing, {"name": None, "size": 3}, "the answer.name is not a text"),
        (Thing, {"name": "a", "size": True}, "the answer.size is not a whole number"),
        (Thing, {"name": "a", "size": 1.0}, "the answer.size is not a whole number"),
        (Thing, {"name": "a", "size": 1 << 64}, "the answer.size is not a whole number"),
        (Thing, {"name": "a", "size": 3, "at": "noon"}, "the answer.at is not a time"),
        (Thing, {"name": "a", "size": 3, "at": "2026-01-02T03:04:05"}, "the answer.at is not a time"),
        (Thing, {"name": "a", "size": 3, "at": "0001-01-01T00:00:00+14:00"}, "the answer.at is not a time"),
        (Thing, {"name": "a", "size": 3, "level": "deep"}, "the answer.level is not a VerifyLevel"),
        (Thing, {"name": "a", "size": 3, "level": []}, "the answer.level is not a VerifyLevel"),
        (Thing, {"name": "a", "size": 3, "parts": [[math.nan]]}, "the answer.parts is not a number"),
        (Thing, {"name": "a", "size": 3, "parts": [[math.inf]]}, "the answer.parts is not a number"),
        (Thing, {"name": "a", "size": 3, "parts": [["1"]]}, "the answer.parts is not a number"),
        (Thing, {"name": "a", "size": 3, "parts": {}}, "the answer.parts is not a list"),
        (Thing, {"name": "a", "size": 3, "others": {"x": 1}}, "the answer.others.x is not true or false"),
        (Told, {}, "the answer.name is not there"),
        (Told, {"name": "a", "more": "1"}, "the answer.more is not a whole number"),
        (list[int], {}, "the answer is not a list"),
    ],
)
def test_what_has_another_shape_is_refused_by_name(kind: Any, document: object, said: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(kind, document)
    assert str(refused.value).startswith(said)


def test_the_values_of_this_package_can_be_read() -> None:
    item = {
        "name": "a",
        "type": "file",
        "mode": 0o644,
        "mtime_ns": 1,
        "size_bytes": 2,
        "sha256": "00",
        "link_target": "",
    }
    assert read(Item, item).type == "file"
    gone = {"name": "\udcff", "type": None, "action": "remove", "size_bytes": 0}
    outcome = {
        "snapshot_id": "1", "target_dir": "/", "items": [gone], "needed_bytes": 0, "safety_snapshot": None,
        "restart_required": False, "dry_run": False, "seconds": 1,
    }  # fmt: skip
    assert read(RestoreOutcome, outcome).items == (RestoredItem("\udcff", None, read(RestoredItem, gone).action, 0),)
    with pytest.raises(Unreadable):
        read(PruneOutcome, {})


@pytest.mark.parametrize(
    ("name", "can"),
    [
        ("latest", True),
        ("20260101T000000Z-1f3c9a2e", True),
        ("", False),
        ("..", False),
        ("a/b", False),
        ("a%2fb", False),
    ],
)
def test_what_may_stand_in_a_path(name: str, can: bool) -> None:
    assert in_path(name) is can


URL = "http://there"
CLASSES = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.LightragBkpError)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_error_comes_back_as_what_it_was(kind: type[errors.LightragBkpError]) -> None:
    raised = kind("it is so", errno=28, op="restore", target="snapshot")
    problem = {"code": raised.code, "detail": str(raised), "op": raised.op, "target": raised.target, "errno": 28}
    found = error_of(problem, URL, 500)
    wanted = errors.InternalError if kind is errors.LightragBkpError else kind
    assert type(found) is wanted
    assert (str(found), found.code, found.op, found.target, found.errno) == (
        "snapshot: it is so", raised.code, "restore", "snapshot", 28,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("problem", "status", "kind", "said"),
    [
        ({"detail": "API Key required"}, 403, errors.ServerError, "refuses: API Key required; set LIGHTRAG_API_KEY"),
        ({"code": "NOT_FOUND", "detail": "no"}, 401, errors.ServerError, "refuses: no; set LIGHTRAG_API_KEY"),
        ({"detail": "Not Found"}, 404, errors.ServerError, "has no routes of lightrag-bkp"),
        ({"detail": "too long"}, 413, errors.LimitError, "takes no request as long as this one: too long"),
        ({"detail": "Internal Server Error"}, 500, errors.ServerError, "answers 500: Internal Server Error"),
        ({}, 502, errors.ServerError, "answers 502: no reason given"),
        ({"detail": ["a"], "code": 7}, 500, errors.ServerError, "answers 500: no reason given"),
        ({"code": "NOT_CONFIGURED", "detail": "left out"}, 503, errors.ServerError, f"{URL}: left out"),
        ({"code": "BUSY", "detail": "x" * 10_000}, 409, errors.Busy, "x" * 4_000),
    ],
)
def test_whatever_answers_is_an_error_of_ours(
    problem: dict[str, object], status: int, kind: type[errors.LightragBkpError], said: str
) -> None:
    found = error_of(problem, URL, status)
    assert type(found) is kind and said in str(found) and len(str(found)) < 4_200
