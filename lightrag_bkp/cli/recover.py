"""Commands about recovery points, `recovery create ...`, and `status`."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInputError, LightragBkpError, RefusedError
from ..models import VerifyLevel
from ..verdicts import Verdict
from .failures import Exit
from .session import Session
from .ship import copies
from .text import counted, shown, table, when
from .words import PointId

if TYPE_CHECKING:
    from ..recovery import DrillOutcome, FailoverOutcome, RecoveryPoint
    from .parts import Recovery

_NO_RECORDS = "it holds snapshots and has no records: it was never finished, or they are lost"


def create(
    session: Session,
    graph: Annotated[
        list[str] | None, typer.Argument(metavar="[GRAPH]...", help="Names of the graphs  [default: all]")
    ] = None,
    description: Annotated[str, typer.Option("--description", "-m", metavar="TEXT", help="What it is for.")] = "",
) -> int:
    """Take a snapshot of every graph, as one recovery point.

    Of all graphs or of none. The snapshots are held until the point is deleted.
    """
    manager = session.recovery(new=True)
    names = graph or manager.backup.graph_ids()
    point = session.run(manager.create_recovery_point(names, description))
    unusable = list(_unusable(manager, point))
    for said in () if session.json else unusable:
        session.complain(said)
    return session.close(
        lambda: {"recovery_point": _document(point), "unusable": unusable},
        lambda: [f"recovery point {point.checkpoint_id} of {', '.join(point.graphs)}"],
    )


def list_(session: Session) -> int:
    """List recovery points, oldest first."""
    from ..recovering.points import unreadable

    manager = session.recovery()
    points, written = manager.list_recovery_points(), manager.get_recovery_status()
    failed, left = written["unreadable"], written["left_held"]
    said = [unreadable(name, why) for name, why in failed.items()]
    said += [f"recovery point {checkpoint_id}: {_NO_RECORDS}" for checkpoint_id in left]
    for complaint in () if session.json else said:
        session.complain(complaint)

    def lines() -> list[str]:
        rows = ((one.checkpoint_id, when(one.created_at), _validity(one), ", ".join(one.graphs), one.description)
                for one in points)  # fmt: skip
        listed = table(("POINT", "MADE (UTC)", "VALID", "GRAPHS", "FOR"), rows)
        return list(listed) if points else [] if failed else ["no recovery points"]

    answer = {"recovery_points": [_document(one) for one in points], "unreadable": failed, "left_held": left}
    code = session.answer(lambda: answer, lines)
    return Exit.FAILED if failed else code


def show(session: Session, point: PointId) -> int:
    """Show what a recovery point brings back, and what became of it."""
    manager = session.recovery()
    found = manager.find_recovery_point(point)
    past = [one.document() for one in manager.failovers(found.checkpoint_id)]
    written = manager.get_recovery_status()
    advice = written["advice"] if written["interrupted"] == found.checkpoint_id else None

    def lines() -> Iterator[str]:
        yield f"recovery point {found.checkpoint_id}: {shown(found.description or 'no description')}"
        yield f"made {when(found.created_at)} UTC; {_validity(found)}"
        yield ""
        rows = ((name, one.id, when(one.created_at)) for name, one in found.snapshots.items())
        yield from table(("GRAPH", "SNAPSHOT", "TAKEN (UTC)"), rows)
        if past:
            rows_past = (
                (one["failover_id"], one["state"], "yes" if one["ok"] else "no", one["error"] or "") for one in past
            )
            yield ""
            yield from table(("FAILOVER", "STATE", "WORKED", "WHY NOT"), rows_past)
        if advice:
            yield ""
            yield shown(advice)

    return session.answer(lambda: {"recovery_point": _document(found), "failovers": past, "advice": advice}, lines)


def validate(
    session: Session,
    point: PointId,
    level: Annotated[
        VerifyLevel,
        typer.Option(help="catalogue: all is there; digests: all is read; drill: it is brought back."),
    ] = VerifyLevel.DIGESTS,
) -> int:
    """Check that a recovery point can be brought back.

    The answer is written down.

    Exit code 3: it cannot.
    """
    manager = session.recovery()
    found = manager.find_recovery_point(point)
    ok = session.run(manager.validate_recovery_point(found.checkpoint_id, level))
    problems = [] if ok else manager.problems(found.checkpoint_id)

    def lines() -> list[str]:
        said = f"recovery point {found.checkpoint_id} is {'valid' if ok else 'not valid'} ({level})"
        return [said, *table(("GRAPH", "PROBLEM"), problems)] if problems else [said]

    answer = {
        "checkpoint_id": found.checkpoint_id,
        "ok": ok,
        "level": level,
        "problems": [list(one) for one in problems],
    }
    code = session.answer(lambda: answer, lines)
    return code if ok else Exit.DAMAGE


def drill(session: Session, point: PointId) -> int:
    """Bring it back to a scratch directory, and time that.

    Every graph is restored, looked at and removed again; the outcome is written down.

    Exit code 3: something did not come back whole.
    """
    manager = session.recovery()
    found = manager.find_recovery_point(point)
    outcome = session.run(manager.run_drill(found.checkpoint_id))
    code = session.answer(outcome.document, lambda: _drilled(outcome))
    return code if outcome.ok else Exit.DAMAGE


def failover(
    session: Session,
    point: PointId,
    undo: Annotated[bool, typer.Option("--undo", help="Make everything what it was before the last failover.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before replacing graphs.")] = False,
) -> int:
    """Bring all graphs back where they live, or none.

    Stop LightRAG first, or go through its server (--server). Each graph is kept as a safety snapshot; when one cannot
    be brought back, the others are made what they were, with exit code 1.

    An undo takes back the last failover, and never an earlier one. It writes to the configured
    directories of the graphs; where it lies elsewhere it asks at the terminal, also with --yes.
    """
    manager = session.recovery()
    found = manager.find_recovery_point(point)
    checkpoint_id = found.checkpoint_id
    if dry_run:
        plan = manager.undo_failover if undo else manager.failover
        outcome = session.run(plan(checkpoint_id, dry_run=True))
    else:
        if not yes and not _agreed(session, found, _undoing(session, manager, checkpoint_id) if undo else ""):
            raise LightragBkpError("declined: nothing was changed", code="DECLINED", target=checkpoint_id)
        outcome = _undone(session, manager, checkpoint_id) if undo else session.run(manager.failover(checkpoint_id))
    code = session.answer(outcome.document, lambda: _failed_over(outcome))
    return code if outcome.ok else Exit.FAILED


def delete(session: Session, point: PointId) -> int:
    """Delete a recovery point, and let its snapshots go.

    Also a damaged one, and what a creation that died left held; `status` names it.
    """
    manager = session.recovery()
    left = manager.get_recovery_status()["left_held"]
    if point == "latest":
        wanted = manager.find_recovery_point(point).checkpoint_id
    else:
        wanted = point if point in left else manager.find_recovery_id(point)
    session.run(manager.delete_recovery_point(wanted))
    return session.close(
        lambda: {"checkpoint_id": wanted, "deleted": True}, lambda: [f"recovery point {wanted} is deleted"]
    )


def status(session: Session) -> int:
    """Say if graphs could be had again, how fast, and what is lost.

    Exit code 1: something is critical.
    """
    manager = session.recovery(replicated=True)
    health, written = session.run(manager.health_check()), manager.get_recovery_status()

    def lines() -> Iterator[str]:
        heads = ("GRAPH", "IS", "CAN COME BACK", "IN", "WOULD BE LOST", "NEWEST BACKUP", "LAST DRILL")
        yield from table(heads, (_graph_row(name, one) for name, one in health["graphs"].items()))
        yield from copies({name: one["replication"]["targets"] for name, one in health["graphs"].items()})
        yield ""
        valid = written["latest_validated"] or "none"
        yield f"recovery points: {written['recovery_points']}, newest valid one: {valid}"
        yield "counted as backups: no snapshots of consistency crash, of unusable graphs, or kept for safety"
        said = [one for one in health["components"] if one["status"] != "healthy"]
        yield from (f"{one['status'].upper()} {one['component']}: {shown(one['message'])}" for one in said)
        yield from _uncounted(health["graphs"])
        if not said:
            yield "all is well"

    code = session.answer(lambda: {"health": health, "recovery": written}, lines)
    return Exit.FAILED if health["status"] == "critical" else code


COMMANDS = (create, list_, show, validate, drill, failover, delete)


# ---- what is said ----


def _unusable(manager: "Recovery", point: "RecoveryPoint") -> Iterator[str]:
    """What keeps a new point from being valid."""
    from ..recovering.proving import unusable

    for graph_id, named in point.snapshots.items():
        snapshot = manager.backup.require_graph(graph_id).get_snapshot(named.id)
        if snapshot is not None and snapshot.verdict == Verdict.UNUSABLE:
            yield f"recovery point {point.checkpoint_id} is not valid: {unusable(snapshot)}"


def _document(point: "RecoveryPoint") -> dict[str, Any]:
    from ..recovering.status import point_document

    return point_document(point)


def _validity(point: "RecoveryPoint") -> str:
    if point.validation_timestamp is None:
        return "not validated"
    return f"{'valid' if point.validated else 'NOT valid'}, {point.level} {when(point.validation_timestamp)}"


def _undoing(session: Session, manager: "Recovery", checkpoint_id: str) -> str:
    """What an undo would do."""
    planned = session.run(manager.undo_failover(checkpoint_id, dry_run=True))
    return f"undo {_named(planned)} of recovery point {checkpoint_id}"


def _named(undo: "FailoverOutcome") -> str:
    """Which failover an undo is of."""
    return f"failover {undo.undoes}" + (f", begun {when(undo.undoes_at)} UTC," if undo.undoes_at else "")


def _agreed(session: Session, point: "RecoveryPoint", undoing: str) -> bool:
    what = undoing or f"bring back {', '.join(point.graphs)}"
    answer = session.confirm(f"{what}, replacing what is there?")
    if answer is None:
        raise InvalidInputError(
            "graphs would be replaced, and there is no terminal to ask at: --yes does it without asking",
            op="failover",
            target=point.checkpoint_id,
        )
    return answer


def _undone(session: Session, manager: "Recovery", checkpoint_id: str) -> "FailoverOutcome":
    from ..recovery import UNDO_ELSEWHERE

    try:
        return session.run(manager.undo_failover(checkpoint_id))
    except RefusedError as refused:
        answer = session.confirm(f"{refused}, or write there now?") if refused.op == UNDO_ELSEWHERE else None
        if answer is None:
            raise
    if not answer:
        raise LightragBkpError("declined: nothing was changed", code="DECLINED", target=checkpoint_id)
    return session.run(manager.undo_failover(checkpoint_id, elsewhere=True))


def _drilled(outcome: "DrillOutcome") -> Iterator[str]:
    worked = "came back whole" if outcome.ok else "did NOT come back whole"
    yield f"recovery point {outcome.checkpoint_id} {worked}, in {outcome.rto_s:.1f} s"
    for one in outcome.graphs:
        found = f"; {one.verdict}" if one.verdict else ""
        yield f"graph {one.graph_id}: {one.restore_s:.1f} s to restore, {one.validate_s:.1f} s to look at{found}"
        yield from (f"graph {one.graph_id}: {shown(problem)}" for problem in one.problems)


def _failed_over(outcome: "FailoverOutcome") -> Iterator[str]:
    rows = (
        (one.graph_id, counted(one.changed, "name"), one.safety_snapshot or "", one.target_dir)
        for one in outcome.graphs
    )
    yield from table(("GRAPH", "CHANGED", "SAFETY SNAPSHOT", "DIRECTORY"), rows)
    what = f"{_named(outcome)} was undone" if outcome.undo else "all graphs are back"
    if outcome.dry_run and outcome.undo:
        yield f"nothing was changed; {_named(outcome)} would be undone"
    elif outcome.dry_run:
        yield f"nothing was changed; {_age(outcome.rpo_s)} of work would be lost"
    elif outcome.ok:
        lost = "" if outcome.undo else f"; {_age(outcome.rpo_s)} of work are lost"
        yield f"{what}, in {outcome.rto_s:.1f} s{lost}"
        if any(one.restart_required for one in outcome.graphs):
            yield "a LightRAG that has one of these directories open must be restarted to see it"
    else:
        back = "everything is what it was before" if outcome.rolled_back else "NOT everything is what it was before"
        yield f"failed: {shown(outcome.error)}" + ("" if outcome.undo else f"; {back}")


def _uncounted(graphs: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What would be lost all the same may lie in snapshots that do not count."""
    why = ((name, answers["backups"]["not_counted_why"]) for name, answers in graphs.items())
    yield from (f"{name}: {shown(said)}" for name, said in why if said)


def _graph_row(name: str, answers: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    from ..recovering.health import worst

    backups, graph = answers["backups"], answers["graph"]
    drilled = backups["last_drill"]
    return (
        name,
        worst([one["status"] for one in answers.values()]),
        _comes_back(backups),
        f"{drilled['rto_s']:.1f} s" if drilled and drilled["ok"] and drilled["rto_s"] is not None else "unknown",
        _lost(graph["changed_at"], backups, graph["checked_at"]),
        "none" if backups["latest"] is None else f"{_age(backups['latest_age_s'])} old",
        f"{_age(drilled['age_s'])} ago, {'well' if drilled['ok'] else 'FAILED'}" if drilled else "never",
    )


def _comes_back(backups: dict[str, Any]) -> str:
    """Whether the graph could be had again, and how far that was tried."""
    if backups["latest"] is None:
        return "no"
    proofs = [one for one in (backups["last_validation"], backups["last_drill"]) if one]
    if not proofs:
        return "never tried"
    if not max(proofs, key=lambda one: str(one["at"]))["ok"]:
        return "NOT when last tried"
    return "yes, drilled" if backups["last_drill"] and backups["last_drill"]["ok"] else "yes, all was read"


def _lost(changed_at: str | None, backups: dict[str, Any], checked_at: str) -> str:
    """What of the live graph no backup has: from the newest backup to its last change."""
    if backups["latest"] is None:
        return "everything"
    latest_age_s = backups["latest_age_s"]
    if latest_age_s is None:
        return "unknown"
    if changed_at is None:
        return f"{_age(latest_age_s)} of work"
    taken_at = datetime.fromisoformat(checked_at) - timedelta(seconds=latest_age_s)
    lost_s = (datetime.fromisoformat(changed_at) - taken_at).total_seconds()
    return f"{_age(lost_s)} of work" if lost_s > 1 else "nothing"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "unknown time"
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}s"
    return f"{seconds:.0f} s"
