"""A line that flips one bit of what is sent over it, once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def flipping(port: int, at: int) -> AsyncIterator[int]:
    """Relays to a port of this machine; the byte after `at` others is spoilt. Yields the relay's port."""
    passed = 0

    async def up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal passed
        while piece := bytearray(await reader.read(64 << 10)):
            if passed <= at < passed + len(piece):
                piece[at - passed] ^= 1
            passed += len(piece)
            writer.write(piece)
            await writer.drain()

    async def down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(64 << 10):
            writer.write(piece)
            await writer.drain()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        ways = {asyncio.ensure_future(up(reader, back)), asyncio.ensure_future(down(there, writer))}
        with suppress(OSError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for _ in await asyncio.gather(*ways, return_exceptions=True):
            pass
        back.close()
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
