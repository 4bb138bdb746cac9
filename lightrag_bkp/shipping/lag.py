"""How far a target is behind, as far as is known here."""

import json
import time
from dataclasses import replace
from typing import Any

from .. import _bridge
from ..state import StoredReplica

UNKNOWN_AFTER_S = 3600.0
"""What a target said longer ago is no knowledge of how it is now."""


def of_this_log(core: _bridge.Repository, replica: StoredReplica | None) -> StoredReplica | None:
    """What a target acknowledged of the repository that is here now; one that was here before it counts for nothing."""
    if replica is None or replica.acknowledgement is None:
        return replica
    repository_id, _, _, _ = core.head()
    if json.loads(replica.acknowledgement)["repository_id"] == repository_id.hex():
        return replica
    return replace(replica, number=None, confirmed_us=None, acknowledgement=None)


def lag(core: _bridge.Repository, replica: StoredReplica | None, now: float | None = None) -> dict[str, Any]:
    """{entries, bytes, seconds, known}: log entries and bytes of packs the target has not acknowledged, and how long
    the oldest of them has been here. `known` is false when the target said nothing for UNKNOWN_AFTER_S, or never: then
    `seconds` is at least how long ago that was, and grows.
    """
    replica = of_this_log(core, replica)
    instant = time.time() if now is None else now
    _, last, _, _ = core.head()
    acknowledged = -1 if replica is None or replica.number is None else min(replica.number, last)
    heard = None if replica is None or replica.confirmed_us is None else instant - replica.confirmed_us / 1e6
    behind = 0.0 if acknowledged == last else instant - core.entry(acknowledged + 1)[2] / 1e9
    known = heard is not None and heard <= UNKNOWN_AFTER_S
    return {
        "entries": last - acknowledged,
        "bytes": sum(size for _, size in core.known_packs(acknowledged + 1)),
        "seconds": round(max(0.0, behind if known else max(behind, heard or 0.0)), 3),
        "known": known,
    }
