"""A server that answers what a test says: to be another one than was meant, or to mean harm."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

Answer = tuple[int, bytes, dict[str, str]]
"""Status, body and headers."""


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: dict[str, str]


def answer(document: object, status: int = 200, **headers: str) -> Answer:
    return status, document if isinstance(document, bytes) else json.dumps(document).encode(), headers


@contextmanager
def answering(
    says: Answer | Callable[[Asked], Answer | None],
    context: ssl.SSLContext | None = None,
    seen: list[Asked] | None = None,
) -> Iterator[str]:
    """The address of something that always answers so, or what a function says: None closes the connection.

    Args:
        seen: gets what is asked.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, self.path, dict(self.headers))
            if seen is not None:
                seen.append(asked)
            said = says(asked) if callable(says) else says
            if said is None:
                self.close_connection = True
                return
            status, body, headers = said
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def log_message(self, format: str, *args: object) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # of five, Linux resets some where more come at once

    with Server(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
