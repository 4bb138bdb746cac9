"""Somebody between a sender and a receiver who answers something else than the receiver did."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

_HOP_BY_HOP = {"content-length", "transfer-encoding", "connection", "host", "date", "server"}


@dataclass
class Said:
    """An answer on its way back. `question`: state, missing, part, log or key. `raw`, where it is given, instead of the
    document."""

    question: str
    status: int
    document: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None


@asynccontextmanager
async def meddling(port: int, meddle: Callable[[Said], None], *, most_bytes: float = math.inf) -> AsyncIterator[int]:
    """Relays plain HTTP to a port of this machine, and lets `meddle` change what comes back. Yields its own port.

    Args:
        most_bytes: a longer body is taken, and is on its way for ever.
    """

    async def relay(request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        url = f"http://127.0.0.1:{port}{request.path_qs}"
        body = await request.read()
        if len(body) > most_bytes:
            await asyncio.Event().wait()
        async with session.request(request.method, url, data=body, headers=headers) as answer:
            said = Said(_question(request), answer.status, await answer.json())
        meddle(said)
        content = json.dumps(said.document).encode() if said.raw is None else said.raw
        return web.Response(status=said.status, body=content, headers=said.headers)

    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", relay)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    async with aiohttp.ClientSession() as session:
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()


def _question(request: web.Request) -> str:
    parts = request.path.split("/graphs/")[-1].split("/")
    if len(parts) == 1:
        return "state"
    return {"objects": "part", "keys": "key"}.get(parts[1], parts[1])
