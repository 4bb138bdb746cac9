"""What the records of a recovery point may say, checked once, where they are read.

Without a key whoever writes to the storage can write records, too: nothing after this needs to ask what a member is.
"""

import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ..arguments import is_graph_id
from ..models import VerifyLevel

POINT, VALIDATION, DRILL, FAILOVER = "point", "validation", "drill", "failover"
"""Kinds of records."""

Check = Callable[[Any], bool]

_LARGEST = 1e15
_DEEPEST = 2048
_SNAPSHOT_ID = re.compile(r"[A-Za-z0-9._-]{1,39}")


def wrong_member(kind: str, document: Mapping[str, Any]) -> str | None:
    """The first member that is missing or is not what it must be; None when all are well. Unknown ones are passed over,
    as are unknown kinds.
    """
    required, optional = _SHAPES.get(kind, ({}, {}))
    if kind == FAILOVER and document.get("state") == "restored":
        required = required | _RESTORED
    missing = (name for name, check in required.items() if name not in document or not check(document[name]))
    wrong = (name for name, check in optional.items() if name in document and not check(document[name]))
    return next(missing, None) or next(wrong, None) or _contradiction(kind, document)


def _contradiction(kind: str, document: Mapping[str, Any]) -> str | None:
    """All is well exactly where nothing is wrong."""
    if kind == VALIDATION:
        found = list(document["graphs"].values())
    elif kind == DRILL:
        found = [one.get("problems", []) for one in document["graphs"]]
    else:
        return None
    return "ok" if document["ok"] == any(found) else None


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _id(value: Any) -> bool:
    """Of a snapshot."""
    return isinstance(value, str) and _SNAPSHOT_ID.fullmatch(value) is not None


def _id_or_none(value: Any) -> bool:
    return value is None or _id(value)


def _place(value: Any) -> bool:
    """What can be the path of a directory here."""
    try:
        return isinstance(value, str) and value != "" and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _read_level(value: Any) -> bool:
    return value in (VerifyLevel.CATALOGUE, VerifyLevel.DIGESTS)


def _drill_level(value: Any) -> bool:
    return bool(value == VerifyLevel.DRILL)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= _LARGEST  # which is not so of a NaN


def _levels(value: Any) -> bool:
    """How many directories one below the other."""
    return isinstance(value, int) and 0 <= value <= _DEEPEST


def _lacking(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_levels, value.values()))


def _instant(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _named(value: Any) -> bool:
    members = {"id": _id, "digest": _text, "created_at": _instant}
    return isinstance(value, dict) and all(name in value and check(value[name]) for name, check in members.items())


def _snapshots(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(is_graph_id, value)) and all(map(_named, value.values()))


def _found(value: Any) -> bool:
    """What a validation found, by graph."""
    return isinstance(value, dict) and all(map(_texts, value.values()))


def _drilled(value: Any) -> bool:
    """What a drill found, a graph each."""
    return isinstance(value, list) and all(
        isinstance(one, dict) and _text(one.get("graph_id")) and _texts(one.get("problems", [])) and _timed(one)
        for one in value
    )


def _timed(one: Mapping[str, Any]) -> bool:
    """Both times are there or neither is."""
    times = [one[name] for name in ("restore_s", "validate_s") if name in one]
    return len(times) in (0, 2) and all(map(_number, times))


_SHAPES: dict[str, tuple[dict[str, Check], dict[str, Check]]] = {
    POINT: ({"snapshots": _snapshots, "description": _text}, {"replication": _mapping}),
    VALIDATION: ({"ok": _flag, "level": _read_level, "graphs": _found}, {"seconds": _number}),
    DRILL: ({"ok": _flag, "level": _drill_level, "graphs": _drilled, "rto_s": _number}, {"started_at": _instant}),
    FAILOVER: (
        {"failover_id": _text, "state": _text},
        {
            "undoes": _text, "ok": _flag, "rolled_back": _flag, "error": _text, "rto_s": _number, "rpo_s": _number,
            "reloaded": _flag, "restart_required": _flag, "data_loss_s": _number, "made_dirs": _levels,
            "lacking": _lacking,
        },
    ),
}  # fmt: skip
"""By kind: members that must be there, and others that may be."""

_RESTORED: dict[str, Check] = {
    "graph_id": _text, "snapshot_id": _id, "target_dir": _place, "changed": _number, "safety_snapshot": _id_or_none,
}  # fmt: skip
"""What the record of one graph that a failover restored must say besides."""
