"""One graph: its snapshots taken, listed, verified, held, brought back and cleaned up."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from . import _bridge, arguments, capture, config, restoring, staging, validation, verification
from .errors import ConflictError, DamagedError, InvalidInputError, NotFoundError
from .keyring import Keyring
from .models import (
    BackupSnapshot,
    ProgressCallback,
    PruneOutcome,
    RestoreOutcome,
    RetentionPolicy,
    VerifyLevel,
    VerifyOutcome,
    stored_object,
)
from .repository import EXPIRED, GraphRepository, scan
from .sources.files import Kind, Layout
from .target import refuse_dangling
from .verdicts import Validation

logger = logging.getLogger("lightrag_bkp")

LATEST = "latest"
READERS_WAIT_S = 3600.0
"""How long packs taken out of use stay on disk, for readers that opened them before."""
_LONGEST_WAIT_S = 10 * 365 * 86_400
_CANDIDATES_NAMED = 5


class GraphBackup:
    """Snapshots of one graph. Made by `BackupManager.register_graph` or `get_graph`.

    Attributes:
        graph_id: the graph's name.
        source_dir: LightRAG's working directory, or any other directory; None when only the repository is known.
        given_workspace: of LightRAG; None when nobody said, `workspace` is then the unnamed one.
        input_dir: LightRAG's INPUT_DIR, or None. rag: the running LightRAG of this process, or None.
        server_url: of a LightRAG server that has the graph open, or None.
        retention_days: given to new snapshots. retention: the policy of clean-ups.
    """

    def __init__(
        self,
        storage_path: str | os.PathLike[str],
        graph_id: str,
        source_dir: str | os.PathLike[str] | None = None,
        *,
        workspace: str | None = None,
        rag: Any = None,
        input_dir: str | os.PathLike[str] | None = None,
        server_url: str | None = None,
        retention_days: int = config.DEFAULT_RETENTION_DAYS,
        retention: RetentionPolicy | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self.graph_id = arguments.check_graph_id(graph_id)
        self.source_dir = None if source_dir is None else arguments.check_path(source_dir, "source_dir")
        self.given_workspace = None if workspace is None else arguments.check_workspace(workspace)
        self.input_dir = None if input_dir is None else arguments.check_path(input_dir, "input_dir")
        self.rag = None if rag is None else arguments.check_rag(rag)
        self.server_url = None if server_url is None else arguments.check_server_url(server_url)
        self.retention_days = arguments.check_retention_days(retention_days)
        self.retention = arguments.check_retention(retention) or RetentionPolicy()
        if not isinstance(keyring, Keyring | None):
            raise InvalidInputError(f"keyring must be a BackupManager's keyring, and is a {type(keyring).__name__}")
        self._repository = GraphRepository(arguments.check_path(storage_path, "storage_path"), self.graph_id, keyring)

    @property
    def workspace(self) -> str:
        """The workspace of LightRAG; "" is the unnamed one."""
        return self.given_workspace or ""

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
            source_dir: the working directory; by default the registered one, or else that of the newest snapshot.
            metadata: a JSON object to attach, at most 16 KiB.
            on_busy: "wait" until a good moment comes, "fail" at once when there is none, "crash" to take any moment.
            deadline_s: how long to wait, in seconds.
            partial: keep what is in files of a graph that is not all in files.
            server_url: of the LightRAG server that has the graph open; its key is read from LIGHTRAG_API_KEY.
            validate: "on" judges whether the graph fits together and stores the verdict, "off" does not. With it, a
                graph that another process works on is cut when its files fit together.
            progress: called on the loop's thread, at most 10 times a second. When it raises, no snapshot is taken and
                its exception passes through; once the snapshot is committed, it is logged only.

        Raises:
            Busy: no good moment came. IncompleteSourceError: part of the graph is not in files here. NotFoundError:
                nothing is there. SourceChangedError: a file kept changing while it was read. RestoreUnfinishedError:
                an interrupted restore waits there. ServerError: the server cannot be asked. InvalidInputError: an
                argument cannot be used. ConflictError: source and storage lie inside one another, or the graph's
                snapshots are of another workspace. NoSpaceError, StorageError: the system refused. None of them leaves
                anything behind.
        """
        arguments.check_choice(on_busy, "on_busy", capture.ON_BUSY)
        arguments.check_choice(validate, "validate", capture.VALIDATE)
        arguments.check_seconds(deadline_s, "deadline_s", capture.DEADLINE_MAX_S)
        arguments.check_flags(partial=partial)
        arguments.check_progress(progress)
        metadata_json = capture.metadata_text(metadata)
        url = self.server_url if server_url is None else arguments.check_server_url(server_url)
        recorded = await self._recorded()
        chosen, workspace, is_own = self._place(source_dir, recorded)
        restoring.refuse_pending(_root(chosen, workspace))
        request = capture.Request(
            source_dir=chosen,
            workspace=workspace,
            input_dir=self.input_dir,
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
        with self._repository.advising_on_space():
            return await capture.create(self._repository, request)

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

        Raises:
            NotFoundError: no such snapshot or item. DamagedError: it cannot be brought back whole; the target is
                untouched.
            ConflictError: the target holds something that must not be replaced, or the running LightRAG's embedding has
                another dimension. NoSpaceError: no room; the target is untouched. Busy: the running LightRAG is at
                work. InvalidInputError: an argument cannot be used.
        """
        target_dir = arguments.check_path(target_dir, "target_dir")
        arguments.check_flags(dry_run=dry_run, replace=replace)
        arguments.check_progress(progress)
        only = None if items is None else arguments.check_names(items, "items")
        snapshot = await self._require(snapshot_id)
        request = restoring.Request(
            snapshot,
            target_dir,
            items=only,
            dry_run=dry_run,
            workspace=None if workspace is None else arguments.check_workspace(workspace),
            input_dir=None if input_dir is None else arguments.check_path(input_dir, "input_dir"),
            replace=replace,
            progress=progress,
            rag=self.rag,
        )
        return await restoring.restore(self._repository, request)

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
        await asyncio.to_thread(refuse_dangling, directory)
        await asyncio.to_thread(os.makedirs, directory, exist_ok=True)
        await staging.unpack(self._repository, snapshot.backup_id, directory)

    async def bring_home(
        self, snapshot_id: str, *, dry_run: bool = False, progress: ProgressCallback | None = None
    ) -> RestoreOutcome:
        """Restores a snapshot where the graph lives: to its registered directory, or else that it was taken from.
        Uploads that are missing come back into its `input_dir`; others of the same name stay.

        Args: as `restore`.

        Raises:
            NotFoundError: no such snapshot, or nobody knows where the graph lives. And what `restore` raises.
        """
        arguments.check_flags(dry_run=dry_run)
        arguments.check_progress(progress)
        snapshot = await self._require(snapshot_id)
        home = self.source_dir
        if home is None:
            place = (await asyncio.to_thread(lambda: snapshot.facts)).get("source_dir")
            if not isinstance(place, str):
                raise NotFoundError(
                    f"where graph {self.graph_id!r} lives is not known: configure its source_dir", target=self.graph_id
                )
            home = place
        request = restoring.Request(
            snapshot,
            home,
            dry_run=dry_run,
            input_dir=self.input_dir,
            keep_uploads=True,
            progress=progress,
            rag=self.rag,
        )
        return await restoring.restore(self._repository, request)

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
        await restoring.undo(self._repository, outcome, self.rag)

    async def finish_restore(self, target_dir: str | os.PathLike[str] | None = None) -> bool:
        """Finishes a restore that was interrupted: rolls it forward, or clears what never committed.

        Args:
            target_dir: where it went to; the graph's own source_dir by default.

        Returns:
            False when nothing was waiting.

        Raises:
            Busy: another process is at it. DamagedError: the restore's journal is damaged.
        """
        return await restoring.finish(_root(self._source(target_dir)[0], self.workspace))

    def log_damage(self) -> str | None:
        """None, or a sentence that names what of the log is damaged and what to do. Then listings show what is intact,
        which can be restored and verified by its id; whatever would write raises DamagedError.
        """
        core = self._repository.open_now()
        return None if core is None else core.damage

    def log_alarm(self) -> str | None:
        """None, or a sentence: the log ends before, or differs from, what had been written here. Snapshots can be
        taken and restored; `prune` refuses until that is settled.
        """
        core = self._repository.open_now()
        return None if core is None else core.alarm

    def list_snapshots(self) -> list[BackupSnapshot]:
        """All snapshots in the order of the log, oldest first; each says why the retention policy keeps it. Of a
        damaged log those whose entries are intact (see `log_damage`).

        Raises:
            DamagedError: nothing of the log can be read.
        """
        core = self._repository.open_now()
        return [] if core is None else self._repository.snapshots(core, self.retention)

    def get_snapshot(self, snapshot_id: str) -> BackupSnapshot | None:
        """The snapshot of this id, or of "latest" (which passes over safety snapshots); None when there is none.

        Raises:
            InvalidInputError: this cannot be an id.
        """
        arguments.check_snapshot_id(snapshot_id)
        core = self._repository.open_now()
        return None if core is None else self._find(core, snapshot_id)

    def find_snapshot(self, beginning: str) -> BackupSnapshot:
        """The one snapshot whose id is `beginning`, or begins with it; or that of "latest".

        Raises:
            NotFoundError: there is none. InvalidInputError: there are several; the message names them.
        """
        arguments.check_snapshot_id(beginning)
        core = self._repository.open_now()
        if core is None:
            raise self._unknown(beginning)
        exact = self._find(core, beginning)
        if exact is not None:
            return exact
        rows = [row for row in core.snapshots() if beginning and row[0].startswith(beginning)]
        if not rows:
            raise self._unknown(beginning)
        if len(rows) > 1:
            named = ", ".join(row[0] for row in rows[-_CANDIDATES_NAMED:])
            raise InvalidInputError(
                f"{len(rows)} snapshots of graph {self.graph_id!r} begin with {beginning!r}, the last ones {named}: "
                "write more of the id",
                target=beginning,
            )
        return self._repository.snapshot(core, rows[0])

    async def delete_snapshot(self, snapshot_id: str) -> bool:
        """Drops a snapshot. The space it alone uses returns at the next clean-up (`prune`), not now.

        Returns:
            False when there is no such snapshot.

        Raises:
            ConflictError: it is held. InvalidInputError: this cannot be an id.
        """
        arguments.check_snapshot_id(snapshot_id)
        core = await self._repository.open()
        row = None if core is None else core.snapshot(snapshot_id)
        if core is None or row is None:
            return False
        dropped = [] if row[12] else await _bridge.run(_bridge.drop_job(core, [snapshot_id], "deleted"))
        if dropped:
            logger.info("event=delete graph=%s id=%s", self.graph_id, snapshot_id)
            return True
        row = core.snapshot(snapshot_id)
        if row is None:
            return False
        raise ConflictError(
            f"snapshot {snapshot_id} is held by {', '.join(row[12])}: release it first", target=snapshot_id
        )

    async def hold(self, snapshot_id: str, holder: str = "user") -> bool:
        """Keeps a snapshot whatever the policy says, until `release`.

        Args:
            snapshot_id: or "latest".
            holder: on whose behalf; each holder has a hold of its own.

        Returns:
            False when `holder` held it already.

        Raises:
            NotFoundError: no such snapshot. InvalidInputError: the holder's name cannot be stored.
        """
        arguments.check_text(holder, "holder")
        snapshot = await self._require(snapshot_id)
        core = await self._repository.require()
        return bool(await _bridge.run(_bridge.hold_job(core, snapshot.backup_id, holder)))

    async def release(self, snapshot_id: str, holder: str = "user") -> bool:
        """Ends a hold.

        Returns:
            False when `holder` did not hold it.

        Raises:
            NotFoundError: no such snapshot.
        """
        arguments.check_text(holder, "holder")
        snapshot = await self._require(snapshot_id)
        core = await self._repository.require()
        return bool(await _bridge.run(_bridge.release_job(core, snapshot.backup_id, holder)))

    async def verify_snapshot(
        self,
        snapshot_id: str | None = None,
        level: VerifyLevel | str = VerifyLevel.DIGESTS,
        *,
        scratch_dir: str | os.PathLike[str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> VerifyOutcome:
        """Checks that a snapshot (None: everything stored) can be brought back. Rotten packs are noted, so that the
        next snapshot stores their content again.

        Args:
            snapshot_id: or "latest", or None, which a drill does not take.
            level: "catalogue", "digests" or "drill"; see `VerifyLevel`.
            scratch_dir: where a drill restores to; the system's directory for temporary files by default.
            progress: called on the loop's thread, at most 10 times a second.

        Returns:
            What was found; findings are no exception.

        Raises:
            NotFoundError: no such snapshot, or nothing stored. InvalidInputError: an unknown level, or a drill of
                everything. DamagedError: the log is so damaged that nothing could be looked at. OSError: no scratch
                directory can be made.
        """
        wanted = VerifyLevel(arguments.check_choice(level, "level", tuple(VerifyLevel)))
        arguments.check_progress(progress)
        chosen = None if scratch_dir is None else arguments.check_path(scratch_dir, "scratch_dir")
        snapshot = None if snapshot_id is None else await self._require(snapshot_id)
        return await verification.verify(self._repository, snapshot, wanted, chosen, progress)

    async def validate_snapshot(
        self, snapshot_id: str, *, embedding_dim: int | None = None, progress: ProgressCallback | None = None
    ) -> Validation:
        """Judges a snapshot anew, straight from what is stored; `BackupSnapshot.validation` is what was found when it
        was taken.

        Args:
            snapshot_id: or "latest".
            embedding_dim: the dimension LightRAG is configured with, to compare with.
            progress: called on the loop's thread, at most 10 times a second.

        Raises:
            NotFoundError: no such snapshot. InvalidInputError: it is of a plain directory, or an argument cannot be
                used. DamagedError: what is stored cannot be read.
        """
        dim = validation.check_dim(embedding_dim)
        arguments.check_progress(progress)
        snapshot = await self._require(snapshot_id)
        core = await self._repository.require()
        facts = stored_object(await asyncio.to_thread(core.facts, snapshot.backup_id), "facts", snapshot.backup_id)
        return await validation.validate_snapshot(core, snapshot, facts, embedding_dim=dim, progress=progress)

    async def prune(
        self,
        *,
        dry_run: bool = False,
        retention: RetentionPolicy | None = None,
        now: datetime | None = None,
        wait_s: float = READERS_WAIT_S,
        progress: ProgressCallback | None = None,
    ) -> PruneOutcome:
        """Drops what the policy does not keep and frees space nothing uses.

        Args:
            dry_run: change nothing, only say what would go. (Figures of packs then leave out what the snapshots free.)
            retention: another policy than the graph's own.
            now: the instant the policy is asked about, aware; the present by default.
            wait_s: how long packs taken out of use stay for readers, in seconds; 0 deletes them at once.
            progress: called on the loop's thread, at most 10 times a second.

        Raises:
            DamagedError: what is stored cannot be told apart from garbage with certainty, so no space was freed.
            Busy: others kept writing; try again. InvalidInputError: an argument cannot be used.
        """
        started = time.monotonic()
        wait_ns = int(arguments.check_seconds(wait_s, "wait_s", _LONGEST_WAIT_S) * 1e9)
        arguments.check_instant(now)
        arguments.check_retention(retention)
        arguments.check_flags(dry_run=dry_run)
        arguments.check_progress(progress)
        core = await self._repository.open()
        if core is None:
            return PruneOutcome((), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, dry_run, 0.0)
        rows = core.snapshots()
        reasons = scan(rows, retention or self.retention, now)
        dropped = [row[0] for row, reason in zip(rows, reasons, strict=True) if reason == EXPIRED]
        if dropped and not dry_run:
            dropped = list(await _bridge.run(_bridge.drop_job(core, dropped, "retention")))
        job = _bridge.prune_job(core, wait_ns=wait_ns, dry_run=dry_run, repack=True)
        freed = await _bridge.run(job, capture.named(progress, {}), commits=not dry_run)
        outcome = PruneOutcome(
            dropped=tuple(dropped),
            kept=len(rows) - len(dropped),
            dry_run=dry_run,
            seconds=time.monotonic() - started,
            **freed,
        )
        logger.info(
            "event=prune graph=%s dropped=%d kept=%d bytes_freed=%d bytes_retired=%d dry_run=%s seconds=%.3f",
            self.graph_id,
            len(dropped),
            outcome.kept,
            outcome.bytes_freed,
            outcome.bytes_retired,
            dry_run,
            outcome.seconds,
        )
        return outcome

    async def cleanup_old_snapshots(self) -> int:
        """As `prune` with the graph's own policy; returns how many snapshots were dropped."""
        return len((await self.prune()).dropped)

    def stats(self) -> dict[str, Any]:
        """{snapshots, size_bytes (of all sources), stored_bytes (on disk), latest (id or None)}."""
        core = self._repository.open_now()
        if core is None:
            return {"snapshots": 0, "size_bytes": 0, "stored_bytes": 0, "latest": None}
        rows = core.snapshots()
        known, retired, _ = core.usage()
        latest = None if core.damage is not None else self._find(core, LATEST)
        return {
            "snapshots": len(rows),
            "size_bytes": sum(row[3] for row in rows),
            "stored_bytes": known + retired,
            "latest": None if latest is None else latest.backup_id,
        }

    def close(self) -> None:
        """Lets go of the repository; the next call opens it again."""
        self._repository.close()

    def _source(self, given: str | os.PathLike[str] | None) -> tuple[str, bool]:
        """The directory to work on, and whether it is the registered one: a running LightRAG speaks for no other."""
        if given is None:
            if self.source_dir is None:
                raise InvalidInputError(
                    f"graph {self.graph_id!r} has no source_dir: pass a directory here or to register_graph",
                    target=self.graph_id,
                )
            return self.source_dir, True
        named = arguments.check_path(given, "source_dir")
        is_own = self.source_dir is not None and os.path.realpath(named) == os.path.realpath(self.source_dir)
        return named, is_own

    def _place(self, given: str | os.PathLike[str] | None, recorded: tuple[str, str] | None) -> tuple[str, str, bool]:
        """Directory and workspace to take, and whether it is the registered directory.

        Snapshots of one graph are of one workspace: two of them would share one retention, and `latest` would be
        either. Its directory may move.
        """
        if recorded is None:
            chosen, is_own = self._source(given)
            return chosen, self.workspace, is_own
        unsaid = given is None and self.source_dir is None
        workspace = recorded[1] if unsaid and self.given_workspace is None else self.workspace
        if workspace != recorded[1]:
            raise ConflictError(
                f"the snapshots of graph {self.graph_id!r} are of workspace {recorded[1]!r}, not {workspace!r}:"
                " take another graph id",
                target=self.graph_id,
            )
        chosen, is_own = self._source(recorded[0] if unsaid else given)
        if unsaid and not os.path.isdir(chosen):
            raise NotFoundError(
                f"graph {self.graph_id!r} was last taken from {chosen!r}, which is no directory any more:"
                " pass the source_dir",
                target=chosen,
            )
        return chosen, workspace, is_own

    async def _recorded(self) -> tuple[str, str] | None:
        """Directory and workspace of the newest snapshot; None when there is none, or when they cannot be read: what is
        damaged must not keep the next snapshot from healing it.
        """
        core = await self._repository.open()
        if core is not None and core.damage is not None:
            raise DamagedError(core.damage, op="snapshot")
        newest = None if core is None else self._find(core, LATEST)
        if core is None or newest is None:
            return None
        try:
            text = await asyncio.to_thread(core.facts, newest.backup_id)
            facts = stored_object(text, "facts", newest.backup_id)
        except (DamagedError, NotFoundError):
            return None
        place = facts.get("source_dir"), facts.get("workspace")
        return (place[0], place[1]) if isinstance(place[0], str) and isinstance(place[1], str) else None

    def _find(self, core: _bridge.Repository, snapshot_id: str) -> BackupSnapshot | None:
        if snapshot_id == LATEST:
            if core.damage is not None:
                raise DamagedError(
                    f"which snapshot is the latest is not known, name one by its id: {core.damage}",
                    target=self.graph_id,
                )
            row = next((row for row in reversed(core.snapshots()) if not row[10]), None)
        else:
            row = core.snapshot(snapshot_id)
        return None if row is None else self._repository.snapshot(core, row)

    async def _require(self, snapshot_id: str) -> BackupSnapshot:
        arguments.check_snapshot_id(snapshot_id)
        core = await self._repository.open()
        snapshot = None if core is None else self._find(core, snapshot_id)
        if snapshot is None:
            raise self._unknown(snapshot_id)
        return snapshot

    def _unknown(self, snapshot_id: str) -> NotFoundError:
        return NotFoundError(
            f"graph {self.graph_id!r} has no snapshot {snapshot_id!r}: a listing names all", target=snapshot_id
        )


def _root(directory: str, workspace: str) -> str:
    return Layout.at(Kind.LIGHTRAG, directory, workspace).root
