"""A receiver of the tests' own: HTTP/1.1 on loopback, which keeps connections and says what a receiver says."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CAPABILITIES = {
    "product": "lightrag-bkp", "protocol": 1, "version": "0.1.0", "instance_id": "here", "authenticated": True,
    "ready": True, "busy": False, "low_space": False, "epoch": 3, "free_bytes": 10**12, "reason": "",
}  # fmt: skip


@dataclass
class Receiver:
    """An HTTP/1.1 server that keeps connections and says what a receiver says."""

    port: int = 0
    connections: int = 0
    keys: list[str | None] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        body = json.dumps(CAPABILITIES).encode()
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                assert lines[0] == "GET /api/v1/backup-replication/receive/capabilities HTTP/1.1"
                self.keys.append(dict(line.split(": ", 1) for line in lines[1:] if line).get("X-API-Key"))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def receiver(context: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    there = Receiver()
    server = await asyncio.start_server(there.serve, "127.0.0.1", 0, ssl=context)
    there.port = server.sockets[0].getsockname()[1]
    try:
        yield there
    finally:
        server.close()
