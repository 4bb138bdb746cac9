"""LightRAG's own server with everything of this package on board: `lightrag-bkp-server` is `lightrag-server` and
`lightrag-bkp-gunicorn` is `lightrag-gunicorn`, with all their options and their `.env`, and one thing more.

That is done at one point. LightRAG's programs build their application by `create_app` of its module; it is replaced by
one that calls it, notices the LightRAG it makes, and adds the routes to what it returns. Before that LightRAG is made,
and reads its files, a restore that was interrupted is finished.

    LIGHTRAG_BACKUP_STORAGE_PATH=/var/backups/lightrag lightrag-bkp-server --port 9621
"""

import importlib
import logging
import os
import sys
from typing import Any

from . import config, served, sync
from .backup import BackupManager
from .errors import ConfigurationError, LightragBkpError
from .graph.known import root_of
from .limits import SERVER_VARIABLES
from .restoring import restore, staging
from .sources import serving

logger = logging.getLogger("lightrag_bkp")

_entered: list[int] = []
"""Descriptors that say which graphs are served here; never closed."""


def main() -> int:
    """Runs `lightrag-server` with the routes; returns an exit code."""
    return _run("lightrag-bkp-server", "lightrag_server")


def gunicorn() -> int:
    """Runs `lightrag-gunicorn` with the routes; returns an exit code."""
    return _run("lightrag-bkp-gunicorn", "run_with_gunicorn")


def mount() -> None:
    """Makes every application that LightRAG's server builds in this process one with the routes."""
    server: Any = importlib.import_module("lightrag.api.lightrag_server")
    make_app, make_rag = server.create_app, server.LightRAG
    _log_with_lightrag()

    def create_app(options: Any) -> Any:
        made: list[Any] = []

        def make(*arguments: Any, **fields: Any) -> Any:
            _enter(fields["working_dir"], fields.get("workspace") or "", getattr(options, "input_dir", None))
            made.append(make_rag(*arguments, **fields))
            return made[-1]

        server.LightRAG = make
        try:
            app = make_app(options)
        finally:
            server.LightRAG = make_rag
        if len(made) != 1:
            raise ConfigurationError(
                "this release of LightRAG makes its server in another way than known here: start lightrag-server"
                f" itself, or set {SERVER_VARIABLES['enabled']}=false",
                target="lightrag",
            )
        offer_routes(app, made[0], options)
        return app

    server.create_app = create_app


def offer_routes(app: Any, rag: Any, options: Any) -> None:
    """Adds the routes to LightRAG's application.

    Raises:
        ConfigurationError: there is no storage path, the graph has no id, or everybody could use them.
    """
    try:
        from .api import create_backup_routes
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the routes need {error.name}: pip install 'lightrag-bkp[api]'", target=error.name or ""
        ) from None
    from .recovery import DisasterRecoveryManager
    from .replication import ReplicationManager

    settings = config.load()
    backup = BackupManager()
    uploads = getattr(options, "input_dir", None) if settings.server.uploads else None
    graph = served.register(backup, rag, uploads)
    replication = ReplicationManager(storage_path=backup.storage_path, keyring=backup.keyring)
    app.include_router(
        create_backup_routes(
            backup,
            replication,
            DisasterRecoveryManager(backup, replication),
            rag=rag,
            api_key=os.environ.get("LIGHTRAG_API_KEY") or getattr(options, "key", None),
            settings=settings,
        )
    )
    logger.info("event=serving graph=%s source=%r storage=%r", graph.graph_id, graph.source_dir, backup.storage_path)


def _run(program: str, module: str) -> int:
    try:
        importlib.import_module("lightrag.api.lightrag_server")  # reads .env, where our settings may stand as well
    except ModuleNotFoundError as error:
        print(f"{program}: {error.name} is not installed: pip install 'lightrag-hku[api]'", file=sys.stderr)
        return 1
    try:
        if _is_enabled():
            mount()
        importlib.import_module(f"lightrag.api.{module}").main()
    except LightragBkpError as error:
        from .cli.failures import failure_of

        print(f"{program}: {error}", file=sys.stderr)
        return failure_of(error).exit_code
    return 0


def _is_enabled() -> bool:
    """Whether the routes are wanted. Who does not want them starts whatever else is set."""
    if os.environ.get(SERVER_VARIABLES["enabled"], "").lower() == "false":
        return False
    return config.load().server.enabled


def _enter(working_dir: str, workspace: str, input_dir: str | None) -> None:
    """Says that the graph is served, for as long as this process and those forked from it live, and rolls forward what
    an interrupted restore left in the directories LightRAG is about to read.
    """
    _entered.append(serving.enter(working_dir, workspace))
    for directory in filter(None, (working_dir, input_dir)):
        root = root_of(os.path.abspath(directory), workspace)
        if os.path.isdir(root) and staging.waits(root):
            sync.run(restore.finish(root))


def _log_with_lightrag() -> None:
    """Sends what is logged here where LightRAG's own messages go, whichever handlers it has by then."""
    logger.parent = logging.getLogger("lightrag")


if __name__ == "__main__":
    sys.exit(main())
