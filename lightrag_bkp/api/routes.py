"""The router: everything below /api/v1/backup-replication, made anew at each call, and what starts and ends with it."""

import gc
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.routing import Route

from .. import config, served
from ..backup import BackupManager
from ..receiving.keys import KeyRing
from ..restoring.aftermath import finisher
from ..sources import workers
from . import backup as backup_routes
from . import events, health, operations, receiving, reclaiming
from . import recovery as recovery_routes
from . import replication as replication_routes
from .auth import Guard
from .context import PREFIX, SCOPE_KEY, Context
from .problems import ProblemRoute, Refused

if TYPE_CHECKING:
    from ..recovery import DisasterRecoveryManager
    from ..replication import ReplicationManager

_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def create_backup_routes(
    backup: BackupManager | None = None,
    replication: "ReplicationManager | None" = None,
    recovery: "DisasterRecoveryManager | None" = None,
    *,
    rag: Any = None,
    api_key: str | None = None,
    auth: Callable[..., Any] | None = None,
    settings: config.Settings | None = None,
) -> APIRouter:
    """The routes of backup, replication and recovery, for `include_router` of a FastAPI application.

    Nothing is opened or started before the application starts, so that it may be made before a server forks.

    Args:
        backup, replication, recovery: what is served. What is left out answers 503, and stays in the OpenAPI document.
        rag: the running LightRAG of this process; its graph is registered with `backup`.
        api_key: LightRAG's: who shows it as X-API-Key may do everything.
        auth: a FastAPI dependency that says who asks instead: it raises, or returns an `api.auth.Caller`, or the name
            of one who may do everything.
        settings: as configured when None.

    Raises:
        ConfigurationError: everybody could do everything, and nobody said that this is meant; or nothing says where
            the database is.
    """
    context = Context(backup, replication, recovery, rag, settings or config.load())
    allow_open = context.settings.server.allow_open
    context.guard = Guard(KeyRing(context.state), api_key, auth=auth, allow_open=allow_open)
    if rag is not None:
        graph = None if backup is None else served.register(backup, rag)
        workers.prepare(rag, finisher(os.path.abspath(rag.working_dir), rag.workspace or "", graph))
    router = APIRouter(
        prefix=PREFIX, dependencies=[Depends(_bound(context))], lifespan=_lifespan(context), route_class=ProblemRoute
    )
    parts = [backup_routes.router, replication_routes.router, recovery_routes.router, operations.router, events.router]
    for part in parts:
        router.include_router(part, dependencies=context.guard.dependencies)
    router.include_router(health.router)
    router.routes.extend(receiving.routes(context))
    known = [*parts, health.router]
    router.add_api_route("/{rest:path}", _nothing_here(known), methods=_ANY_METHOD, include_in_schema=False)
    return router


def _bound(context: Context) -> Callable[..., Any]:
    """The dependency that comes before all others: through it a route finds its context."""

    async def bind(request: Request) -> None:
        request.scope[SCOPE_KEY] = context

    return bind


def _lifespan(context: Context) -> Callable[[Any], Any]:
    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        async with workers.joined(context.rag):
            await context.start()
            reclaiming.begin(context)
            # What was made so far stays as long as the server: searching all of it for garbage now and then would stop
            # the loop for as long as it takes, a tenth of a second.
            gc.collect()
            gc.freeze()
            try:
                yield
            finally:
                gc.unfreeze()
                await context.stop()

    return lifespan


def _nothing_here(parts: Iterable[APIRouter]) -> Callable[..., Any]:
    """What answers where no route does: as a problem, and with the methods a path has."""
    routes = [route for part in parts for route in part.routes if isinstance(route, Route)]
    known = [(route.path_regex, route.methods) for route in routes]

    async def nothing_here(request: Request) -> Response:
        path = "/" + request.path_params["rest"]
        methods = sorted(name for regex, names in known if regex.match(path) for name in names or ())
        if methods:
            said = f"{request.method} means nothing here: take {', '.join(methods)}"
            raise Refused(405, "method-not-allowed", "Not a method of this path", said, {"Allow": ", ".join(methods)})
        raise Refused(404, "not-found", "Not found", "there is nothing here: the OpenAPI document names every path")

    return nothing_here
