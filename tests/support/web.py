"""An application on a real server on loopback, and who asks it."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from lightrag_bkp.api import create_backup_routes

PREFIX = "/api/v1/backup-replication"
KEY = "the-key-of-lightrag"
_START_S, _ASK_S = 30, 120


@dataclass(frozen=True)
class Answer:
    """What was answered; `document` is {} where there is no JSON."""

    status: int
    document: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def slug(self) -> str:
        """What kind of problem it is; it must be one, in every member."""
        assert self.headers["content-type"] == "application/problem+json", self
        assert self.document["status"] == self.status and isinstance(self.document["detail"], str)
        return str(self.document["type"]).removeprefix("urn:lightrag-bkp:problem:")


@dataclass
class Web:
    """Somebody with a key, or without one. Paths are below the prefix."""

    url: str
    key: str | None = KEY
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=_ASK_S, trust_env=False), repr=False)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request; header names have `_` for `-`."""
        said = {} if self.key is None else {"X-API-Key": self.key}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else json.dumps(body)  # ASCII, names that are no UTF-8 as well
        said |= {} if body is None else {"Content-Type": "application/json"}
        answer = self.client.request(method, self.url + PREFIX + path, content=content, headers=said)
        is_json = "json" in answer.headers.get("content-type", "")
        return Answer(answer.status_code, json.loads(answer.content) if is_json else {}, answer.headers)

    def waited(self, method: str, path: str, body: object = None) -> Answer:
        """Long work, until it is done."""
        return self.ask(method, path, body, Prefer="wait=60")

    def as_one_with(self, key: str | None) -> "Web":
        """Somebody else, who asks the same server."""
        return Web(self.url, key, self.client)


def application(*managers: Any, **more: Any) -> FastAPI:
    """An application with the routes, and nothing else."""
    app = FastAPI()
    app.include_router(create_backup_routes(*managers, **{"api_key": KEY} | more))
    return app


@contextlib.contextmanager
def asking(app: FastAPI, key: str | None = KEY) -> Iterator[Web]:
    """Asks an application in this process, started until the block ends."""
    with TestClient(app) as client:
        yield Web("http://testserver", key, client)


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """Runs an application until the block ends; yields its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="on", log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="web")
    thread.start()
    try:
        began = threading.Event()
        for _ in range(_START_S * 100):
            if server.started or not thread.is_alive():
                break
            began.wait(0.01)
        assert server.started, "the application did not start"
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
