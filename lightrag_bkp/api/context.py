"""What every route works with: the managers, the guard, the runner of long work, and the log of events.

One `Context` belongs to one call of `create_backup_routes`. A route gets it as a parameter of type `Ctx`.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Request

from .. import config, state_place
from ..backup import BackupManager
from ..errors import LightragBkpError
from ..graph import GraphBackup
from ..receiving.keys import now_us
from ..receiving.protocol import API_PATH
from ..threads import aside, in_thread
from .problems import NotConfigured, heard_log

if TYPE_CHECKING:
    from ..recovery import DisasterRecoveryManager
    from ..replication import ReplicationManager
    from ..state import Events, Operations, State
    from .auth import Caller, Guard
    from .runner import Runner

T = TypeVar("T")

logger = logging.getLogger("lightrag_bkp")

PREFIX = API_PATH
SCOPE_KEY = "lightrag_bkp"
"""Where a request keeps its context, in the ASGI scope."""


@dataclass
class Context:
    """Nothing here is opened before the first request or the application's start: a server may fork in between.

    Attributes:
        backup, replication, recovery: None was left out, and its routes answer 503. rag: the running LightRAG, or None.
        guard: knows who may do what. closing: functions, async ones too, that are called when the application ends.
        look: the one under way at whether all is ready.
    """

    backup: BackupManager | None
    replication: "ReplicationManager | None"
    recovery: "DisasterRecoveryManager | None"
    rag: Any
    settings: config.Settings
    closing: list[Callable[[], Any]] = field(default_factory=list)
    guard: "Guard" = field(init=False)
    look: "asyncio.Task[list[str]] | None" = field(init=False, default=None)
    _is_sound: bool = field(init=False, default=False)

    @cached_property
    def state(self) -> "State":
        """The small database of the installation; no file is touched before it is used.

        Raises:
            ConfigurationError: nothing says where it is.
        """
        backup = self.recovery.backup if self.backup is None and self.recovery is not None else self.backup
        keyring = None if backup is None else backup.keyring
        if self.replication is not None:
            return self.replication.place.open(keyring or self.replication.keyring)
        return state_place.find(storage_path=None if backup is None else backup.storage_path).open(keyring)

    @cached_property
    def operations(self) -> "Operations":
        """Long work, as every process sees it."""
        from ..state import Operations

        return Operations(self.state)

    @cached_property
    def events(self) -> "Events":
        """What was changed by whom."""
        from ..state import Events

        return Events(self.state)

    @cached_property
    def runner(self) -> "Runner":
        """Does long work in this process."""
        from .runner import Runner

        return Runner(self)

    def damage(self) -> str | None:
        """What is wrong with the database's file. One that was found sound is not read again before the next start."""
        if not self._is_sound:
            said = self.state.damage()
            self._is_sound = said is None and not self.state.is_absent
            return said
        return None

    # ---- what may have been left out ----

    def require_backup(self) -> BackupManager:
        """Raises NotConfigured when it was left out."""
        return _required(self.backup, "backup")

    def require_replication(self) -> "ReplicationManager":
        """Raises NotConfigured when it was left out."""
        return _required(self.replication, "replication")

    def require_recovery(self) -> "DisasterRecoveryManager":
        """Raises NotConfigured when it was left out."""
        return _required(self.recovery, "recovery")

    async def graph(self, graph_id: str) -> GraphBackup:
        """A graph that is registered or has a repository.

        Raises:
            NotConfigured: backup was left out. NotFoundError: there is none of this id.
        """
        return await in_thread(self.require_backup().require_graph, graph_id)

    # ---- who changed what ----

    @asynccontextmanager
    async def audited(
        self,
        kind: str,
        caller: "Caller",
        *,
        graph_id: str | None = None,
        target: str | None = None,
        detail: str = "",
    ) -> AsyncIterator[None]:
        """Writes down a change that is made in the block, and whether it worked."""
        try:
            yield
        except BaseException as error:
            await self.note(kind, caller.name, "failed", graph_id=graph_id, target=target, detail=str(error))
            raise
        await self.note(kind, caller.name, "succeeded", graph_id=graph_id, target=target, detail=detail)

    async def note(
        self,
        kind: str,
        actor: str,
        outcome: str,
        *,
        graph_id: str | None = None,
        target: str | None = None,
        detail: str = "",
    ) -> None:
        """Writes an event down, in the log and in the database. What was done stays done when the database cannot take
        it: the log says so then.
        """
        from ..state import NewEvent

        logger.info(
            "event=audit kind=%s actor=%r graph=%s target=%s outcome=%s detail=%r",
            kind, actor, graph_id, target, outcome, detail,
        )  # fmt: skip
        event = NewEvent(now_us(), kind, actor, graph_id, target, outcome, detail)
        try:
            await in_thread(self.events.add, event)
        except LightragBkpError as error:
            heard_log().error(
                "event=audit_not_stored kind=%s actor=%r graph=%s target=%s outcome=%s detail=%r error=%s",
                kind, actor, graph_id, target, outcome, detail, error,
            )  # fmt: skip

    # ---- with the application ----

    async def start(self) -> None:
        """Marks what died with its process. Called by the lifespan in every worker, never before a fork."""
        await self.runner.start()

    async def stop(self) -> None:
        """Ends what is under way, and closes what was opened."""
        await self.runner.stop()
        for close in reversed(self.closing):
            done = close() if inspect.iscoroutinefunction(close) else await aside(close)
            if inspect.isawaitable(done):
                await done


def _required(manager: T | None, name: str) -> T:
    if manager is None:
        raise NotConfigured(f"{name} is not configured on this server: pass it to create_backup_routes", target=name)
    return manager


def context_of(request: Request) -> Context:
    """The context of the router a request came through."""
    context = request.scope[SCOPE_KEY]
    assert isinstance(context, Context)
    return context


def root_of(request: Request) -> str:
    """The prefix as the client reaches it: behind a proxy it may lie deeper."""
    return str(request.scope.get("root_path", "")) + PREFIX


async def _context(request: Request) -> Context:
    return context_of(request)


Ctx = Annotated[Context, Depends(_context)]
