"""What a failover did, as it is handed out and as the records of its recovery point tell it."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from ..errors import RefusedError
from .points import FAILOVER, Record

BEGUN, RESTORED, ENDED, UNDOING, UNDONE, SETTLED = "begun", "restored", "ended", "undoing", "undone", "settled"
"""States in the records of a failover."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of a failover: what, of which graph (None: all), how long in seconds, and how it went."""

    name: str
    graph_id: str | None
    seconds: float
    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class GraphFailover:
    """What a failover did with one graph, or with `dry_run` would do.

    Attributes:
        graph_id, snapshot_id: what was brought back. target_dir: where its files lie.
        changed: how many names differ. safety_snapshot: keeps what was there; None when nothing was.
        reloaded, restart_required: as `RestoreOutcome` says.
        data_loss_s: seconds between the snapshot and the last change of what it replaced; where nothing was left,
            until the failover began.
        made_dirs: as `RestoreOutcome` says.
    """

    graph_id: str
    snapshot_id: str
    target_dir: str
    changed: int
    safety_snapshot: str | None
    reloaded: bool
    restart_required: bool
    data_loss_s: float
    made_dirs: int = 0


@dataclass(frozen=True, slots=True)
class FailoverOutcome:
    """How a failover went.

    Attributes:
        checkpoint_id: of the recovery point. failover_id: of this failover.
        ok: every graph was brought back. error: why not, in one sentence.
        rolled_back: every graph that had been restored by then is what it was before.
        dry_run: nothing was changed. undo: this one undid another, which began at `undoes_at` under the id `undoes`.
        started_at: aware, UTC. phases: every step with its duration. graphs: what was done with each.
        rto_s: from the beginning until the last graph was verified, in seconds. rpo_s: the largest data loss.
    """

    checkpoint_id: str
    failover_id: str
    ok: bool
    started_at: datetime
    phases: tuple[Phase, ...]
    graphs: tuple[GraphFailover, ...]
    rto_s: float
    rpo_s: float
    error: str = ""
    rolled_back: bool = False
    dry_run: bool = False
    undo: bool = False
    undoes: str = ""
    undoes_at: datetime | None = None

    def document(self) -> dict[str, Any]:
        """As a JSON object."""
        times = {"started_at": self.started_at.isoformat(), "undoes_at": self.undoes_at and self.undoes_at.isoformat()}
        return asdict(self) | times


@dataclass(frozen=True, slots=True)
class PastFailover:
    """A failover as the records of its point tell it.

    Attributes:
        checkpoint_id: of the recovery point.
        state: "begun" when its process died or is at it; "ended"; "undoing" when an undo of it failed, died or is at
            it; "undone"; or "settled" by failovers of a point that is deleted. ok: as it ended.
        began_at: of its first record. newest: its newest one. whole: the one that says it ended well, whatever
            became of it since.
        restored: what was restored by then and not rolled back.
        outcome: what it said in the end, or {}. undo_error: why an undo of it failed, or "".
        lacking: of which graphs nothing was there when it began, each with how many directories had to be made.
    """

    checkpoint_id: str
    failover_id: str
    state: str
    ok: bool
    began_at: datetime
    newest: Record
    whole: Record | None = None
    restored: tuple[GraphFailover, ...] = ()
    outcome: Mapping[str, Any] = field(default_factory=dict)
    undo_error: str = ""
    lacking: Mapping[str, int] = field(default_factory=dict)

    @property
    def half_done(self) -> bool:
        """Whether it or an undo of it began and neither ended well nor was rolled back, so that nobody knows what its
        graphs are.
        """
        return self.state in (BEGUN, UNDOING) or (self.state == ENDED and not self.ok and not self._rolled_back)

    @property
    def _rolled_back(self) -> bool:
        return bool(self.outcome.get("rolled_back"))

    def settled_by(self, later: "PastFailover") -> bool:
        """Whether another failover ended well after all that is known of this one. Records of one point have numbers,
        which no clock can change.
        """
        if later.whole is None:
            return False
        if later.checkpoint_id == self.checkpoint_id:
            return later.whole.number > self.newest.number
        return later.whole.at > self.newest.at

    @property
    def advice(self) -> str:
        """What is half done, and what to do about it."""
        command = f"lightrag-bkp recovery failover {self.checkpoint_id}"
        if self.state != UNDOING:
            how = "died" if self.state == BEGUN else "failed and was not rolled back whole"
            return f"the failover of recovery point {self.checkpoint_id} {how}: repeat or undo it, {command} [--undo]"
        why = f"failed ({self.undo_error})" if self.undo_error else "died"
        return f"the undo of the failover of recovery point {self.checkpoint_id} {why}: finish it, {command} --undo"

    def document(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "checkpoint_id": self.checkpoint_id,
            "failover_id": self.failover_id,
            "state": self.state,
            "ok": self.ok,
            "began_at": self.began_at.isoformat(),
            "rto_s": self.outcome.get("rto_s"),
            "rpo_s": self.outcome.get("rpo_s"),
            "error": self.undo_error or self.outcome.get("error", ""),
            "rolled_back": self._rolled_back,
        }


def history(checkpoint_id: str, records: list[Record]) -> list[PastFailover]:
    """All failovers of a point, oldest first. One that was undone says so; the undoing is no entry of its own."""
    found: dict[str, PastFailover] = {}
    for record in (one for one in records if one.kind == FAILOVER):
        document = dict(record.document)
        name, state = str(document.get("undoes") or document.get("failover_id")), str(document.get("state"))
        past = found.get(name, PastFailover(checkpoint_id, name, BEGUN, False, record.at, record))
        match state:
            case "begun":
                past = replace(past, lacking=document.get("lacking", {}))
            case "restored":
                past = replace(past, restored=(*past.restored, _read(document)))
            case "ended":
                kept = () if document.get("rolled_back") else past.restored
                ok = bool(document.get("ok"))
                past = replace(past, state=ENDED, ok=ok, whole=record if ok else None, outcome=document, restored=kept)
            case "settled":
                past = replace(past, state=SETTLED)
            case "undoing":
                past = replace(past, state=UNDOING, undo_error="")
            case "undone":
                state = UNDONE if document.get("ok") else UNDOING
                past = replace(past, state=state, undo_error=document.get("error", ""))
        found[name] = replace(past, newest=record)
    return list(found.values())


def to_undo(past: list[PastFailover], unsettled: list[PastFailover], checkpoint_id: str) -> PastFailover:
    """The last failover of a point that changed something, or may have; once that was undone, what is half done and was
    never settled. What lies before is history: to take it back would put an old state where a newer one is.

    Args:
        past: of the point. unsettled: of all points.

    Raises:
        RefusedError: there is none.
    """
    changing = [one for one in past if one.restored or one.state != ENDED or one.half_done]
    if changing and changing[-1].state == ENDED and not changing[-1].half_done:
        return changing[-1]
    waiting = [one for one in past if one in unsettled]
    if not waiting:
        raise RefusedError(f"recovery point {checkpoint_id} has no failover to undo", op="undo", target=checkpoint_id)
    return waiting[-1]


def unsettled(past: list[PastFailover], graphs: Mapping[str, Collection[str]]) -> list[PastFailover]:
    """The failovers that are half done, unless every graph of one was brought back whole since. What a later failover
    settled stays settled, also when that one is undone.

    Args:
        past: of all points, oldest first. graphs: of every point, by its id.
    """

    def whole_since(one: PastFailover) -> set[str]:
        return {name for later in past if one.settled_by(later) for name in graphs[later.checkpoint_id]}

    return [one for one in past if one.half_done and not set(graphs[one.checkpoint_id]) <= whole_since(one)]


def _read(document: Mapping[str, Any]) -> GraphFailover:
    members: Mapping[str, Any] = {one.name: document.get(one.name) for one in fields(GraphFailover)}
    return GraphFailover(**{**members, "made_dirs": document.get("made_dirs", 0)})
