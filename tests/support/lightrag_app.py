"""LightRAG's own application with the routes mounted, asked in a process of its own: prints what each caller was
answered by our routes, with accounts and without any, and what by a route that LightRAG's default dependency guards.

Its storages are never opened: authentication comes before them.
"""

import json
import sys
from pathlib import Path

from .web import PREFIX


def main(storage: str) -> None:
    del sys.argv[1:]  # LightRAG reads the command line
    from lightrag.api.config import global_args, initialize_config

    initialize_config()
    from fastapi import Depends
    from lightrag.api.auth import auth_handler
    from lightrag.api.lightrag_server import create_app
    from lightrag.api.utils_api import get_combined_auth_dependency
    from starlette.testclient import TestClient

    from lightrag_bkp import BackupManager
    from lightrag_bkp.api import create_backup_routes
    from lightrag_bkp.errors import ConfigurationError

    app = create_app(global_args)
    app.include_router(create_backup_routes(BackupManager(storage), api_key=global_args.key))
    trap = "/api/v1/guarded-by-lightrag-alone"
    app.add_api_route(trap, lambda: "reached", dependencies=[Depends(get_combined_auth_dependency(global_args.key))])
    user, guest = auth_handler.create_token("alice", "user"), auth_handler.create_token("guest", "guest")
    callers = {
        "nobody": {},
        "key": {"X-API-Key": global_args.key or ""},
        "wrong key": {"X-API-Key": "wrong"},
        "key as token": {"Authorization": f"Bearer {global_args.key}"},
        "user": {"Authorization": f"Bearer {user}"},
        "guest": {"Authorization": f"Bearer {guest}"},
        "expired": {"Authorization": f"Bearer {auth_handler.create_token('alice', 'user', -1)}"},
        "forged": {"Authorization": f"Bearer {user[:-6]}AAAAAA"},
    }
    client = TestClient(app)

    def ask() -> dict[str, list[object]]:
        answers = {name: client.get(f"{PREFIX}/backup/graphs", headers=said) for name, said in callers.items()}
        return {name: [answer.status_code, answer.headers["content-type"]] for name, answer in answers.items()}

    def mounts_without_a_key() -> bool:
        try:
            create_backup_routes(BackupManager(storage), api_key=None)
        except ConfigurationError:
            return False
        return True

    seen: dict[str, object] = {"trap": client.get(trap).status_code}
    seen["key and accounts"] = ask() | {"mounts": mounts_without_a_key()}
    auth_handler.accounts.clear()  # as where AUTH_ACCOUNTS is not set
    seen["key"] = ask() | {"mounts": mounts_without_a_key()}
    print(json.dumps(seen))


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).absolute()))
