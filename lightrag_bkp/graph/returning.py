"""Snapshots brought back. What does that is loaded when it is asked for: it takes a tenth of a program's start."""

import os
from collections.abc import Sequence

from .. import arguments
from ..errors import InvalidInputError, NotFoundError, refusals_named
from ..models import BackupSnapshot, ProgressCallback, RestoreOutcome
from ..restoring import staging
from ..restoring.request import Request
from ..restoring.target import refuse_blocked
from ..threads import in_thread
from .known import KnownGraph, root_of


class Returning(KnownGraph):
    """How a graph's snapshots come back; see `GraphBackup`."""

    async def restore(
        self,
        snapshot_id: str,
        target_dir: str | os.PathLike[str],
        *,
        items: Sequence[str] | None = None,
        dry_run: bool = False,
        workspace: str | None = None,
        input_dir: str | os.PathLike[str] | None = None,
        replace: bool = False,
        allow_unusable: bool = False,
        progress: ProgressCallback | None = None,
    ) -> RestoreOutcome:
        """Makes `target_dir` hold the snapshot's items, byte for byte, with their modes and times.

        A named workspace goes to <target_dir>/<workspace>, uploads to `inputs/` below that. What of the graph is there
        and differs is kept first as a safety snapshot; items the snapshot lacks go away; other files and other
        workspaces stay. A plain directory becomes equal to the snapshot.

        Into the directory of the registered `rag` it is restored while that runs: documents and direct edits that come
        meanwhile wait, queries go on, and from one moment to the next LightRAG serves the restored state.

        Args:
            snapshot_id: or "latest", which passes over safety snapshots.
            target_dir: a working directory; made when missing. A symlink is followed, one that leads nowhere refused.
            items: only these (a directory's name takes all below it); nothing is removed then.
            dry_run: only say what would change.
            workspace: another one than the snapshot's ("" is the unnamed one): a clone, into a workspace without data.
            input_dir: LightRAG's INPUT_DIR there: uploads go to <input_dir>/<workspace> instead, added to what is
                there, and `full_docs` names parsed documents there; the only bytes a restore changes.
            replace: a clone may replace what is in its workspace, uploads other files of the same name.
            allow_unusable: a graph whose verdict is "unusable" may replace one that is there.

        Raises:
            RefusedError: that, without allow_unusable; or a LightRAG server elsewhere is seen to have the target open.
                NotFoundError: no such snapshot or item. DamagedError: it cannot be brought back; nothing was changed.
            ConflictError: the target holds something that must not be replaced, or the running LightRAG's embedding has
                another dimension. NoSpaceError: no room; the target is untouched. Busy: the running LightRAG is at
                work. InvalidInputError: an argument cannot be used.
        """
        target_dir = arguments.check_path(target_dir, "target_dir")
        arguments.check_flags(dry_run=dry_run, replace=replace, allow_unusable=allow_unusable)
        arguments.check_progress(progress)
        only = arguments.check_items(items)
        snapshot = await self._require(snapshot_id)
        request = Request(
            snapshot,
            target_dir,
            items=only,
            dry_run=dry_run,
            workspace=None if workspace is None else arguments.check_workspace(workspace),
            input_dir=None if input_dir is None else arguments.check_path(input_dir, "input_dir"),
            replace=replace,
            allow_unusable=allow_unusable,
            progress=progress,
            rag=self.rag,
            server_url=self.server_url,
        )
        return await self._bring(request)

    async def restore_snapshot(self, snapshot_id: str, target_dir: str | os.PathLike[str]) -> bool:
        """As `restore`: returns True, or raises what `restore` raises."""
        await self.restore(snapshot_id, target_dir)
        return True

    async def unpack(self, snapshot_id: str, directory: str | os.PathLike[str]) -> None:
        """Writes a snapshot's items into an empty directory, in milliseconds: every byte is compared with its digest,
        but nothing is made durable. For tests and trials; a graph that is to stay comes back by `restore`.

        Args:
            snapshot_id: or "latest".
            directory: where the items themselves go, also those of a named workspace; made when missing.

        Raises:
            NotFoundError: no such snapshot. ConflictError: the directory is not empty. DamagedError: it cannot be
                brought back whole.
        """
        directory = arguments.check_path(directory, "directory")
        snapshot = await self._require(snapshot_id)
        with refusals_named(directory, "unpack"):
            await in_thread(refuse_blocked, directory)
            await in_thread(os.makedirs, directory, exist_ok=True)
            await staging.unpack(self._repository, snapshot.backup_id, directory)

    async def bring_home(
        self,
        snapshot_id: str,
        *,
        items: Sequence[str] | None = None,
        dry_run: bool = False,
        workspace: str | None = None,
        replace: bool = False,
        allow_unusable: bool = False,
        progress: ProgressCallback | None = None,
    ) -> RestoreOutcome:
        """Restores a snapshot where the graph lives: to its registered directory, or else that it was taken from.
        Uploads that are missing come back into its `input_dir`; others of the same name stay.

        Args: as `restore`.

        Raises:
            NotFoundError: no such snapshot, or nobody knows where the graph lives. And what `restore` raises.
        """
        arguments.check_flags(dry_run=dry_run, replace=replace, allow_unusable=allow_unusable)
        arguments.check_progress(progress)
        only = arguments.check_items(items)
        snapshot = await self._require(snapshot_id)
        home = await self._home(snapshot)
        request = Request(
            snapshot,
            home,
            items=only,
            dry_run=dry_run,
            workspace=None if workspace is None else arguments.check_workspace(workspace),
            input_dir=self.input_dir,
            keep_uploads=True,
            replace=replace,
            allow_unusable=allow_unusable,
            progress=progress,
            rag=self.rag,
            server_url=self.server_url,
        )
        return await self._bring(request)

    async def _bring(self, request: Request) -> RestoreOutcome:
        from ..restoring import restore

        with refusals_named(request.target_dir, "restore"):
            return await restore.restore(self._repository, request)

    async def _home(self, snapshot: BackupSnapshot) -> str:
        """The working directory where the graph lives."""
        if self.source_dir is not None:
            return self.source_dir
        place = (await in_thread(lambda: snapshot.facts)).get("source_dir")
        if not isinstance(place, str):
            raise NotFoundError(
                f"where graph {self.graph_id!r} lives is not known: configure its source_dir", target=self.graph_id
            )
        return place

    async def undo_restore(self, outcome: RestoreOutcome) -> None:
        """Makes the target of a restore what it was before: from the safety snapshot, or, where nothing of the graph
        was there, by taking away what was restored.

        Args:
            outcome: what that `restore` returned.

        Raises:
            NotFoundError: the safety snapshot is gone. And what `restore` raises.
        """
        if not isinstance(outcome, RestoreOutcome):
            raise InvalidInputError(f"outcome {outcome!r} must be what restore() returned")
        from ..restoring import undoing

        with refusals_named(outcome.target_dir, "restore"):
            await undoing.undo(self._repository, outcome, self.rag)

    async def finish_restore(self, target_dir: str | os.PathLike[str] | None = None) -> bool:
        """Finishes a restore that was interrupted: rolls it forward, or clears what never committed.

        Args:
            target_dir: where it went to; the graph's own source_dir by default.

        Returns:
            False when nothing was waiting.

        Raises:
            Busy: another restore is at it. RestoreUnfinishedError: it cannot go on, by a damaged journal or by what is
                mounted there; the message says what to do.
        """
        from ..restoring import restore

        root = await in_thread(lambda: root_of(self._source(target_dir)[0], self.workspace))
        with refusals_named(root, "finish"):
            return await restore.finish(root)
