"""LightRAG's own server in a process of its own, with neither an LLM nor the internet.

`running` starts a service that speaks as much of OpenAI's protocol as LightRAG uses, answered by the stand-ins, and
`lightrag-server` or one of its kind beside it. Both listen on loopback and end with the block.
"""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from . import standins

DIM = 64

_OFFLINE = Path(__file__).with_name("offline")
_START_S = 90.0


ROUTES = "/api/v1/backup-replication"


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    document: Any


@dataclass(frozen=True)
class RunningServer:
    """A LightRAG server that answers."""

    url: str
    api_key: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Asks one of our routes, with the key unless `headers` say another one, and awaits the end of long work."""
        sent = {"Content-Type": "application/json", "X-API-Key": self.api_key, "Prefer": "wait=60", **headers}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + ROUTES + path, data, sent, method=method)
        try:
            with _direct.open(request, timeout=90) as answer:
                return _read(answer)
        except urllib.error.HTTPError as error:
            return _read(error)

    def ended(self, operation_id: str, deadline_s: float = 60.0) -> dict[str, Any]:
        """An operation once it is over."""
        until = time.monotonic() + deadline_s
        while (found := self.ask("GET", f"/operations/{operation_id}").document)["state"] == "running":
            assert time.monotonic() < until, found
            time.sleep(0.1)
        return dict(found)

    def snapshot(self, graph_id: str) -> dict[str, Any]:
        """Takes one."""
        answer = self.ask("POST", f"/backup/graphs/{graph_id}/snapshots", {})
        assert answer.status == 201, answer
        return dict(answer.document)

    def restore(self, graph_id: str, backup_id: str) -> dict[str, Any]:
        """Restores one where the graph lives."""
        answer = self.ask("POST", f"/backup/graphs/{graph_id}/snapshots/{backup_id}/restore", {})
        assert answer.status == 200, answer
        return dict(answer.document)

    def entities(self) -> set[str]:
        """Names of all nodes the graph has in the memory of whichever worker answers."""
        return set(self._call("/graph/label/list"))

    def insert(self, texts: dict[str, str]) -> None:
        """Hands documents in, by file name; they are processed later."""
        self._call("/documents/texts", {"texts": list(texts.values()), "file_sources": list(texts)})

    def status(self) -> dict[str, Any]:
        return dict(self._call("/documents/pipeline_status"))

    def query(self, question: str) -> str:
        """The context LightRAG finds for a question."""
        return str(self._call("/query", {"query": question, "mode": "local", "only_need_context": True})["response"])

    def wait_until_idle(self, deadline_s: float = 60.0) -> None:
        until = time.monotonic() + deadline_s
        while any(self.status()[flag] for flag in ("busy", "pending_enqueues")):
            assert time.monotonic() < until, "the server stayed busy"
            time.sleep(0.1)

    def _call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            headers={"X-API-Key": self.api_key, "Content-Type": "application/json"},
            data=None if body is None else json.dumps(body).encode(),
        )
        with _direct.open(request, timeout=30) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running(
    directory: Path,
    *,
    api_key: str = "a-key",
    delay_s: float = 0.0,
    workspace: str = "",
    program: str = "lightrag-server",
    workers: int = 0,
    **environ: str,
) -> Iterator[RunningServer]:
    """Runs a server on <directory>/rag_storage during the block; its log is <directory>/server.log.

    Args:
        delay_s: how long the LLM takes for an extraction, in seconds.
        program: the command that starts it. workers: of a Gunicorn. environ: more of its environment.
    """
    with _model_service(delay_s) as model_url, open(directory / "server.log", "ab") as log:
        port = _free_port()
        options: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": port,
            "key": api_key,
            "working-dir": directory / "rag_storage",
            "input-dir": directory / "inputs",
            "workspace": workspace,
        }
        if workers:
            options["workers"] = workers
        process = subprocess.Popen(
            [command(program), *(word for name, value in options.items() for word in (f"--{name}", str(value)))],
            cwd=directory,
            env=environment(model_url) | environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            server = RunningServer(f"http://127.0.0.1:{port}", api_key, process, directory / "server.log")
            _wait_until_answering(server)
            yield server
        finally:
            _end(process)


def command(program: str) -> str:
    """The path of a command that is installed with this Python."""
    return str(Path(sys.executable).with_name(program))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server and whatever it started."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(answer: Any) -> Answer:
    said = answer.read()
    return Answer(answer.status, dict(answer.headers), json.loads(said) if said else None)


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def environment(model_url: str = "http://127.0.0.1:9/v1") -> dict[str, str]:
    """A server's environment, whose models are at this address."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LIGHTRAG_", "LLM_", "EMBEDDING_"))
    }
    path = os.pathsep.join(filter(None, (str(_OFFLINE), os.environ.get("PYTHONPATH"))))
    return kept | {
        "PYTHONPATH": path,
        "LLM_BINDING": "openai",
        "LLM_BINDING_HOST": model_url,
        "LLM_MODEL": "standin",
        "OPENAI_API_KEY": "unused",
        "EMBEDDING_BINDING": "openai",
        "EMBEDDING_BINDING_HOST": model_url,
        "EMBEDDING_MODEL": "standin",
        "EMBEDDING_DIM": str(DIM),
        "ENTITY_EXTRACT_MAX_GLEANING": "0",
        "MAX_GLEANING": "0",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def _wait_until_answering(server: RunningServer) -> None:
    until = time.monotonic() + _START_S
    while True:
        with contextlib.suppress(OSError):
            server.status()
            return
        assert server.process.poll() is None and time.monotonic() < until, (
            f"the server did not start:\n{server.log.read_text()[-3000:]}"
        )
        time.sleep(0.1)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _model_service(delay_s: float) -> Iterator[str]:
    """Serves chat completions and embeddings on loopback; yields the address of the API."""
    handler = type("Handler", (_ModelHandler,), {"delay_s": delay_s})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{service.server_port}/v1"
        finally:
            service.shutdown()
            thread.join()


class _ModelHandler(BaseHTTPRequestHandler):
    delay_s = 0.0

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self._vectors(asked) if self.path.endswith("/embeddings") else self._chat(asked)
        body = json.dumps({"model": asked["model"], **answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _chat(self, asked: dict[str, Any]) -> dict[str, Any]:
        said = standins.reply("\n".join(str(message["content"]) for message in asked["messages"]))
        if said.endswith("<|COMPLETE|>"):
            time.sleep(self.delay_s)
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return {"id": "answer", "object": "chat.completion", "created": 0, "choices": [choice], "usage": usage}

    def _vectors(self, asked: dict[str, Any]) -> dict[str, Any]:
        texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        vectors = [standins.embed(text, DIM) for text in texts]
        encoded = [
            base64.b64encode(v.tobytes()).decode() if asked.get("encoding_format") == "base64" else v.tolist()
            for v in vectors
        ]
        rows = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(encoded)]
        return {"object": "list", "data": rows, "usage": {"prompt_tokens": 1, "total_tokens": 1}}

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keeps quiet."""
