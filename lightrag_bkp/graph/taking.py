"""Snapshots taken."""

import os
from collections.abc import Mapping
from typing import Any

from .. import _bridge, arguments, capture
from ..errors import ConflictError, DamagedError, NotFoundError, refusals_named
from ..models import BackupSnapshot, Consistency, ProgressCallback
from ..repository import read_facts
from ..restoring import staging
from ..threads import in_thread
from .known import LATEST, KnownGraph, root_of


class Taking(KnownGraph):
    """How a graph's snapshots are taken; see `GraphBackup`."""

    async def create_snapshot(
        self,
        source_dir: str | os.PathLike[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        on_busy: str = "wait",
        deadline_s: float = 300,
        partial: bool = False,
        server_url: str | None = None,
        validate: str = "on",
        progress: ProgressCallback | None = None,
    ) -> BackupSnapshot:
        """Takes a snapshot of the graph as it is at one moment. LightRAG may go on working.

        Args:
            source_dir: the working directory; by default the registered one, or else that of the newest snapshot, whose
                input directory is taken again then, too.
            metadata: a JSON object to attach, at most 16 KiB and 32 levels.
            on_busy: "wait" until a good moment comes, "fail" at once when there is none, "crash" to take any moment.
            deadline_s: how long to wait, in seconds.
            partial: keep what is in files of a graph that is not all in files.
            server_url: of the LightRAG server that has the graph open; its key is read from LIGHTRAG_API_KEY.
            validate: "on" judges whether the graph fits together and stores the verdict, "off" does not. With it, a
                graph that another process works on is cut when its files fit together.
            progress: called on the loop's thread, at most 10 times a second. When it raises, no snapshot is taken and
                its exception passes through; once the snapshot is committed, it is logged only.

        Raises:
            Busy: no good moment came, or a file is written in place all the time. DamagedError: half a pair of Faiss
                files, and nobody is at work.
            IncompleteSourceError: part of the graph is not in files here. NotFoundError: nothing is there.
                RestoreUnfinishedError: an interrupted restore waits there. ServerError: the server cannot be asked.
                InvalidInputError: an argument cannot be used. ConflictError: source, uploads or storage lie inside one
                another, or the graph's snapshots are of another workspace, or not of a graph. NoSpaceError,
                StorageError: the system refused. None of them leaves anything behind.
        """
        _check_how(on_busy, deadline_s, partial, validate, progress)
        metadata_json = capture.metadata_text(metadata)
        url = self.server_url if server_url is None else arguments.check_server_url(server_url)
        recorded = await self._recorded()
        chosen, workspace, is_own, input_dir = await in_thread(self._places, source_dir, recorded)
        request = capture.Request(
            source_dir=chosen,
            workspace=workspace,
            input_dir=input_dir,
            earlier=recorded,
            rag=self.rag if is_own else None,
            server_url=url if is_own or server_url is not None else None,
            metadata_json=metadata_json,
            retention_days=self.retention_days,
            on_busy=on_busy,
            deadline_s=deadline_s,
            partial=partial,
            validate=validate,
            progress=progress,
        )
        with refusals_named(chosen), self._repository.advising_on_space():
            return self._announced(await capture.create(self._repository, request))

    def _places(
        self, given: str | os.PathLike[str] | None, recorded: capture.Recorded | None
    ) -> tuple[str, str, bool, str | None]:
        """As `_place`, where no interrupted restore waits, and the input directory to take as well."""
        chosen, workspace, is_own = self._place(given, recorded)
        staging.refuse_pending(root_of(chosen, workspace))
        recorded_inputs = recorded.input_dir if recorded is not None and _is_same(chosen, recorded) else None
        return chosen, workspace, is_own, self.input_dir or recorded_inputs

    def _announced(self, taken: BackupSnapshot) -> BackupSnapshot:
        if self.on_snapshot is not None:
            self.on_snapshot(self.graph_id)
        return taken

    def _is_unsaid(self, given: str | os.PathLike[str] | None) -> bool:
        """Whether nobody names a directory, so that the newest snapshot's is meant."""
        return given is None and self.source_dir is None

    def _place(self, given: str | os.PathLike[str] | None, recorded: capture.Recorded | None) -> tuple[str, str, bool]:
        """Directory and workspace to take, and whether it is the registered directory.

        Snapshots of one graph are of one workspace: two of them would share one retention, and `latest` would be
        either. Its directory may move.
        """
        if recorded is None:
            chosen, is_own = self._source(given)
            return chosen, self.workspace, is_own
        unsaid = self._is_unsaid(given)
        workspace = recorded.workspace if unsaid and self.given_workspace is None else self.workspace
        if workspace != recorded.workspace:
            raise ConflictError(
                f"the snapshots of graph {self.graph_id!r} are of workspace {recorded.workspace!r}, not {workspace!r}:"
                " take another graph id",
                target=self.graph_id,
            )
        chosen, is_own = self._source(recorded.source_dir if unsaid else given)
        if unsaid and "\ufffd" in chosen:
            raise NotFoundError(
                f"graph {self.graph_id!r} was last taken from {chosen!r}, whose name is no UTF-8 and is not kept whole:"
                " pass the source_dir",
                target=chosen,
            )
        if unsaid and not os.path.isdir(chosen):
            raise NotFoundError(
                f"graph {self.graph_id!r} was last taken from {chosen!r}, which is no directory any more:"
                " pass the source_dir",
                target=chosen,
            )
        return chosen, workspace, is_own

    async def _recorded(self) -> capture.Recorded | None:
        """What the newest snapshot was taken of; None when there is none, or when they cannot be read: what is
        damaged must not keep the next snapshot from healing it.
        """
        core = await self._repository.open()
        if core is not None and core.damage is not None:
            raise DamagedError(core.damage, op="snapshot")
        return None if core is None else await in_thread(self._read_recorded, core)

    def _read_recorded(self, core: _bridge.Repository) -> capture.Recorded | None:
        newest = self._find(core, LATEST)
        if newest is None:
            return None
        try:
            facts = read_facts(core, newest.backup_id)
        except (DamagedError, NotFoundError):
            return None
        source_dir, workspace, input_dir = (facts.get(name) for name in ("source_dir", "workspace", "input_dir"))
        if not isinstance(source_dir, str) or not isinstance(workspace, str):
            return None
        is_plain = newest.consistency == Consistency.PLAIN
        return capture.Recorded(source_dir, workspace, input_dir if isinstance(input_dir, str) else None, is_plain)


def _is_same(directory: str, recorded: capture.Recorded) -> bool:
    return os.path.realpath(directory) == os.path.realpath(recorded.source_dir)


def _check_how(
    on_busy: str, deadline_s: float, partial: bool, validate: str, progress: ProgressCallback | None
) -> None:
    """Raises InvalidInputError for an argument of `create_snapshot` that cannot be used."""
    arguments.check_on_busy(on_busy)
    arguments.check_choice(validate, "validate", capture.VALIDATE)
    arguments.check_seconds(deadline_s, "deadline_s", capture.DEADLINE_MAX_S)
    arguments.check_flags(partial=partial)
    arguments.check_progress(progress)
