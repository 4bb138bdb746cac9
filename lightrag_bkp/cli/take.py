"""Commands that look at live data: `snapshot`, and `discover`, which says what could be taken."""

import os
import shlex
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInputError, LightragBkpError, denied
from ..verdicts import Verdict
from .documents import snapshot_document
from .failures import failure_of
from .session import Session
from .ship import send_new
from .text import counted, shown, size, table, when
from .words import GraphId

if TYPE_CHECKING:
    from ..discovery import Workspace
    from ..models import BackupSnapshot
    from .parts import Graph, Manager


class OnBusy(StrEnum):
    """The choices of `--on-busy`."""

    WAIT = "wait"
    FAIL = "fail"
    CRASH = "crash"


class Validate(StrEnum):
    """The choices of `--validate`."""

    ON = "on"
    OFF = "off"


def snapshot(
    session: Session,
    graph: GraphId,
    source_dir: Annotated[
        str | None,
        typer.Argument(metavar="SOURCE_DIR", help="Directory to keep  [default: the configured or the last one]"),
    ] = None,
    workspace: Annotated[
        str | None, typer.Option(metavar="W", help="Workspace of LightRAG  [default: the configured or unnamed one]")
    ] = None,
    input_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="LightRAG's INPUT_DIR, to keep uploads as well.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="K[=V]", help="Note to attach, a word or a value; may be repeated.")
    ] = None,
    server_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="LightRAG server that has the graph open; its key in LIGHTRAG_API_KEY."),
    ] = None,
    on_busy: Annotated[
        OnBusy, typer.Option(help="While LightRAG works: wait, fail at once, or take any moment.")
    ] = OnBusy.WAIT,
    deadline: Annotated[float, typer.Option(metavar="S", min=0, help="How long to wait, in seconds.")] = 300,
    partial: Annotated[
        bool, typer.Option("--partial", help="Keep the files of a graph that is not all in files.")
    ] = False,
    validate: Annotated[Validate, typer.Option(help="Judge whether the graph fits together.")] = Validate.ON,
) -> int:
    """Take a snapshot of a graph, live or not.

    SOURCE_DIR is LightRAG's working directory, or any other directory; LightRAG may go on working.
    """
    metadata = _metadata(tag or [])
    manager = session.manager(new=True)
    known = _register(manager, graph, source_dir, workspace, input_dir)
    known.on_snapshot = None  # this process ends before a background has sent anything
    with session.progress() as progress:
        taken = session.run(
            known.create_snapshot(
                metadata=metadata,
                on_busy=on_busy.value,
                deadline_s=deadline,
                partial=partial,
                server_url=server_url,
                validate=validate.value,
                progress=progress,
            )
        )
    session.warn_of_log(known)
    _warn_of_another_source(session, known, taken)
    copies = send_new(session, manager, graph) if manager.replication.after_snapshot else []
    more = {"replications": copies} if manager.replication.after_snapshot else {}
    return session.close(
        lambda: {"snapshot": snapshot_document(taken, body=True), **more},
        lambda: [
            *_taken(session, taken, known.source_dir),
            *(f"copied to {one['name']}" for one in copies if one["is_there"]),
        ],
    )


def discover(
    session: Session,
    working_dir: Annotated[str, typer.Argument(metavar="WORKING_DIR", help="A working directory of LightRAG.")],
) -> int:
    """List the workspaces in a working directory.

    Each comes with the command that takes a snapshot of it.
    """
    from ..discovery import discover as look
    from ..sources.files import closed_directories

    session.here()
    found = look(working_dir)
    for name in closed_directories(working_dir):
        place = os.path.join(working_dir, name)
        session.note(name, failure_of(denied(place)))
    commands = [_snapshot_command(session, one) for one in found]

    def document() -> dict[str, Any]:
        return {"workspaces": [_workspace_document(one, line) for one, line in zip(found, commands, strict=True)]}

    def lines() -> list[str]:
        if not found:
            return (
                []
                if session.failures
                else [f"no files of LightRAG in {shown(working_dir)}; snapshot keeps it as a plain directory"]
            )
        rows = (
            (one.workspace or "(unnamed)", str(one.files), size(one.size_bytes), when(one.changed_at)) for one in found
        )
        heads = ("WORKSPACE", "FILES", "SIZE", "LAST CHANGE (UTC)")
        return [*table(heads, rows, heads[1:3]), "", *map(shown, commands)]

    return session.answer(document, lines)


def _metadata(tags: list[str]) -> dict[str, str]:
    metadata: dict[str, str] = {}
    for tag in tags:
        key, _, value = tag.partition("=")
        if not key:
            raise InvalidInputError(f"tag {tag!r} is neither a word nor of the form key=value")
        if metadata.setdefault(key, value) != value:
            raise InvalidInputError(f"tag {key!r} is given twice with different values")
    return metadata


def _register(
    manager: "Manager", graph_id: str, source_dir: str | None, workspace: str | None, input_dir: str | None
) -> "Graph":
    """The graph to take; what is said here is added to what is configured, and must not contradict it."""
    if source_dir is None and manager.get_graph(graph_id) is None:
        raise InvalidInputError(
            f"graph {graph_id!r} is not configured: name its SOURCE_DIR, or set LIGHTRAG_BACKUP_GRAPHS", target=graph_id
        )
    return manager.register_graph(graph_id, source_dir, workspace=workspace, input_dir=input_dir)


def _warn_of_another_source(session: Session, known: "Graph", taken: "BackupSnapshot") -> None:
    """Directories move, so that one graph's next snapshot may be of another; nor must a mistake go unseen."""
    with suppress(LightragBkpError):  # what is damaged is told of elsewhere
        others = [one for one in known.list_snapshots() if not one.safety and one.backup_id != taken.backup_id]
        before, now = (str(one.facts.get("source_dir")) for one in (others[-1], taken)) if others else ("", "")
        if before != now:
            said = f"taken from {now!r}, and the snapshot before from {before!r}: give another graph an id of its own"
            session.warn(known.graph_id, said)


def _taken(session: Session, taken: "BackupSnapshot", source_dir: str | None) -> list[str]:
    what = f"{counted(taken.item_count, 'item')}, {size(taken.size_bytes)}, {size(taken.stored_bytes)} added"
    verdict = f", {taken.verdict}" if taken.verdict else ""
    lines = [f"snapshot {taken.backup_id} of {taken.graph_id}: {what}, {taken.consistency}{verdict}"]
    if taken.verdict in (Verdict.REPAIRABLE, Verdict.UNUSABLE):
        lines.append(f"the graph is {taken.verdict}: see lightrag-bkp show {taken.graph_id} {taken.backup_id}")
    if taken.verdict and taken.facts.get("missing"):
        absent = ", ".join(taken.facts["missing"])
        lines.append(f"the verdict is of the files that are there: with --partial, {absent} count as kept elsewhere")
    if taken.skipped:
        left_out = counted(len(taken.skipped), "name")
        lines.append(f"{left_out} left out: see lightrag-bkp show {taken.graph_id} {taken.backup_id}")
    if source_dir is None:
        source_dir = str(taken.facts.get("source_dir"))
        lines.append(f"read from {shown(source_dir)}, as the snapshot before it says: no source_dir is configured")
    if source_dir:
        storage = os.path.dirname(taken.checkpoint_path)
        lines += [f"warning: {said}" for said in session.concerns(storage, source_dir)]
    return lines


def _snapshot_command(session: Session, found: "Workspace") -> str:
    words = [session.program, *(["--storage", session.storage] if session.storage else [])]
    words += ["snapshot", found.graph_id, found.working_dir]
    return shlex.join(words + (["--workspace", found.workspace] if found.workspace else []))


def _workspace_document(found: "Workspace", command: str) -> dict[str, Any]:
    return {
        "workspace": found.workspace,
        "graph_id": found.graph_id,
        "directory": found.root,
        "files": found.files,
        "size_bytes": found.size_bytes,
        "changed_at": found.changed_at.isoformat(),
        "command": command,
    }
