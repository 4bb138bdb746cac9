"""Toxiproxy between a sender and a receiver: `make test-tools` builds it."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).resolve().parents[2] / "build" / "tools" / "toxiproxy-server"
_START_S = 20


def free_port() -> int:
    """A port of loopback that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@dataclass
class Link:
    """One proxied connection to a receiver."""

    proxy: "Toxiproxy"
    name: str
    port: int

    def spoil(self, kind: str, *, stream: str = "upstream", **attributes: int) -> None:
        """Adds a toxic, for connections that are there and new ones."""
        toxic = {"name": kind, "type": kind, "stream": stream, "attributes": attributes}
        self.proxy.ask("POST", f"/proxies/{self.name}/toxics", toxic)

    def heal(self) -> None:
        """Takes all toxics away."""
        for toxic in self.proxy.ask("GET", f"/proxies/{self.name}/toxics"):
            self.proxy.ask("DELETE", f"/proxies/{self.name}/toxics/{toxic['name']}")

    def cut(self, *, down: bool = True) -> None:
        """Takes the line down, or up again."""
        self.proxy.ask("POST", f"/proxies/{self.name}", {"enabled": not down})


@dataclass
class Toxiproxy:
    """A running server; `links` to any number of receivers."""

    port: int
    made: int = 0

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def link(self, upstream_port: int) -> Link:
        """A new line to a port of this machine."""
        self.made += 1
        link = Link(self, f"line{self.made}", free_port())
        told = {"name": link.name, "listen": f"127.0.0.1:{link.port}", "upstream": f"127.0.0.1:{upstream_port}"}
        self.ask("POST", "/proxies", told | {"enabled": True})
        return link


@contextmanager
def toxiproxy() -> Iterator[Toxiproxy]:
    """A server until the block ends."""
    if not SERVER.exists():
        assert not os.environ.get("CI"), f"{SERVER} is missing: make test-tools"
        pytest.skip("toxiproxy-server is not built: make test-tools")
    proxy = Toxiproxy(free_port())
    words = [SERVER, "-host", "127.0.0.1", "-port", str(proxy.port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(proxy)
            yield proxy
        finally:
            process.kill()


def _wait_for(proxy: Toxiproxy) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            proxy.ask("GET", "/version")
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
