"""LightRAG's own server in a process of its own, with neither an LLM nor the internet.

`running` starts a service that speaks as much of OpenAI's protocol as LightRAG uses, answered by the stand-ins, and
`lightrag-server` beside it. Both listen on loopback and end with the block.
"""

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from . import standins

DIM = 64

_OFFLINE = Path(__file__).with_name("offline")
_START_S = 90.0


@dataclass(frozen=True)
class RunningServer:
    """A LightRAG server that answers."""

    url: str
    api_key: str

    def insert(self, texts: dict[str, str]) -> None:
        """Hands documents in, by file name; they are processed later."""
        self._call("/documents/texts", {"texts": list(texts.values()), "file_sources": list(texts)})

    def status(self) -> dict[str, Any]:
        return self._call("/documents/pipeline_status")

    def query(self, question: str) -> str:
        """The context LightRAG finds for a question."""
        return str(self._call("/query", {"query": question, "mode": "local", "only_need_context": True})["response"])

    def wait_until_idle(self, deadline_s: float = 60.0) -> None:
        until = time.monotonic() + deadline_s
        while any(self.status()[flag] for flag in ("busy", "pending_enqueues")):
            assert time.monotonic() < until, "the server stayed busy"
            time.sleep(0.1)

    def _call(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            self.url + path,
            headers={"X-API-Key": self.api_key, "Content-Type": "application/json"},
            data=None if body is None else json.dumps(body).encode(),
        )
        with _direct.open(request, timeout=30) as answer:
            return dict(json.load(answer))


@contextlib.contextmanager
def running(
    directory: Path, *, api_key: str = "a-key", delay_s: float = 0.0, workspace: str = ""
) -> Iterator[RunningServer]:
    """Runs `lightrag-server` on <directory>/rag_storage during the block; its log is <directory>/server.log.

    `delay_s` is how long the LLM takes for an extraction, in seconds.
    """
    with _model_service(delay_s) as model_url, open(directory / "server.log", "wb") as log:
        port = _free_port()
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "lightrag.api.lightrag_server",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--key",
                api_key,
                "--working-dir",
                str(directory / "rag_storage"),
                "--input-dir",
                str(directory / "inputs"),
                "--workspace",
                workspace,
            ],
            cwd=directory,
            env=_environment(model_url),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            server = RunningServer(f"http://127.0.0.1:{port}", api_key)
            _wait_until_answering(server, process, directory / "server.log")
            yield server
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _environment(model_url: str) -> dict[str, str]:
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


def _wait_until_answering(server: RunningServer, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_S
    while True:
        with contextlib.suppress(OSError):
            server.status()
            return
        assert process.poll() is None and time.monotonic() < until, (
            f"lightrag-server did not start:\n{log.read_text()[-3000:]}"
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
