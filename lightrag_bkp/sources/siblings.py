"""Processes forked from one that find and ask each other.

The first process makes a `Siblings` object, and every process forked from it later has it too. Each listens at a name
of its own in Linux's abstract namespace, and the kernel's list of sockets says who is there. Names end with their
process, so do connections, and so do locks, which are on files in memory that only the siblings can reach: whoever is
killed has left, let go and given back. Nothing is left behind on any disk.

Anybody on the machine can connect to such a name, or take one that looks like it. Both sides therefore ask the kernel
who the other one is, and talk only to their own user.
"""

import asyncio
import fcntl
import json
import logging
import os
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

logger = logging.getLogger("lightrag_bkp")

_POLL_S = 0.02
_LONGEST_LINE = 1 << 16
_BACKLOG = 64
_FAREWELL_S = 30.0
_CREDENTIALS = struct.Struct("3i")
_LISTENING = "00010000"
"""The flag of a listening socket in /proc/net/unix."""


class Line:
    """A connection to a sibling: JSON objects, one a line, in both directions."""

    def __init__(self, connected: socket.socket, pid: int = 0) -> None:
        self.pid = pid
        self._socket = connected
        self._received = b""

    async def send(self, document: dict[str, Any]) -> None:
        """Raises OSError when nobody listens any more."""
        await asyncio.get_running_loop().sock_sendall(self._socket, json.dumps(document).encode() + b"\n")

    async def receive(self) -> dict[str, Any] | None:
        """The next document; None when the other side is gone, or says what no sibling says."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._received:
            try:
                part = await loop.sock_recv(self._socket, 4096)
            except OSError:
                part = b""
            if not part or len(self._received) > _LONGEST_LINE:
                return None
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        try:
            document = json.loads(line)
        except ValueError:
            return None
        return document if isinstance(document, dict) else None

    async def ask(self, document: dict[str, Any]) -> dict[str, Any]:
        """Sends a document and awaits its answer.

        Raises:
            ConnectionError: the other side went away, or refused.
        """
        await self.send(document)
        answer = await self.receive()
        if answer is None or "refused" in answer:
            said = "it went away" if answer is None else str(answer["refused"])
            raise ConnectionError(f"worker {self.pid}: {said}")
        return answer

    @property
    def is_open(self) -> bool:
        """Whether the other side is there still. Only between an answer and the next question."""
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        self._socket.close()


class Siblings:
    """The family; made once, before the first fork."""

    def __init__(self) -> None:
        self._name = f"lightrag-bkp.{secrets.token_hex(16)}."
        self._alone = os.memfd_create("lightrag-bkp-alone", os.MFD_CLOEXEC)
        self._lead = os.memfd_create("lightrag-bkp-lead", os.MFD_CLOEXEC)
        self._leading: tuple[int, int] | None = None

    # ---- locks, each held by one process at most, until that lets go or dies ----

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """During the block no sibling is in such a block, and none begins or ceases to listen. Waits for as long as it
        takes.
        """
        descriptor = opened_anew(self._alone)
        try:
            while not _locked(descriptor):  # noqa: ASYNC110 - another process has it
                await asyncio.sleep(_POLL_S)
            yield
        finally:
            os.close(descriptor)

    def lead(self) -> bool:
        """Whether this process is the one that does what only one is to do. It stays so until it ends."""
        if self._leading is not None and self._leading[0] == os.getpid():
            return True
        descriptor = opened_anew(self._lead)
        if not _locked(descriptor):
            os.close(descriptor)
            return False
        self._leading = os.getpid(), descriptor
        return True

    # ---- talk ----

    def pids(self) -> set[int]:
        """Who listens, this process included."""
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:
            rows = [line.split() for line in table if f"@{self._name}" in line]
        ends = [row[-1].rpartition(".")[2] for row in rows if row[3] == _LISTENING]
        return {int(end) for end in ends if end.isdecimal()}

    def call_all(self) -> list[Line]:
        """A connection to each of the others.

        Raises:
            OSError: one of them cannot be connected to, and is there.
        """
        lines: list[Line] = []
        for pid in sorted(self.pids() - {os.getpid()}):
            connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                connected.connect(self._address(pid))
            except ConnectionRefusedError:  # it has just gone
                connected.close()
                continue
            except OSError:
                for line in (*lines, Line(connected)):
                    line.close()
                raise
            if _is_ours(connected):
                lines.append(Line(connected, pid))
            else:
                connected.close()
        return lines

    @asynccontextmanager
    async def listening(self, answer: Callable[[Line], Awaitable[None]]) -> AsyncIterator[None]:
        """Lets siblings talk to `answer` during the block, each on a line of its own. At the end those under way are
        waited for, for a while.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        talks: set[asyncio.Task[None]] = set()
        try:
            listener.bind(self._address(os.getpid()))
            listener.listen(_BACKLOG)
            accepting = asyncio.create_task(_accept(listener, answer, talks))
            try:
                yield
            finally:
                accepting.cancel()
                await asyncio.wait([accepting])
        finally:
            listener.close()
            await _ended(talks)

    def _address(self, pid: int) -> str:
        return f"\0{self._name}{pid}"


async def _accept(
    listener: socket.socket, answer: Callable[[Line], Awaitable[None]], talks: set[asyncio.Task[None]]
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        connected, _ = await loop.sock_accept(listener)
        if not _is_ours(connected):
            connected.close()
            continue
        task = asyncio.create_task(_talk(Line(connected), answer))
        talks.add(task)
        task.add_done_callback(talks.discard)


async def _ended(talks: set[asyncio.Task[None]]) -> None:
    if talks:
        _, endless = await asyncio.wait(talks, timeout=_FAREWELL_S)
        for talk in endless:
            talk.cancel()
        if endless:
            await asyncio.wait(endless)


async def _talk(line: Line, answer: Callable[[Line], Awaitable[None]]) -> None:
    try:
        await answer(line)
    except Exception as error:
        logger.error("event=worker_talk error=%r", error)
    finally:
        line.close()


def _is_ours(connected: socket.socket) -> bool:
    """Whether the process at the other end belongs to this process's user."""
    packed = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(packed)[1] == os.geteuid())


def opened_anew(memory: int) -> int:
    """The file of an inherited descriptor, opened once more: an inherited one shares its lock with the parent."""
    return os.open(f"/proc/self/fd/{memory}", os.O_RDWR | os.O_CLOEXEC)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
