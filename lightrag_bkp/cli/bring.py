"""Commands that read snapshots back: `verify` and `restore`."""

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DamagedError, ForeignObjectError, InvalidInputError, LightragBkpError, RestoreUnfinishedError
from ..models import Listing, VerifyLevel, VerifyOutcome
from ..verdicts import Verdict
from .documents import members
from .failures import Exit
from .session import Session
from .text import counted, shown, size, table
from .words import GraphId, SnapshotId, SomeSnapshotId

if TYPE_CHECKING:
    from ..models import RestoreOutcome


_PAST = {"create": "created", "replace": "replaced", "same": "unchanged", "remove": "removed"}
_FUTURE = {"create": "to create", "replace": "to replace", "same": "unchanged", "remove": "to remove"}
_RESTART = "a LightRAG that has this directory open must be restarted to see it"


def verify(
    session: Session,
    graph: GraphId,
    snapshot: SomeSnapshotId = None,
    level: Annotated[
        VerifyLevel,
        typer.Option(
            help="catalogue: every object is there; digests: every byte is read and hashed; drill: the snapshot is"
            " restored to a scratch directory, judged, timed and removed again."
        ),
    ] = VerifyLevel.DIGESTS,
) -> int:
    """Check that snapshots can be brought back.

    Exit code 3: something is damaged, or, by a drill, the graph is unusable. Rotten packs are noted, and the next
    snapshot stores their content again.
    """
    wanted = snapshot
    try:
        manager = session.manager()
        known = manager.require_graph(graph)
        wanted = None if snapshot is None else known.find_snapshot(snapshot).backup_id
        scratch = manager.recovery.scratch_dir
        with session.progress() as progress:
            outcome = session.run(known.verify_snapshot(wanted, level, scratch_dir=scratch, progress=progress))
    except (DamagedError, ForeignObjectError) as error:
        outcome = VerifyOutcome.unread(level, error)

    def document() -> dict[str, object]:
        return {"graph_id": graph, "backup_id": wanted, "ok": outcome.ok, **asdict(outcome)}

    what = wanted or "all snapshots"
    if outcome.ok:
        said = f"{what} of {graph}: no damage, {_looked_at(outcome)}"
        return session.close(document, lambda: [said, *_notes(outcome)])
    session.answer(document, lambda: _damage(outcome, f"{what} of {graph}"))
    return Exit.DAMAGE


def restore(
    session: Session,
    graph: GraphId,
    snapshot: SnapshotId,
    target_dir: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET_DIR", help="A working directory; made when missing. With --server: where the graph lives."
        ),
    ] = None,
    item: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this item or directory; may be repeated.")
    ] = None,
    workspace: Annotated[
        str | None, typer.Option(metavar="W", help="Clone into this workspace  [default: the snapshot's own]")
    ] = None,
    input_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="LightRAG's INPUT_DIR there, for uploads and parsed documents.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Let a clone or uploads replace what is there.")] = False,
    allow_unusable: Annotated[
        bool, typer.Option("--allow-unusable", help="Let a graph that cannot be used replace one that is there.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a directory that is not empty.")] = False,
) -> int:
    """Bring a snapshot back, byte for byte.

    What is in the directory is kept first as a safety snapshot. The workspace's files go to TARGET_DIR/<workspace>;
    with --workspace they become another one, which must have no data yet. Where a LightRAG server has the graph open,
    restore through it (--server): it goes on with what comes back.
    """
    known = session.graph(graph)
    wanted = known.find_snapshot(snapshot).backup_id
    session.warn_of_log(known)
    goal = session.goal(known, target_dir, workspace)
    bring = functools.partial(
        known.restore,
        wanted,
        goal.target_dir,
        items=item,
        workspace=workspace,
        input_dir=input_dir,
        replace=replace,
        allow_unusable=allow_unusable,
    )
    if not (yes or dry_run) and goal.occupied():
        if workspace is not None:  # what would be refused anyhow is said before anybody is asked
            with contextlib.suppress(RestoreUnfinishedError):  # which the restore itself finishes
                session.run(bring(dry_run=True))
        if not _agreed(session, wanted, goal.name):
            raise LightragBkpError(f"declined: nothing was changed in {goal.name!r}", code="DECLINED", target=goal.name)
    with session.progress() as progress:
        outcome = session.run(bring(dry_run=dry_run, progress=progress))
    ending = session.answer if dry_run else session.close
    return ending(lambda: _outcome_document(outcome), lambda: _plan(outcome) if dry_run else _restored(outcome))


def _outcome_document(outcome: "RestoreOutcome") -> dict[str, object]:
    document = {**members(outcome), "items": Listing(outcome.items, members)}
    if outcome.held_ms is None:  # no LightRAG was held
        del document["held_ms"]
    return document


def _looked_at(outcome: VerifyOutcome) -> str:
    if outcome.restore_s is None or outcome.judge_s is None:
        looked = f"{counted(outcome.objects, 'object')}, {counted(outcome.chunks, 'chunk')}"
        return f"{looked}, {size(outcome.bytes_read)} read"
    back = f"{counted(outcome.objects, 'item')} of {size(outcome.bytes_read)} back in {outcome.restore_s:.1f} s"
    verdict = f", {outcome.verdict}" if outcome.verdict else ""
    return f"{back}, compared and judged in {outcome.judge_s:.1f} s{verdict}"


def _damage(outcome: VerifyOutcome, what: str) -> list[str]:
    unnamed = outcome.finding_count - len(outcome.findings)
    return [
        f"{what}: {counted(outcome.finding_count, 'finding')}, {_looked_at(outcome)}",
        *table(("OBJECT", "DAMAGE"), ((one.object, one.message) for one in outcome.findings)),
        *([f"and {unnamed} more"] if unnamed else []),
        *_notes(outcome),
    ]


def _notes(outcome: VerifyOutcome) -> list[str]:
    return [f"no new damage: {shown(one.object)}: {one.message}" for one in outcome.notes]


def _agreed(session: Session, backup_id: str, goal: str) -> bool:
    answer = session.confirm(f"{shown(goal)} is not empty; make it hold snapshot {backup_id}?")
    if answer is None:
        raise InvalidInputError(
            f"{goal!r} is not empty, and there is no terminal to ask at: --yes restores without asking",
            op="restore",
            target=goal,
        )
    return answer


def _plan(outcome: "RestoreOutcome") -> Iterator[str]:
    changes = Listing(outcome.changed, lambda one: (one.action, size(one.size_bytes), one.name))
    if not changes:
        # What is written although nothing differs is a plain directory's whose times do.
        yield "only times would be set" if outcome.needed_bytes else "nothing would change"
        yield _counts(outcome, _FUTURE)
        return
    if outcome.verdict == Verdict.UNUSABLE:
        yield "the graph is unusable: it replaces one that is there only with --allow-unusable"
    yield from table(("WOULD", "SIZE", "ITEM"), changes, ("SIZE",))
    yield _counts(outcome, _FUTURE)
    yield f"up to {size(outcome.needed_bytes)} to write: what is unchanged too, and in blocks of 4 KiB"
    if outcome.restart_required:
        yield _RESTART


def _restored(outcome: "RestoreOutcome") -> list[str]:
    done = f"{_counts(outcome, _PAST)}, {outcome.seconds:.1f} s"
    lines = [f"snapshot {outcome.snapshot_id} is in {shown(outcome.target_dir)}: {done}"]
    if outcome.uploads:
        lines.append(f"{counted(outcome.uploads, 'name')} of uploads brought back")
    if outcome.sidecars:
        lines.append(f"{counted(outcome.sidecars, 'location')} of parsed documents changed to lead there")
    if outcome.safety_snapshot:
        lines.append(f"what was there before is kept as snapshot {outcome.safety_snapshot}")
    if outcome.restart_required:
        lines.append(_RESTART)
    if outcome.verdict and not Verdict(outcome.verdict).usable:
        lines.append(f"the graph is {outcome.verdict}: lightrag-bkp validate says what is wrong with it")
    return lines


def _counts(outcome: "RestoreOutcome", words: dict[str, str]) -> str:
    count = Counter(one.action for one in outcome.items)
    return ", ".join(f"{number} {words[action]}" for action, number in count.items()) or "no items"
