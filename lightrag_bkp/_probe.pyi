"""The health prober (csrc/net/prober.h), and requests (csrc/net/client.h), as Python sees them. Only
`lightrag_bkp._bridge` imports it.
"""

from collections.abc import Sequence
from typing import Self, final

_Row = tuple[str, str, str, str, int, int, int, int, int, str, str, int, int]
"""`lightrag_bkp._bridge.ProbeRow`."""

def set_error_classes(classes: dict[str, type[BaseException]], /) -> None:
    """Tells the module which class each class name of the core's ERROR_TABLE is. All must be there."""

def address_reach(packed: bytes, /) -> str:
    """Where an address of 4 or 16 bytes leads: "public", "loopback", "private" or "never" (csrc/net/address.h)."""

@final
class Prober:
    """A thread that probes replication targets. Starts it at construction."""

    def __new__(cls) -> Self: ...
    def set(
        self,
        id: str,
        base_url: str,
        key: str | None,
        ca_file: str | None,
        certificate: str | None,
        certificate_key: str | None,
        *,
        allow_http: bool,
        allow_private: bool,
        period_ms: int,
        connect_ms: int,
        total_ms: int,
        slow_ms: int,
    ) -> None:
        """Adds or changes a target; its status starts anew.

        Raises:
            InvalidInputError: something cannot be used; the sentence says what.
        """
    def remove(self, id: str, /) -> bool: ...
    def check(self, id: str, /) -> int | None:
        """Probes as soon as possible. A row that answers has at least the ticket returned. None: unknown."""
    def check_all(self) -> int:
        """Probes every target as soon as possible: one piece of news, after which `swept()` is at least the ticket."""
    def swept(self) -> int: ...
    def look(self, id: str, /) -> _Row | None: ...
    def look_all(self) -> list[_Row]: ...
    def next(self) -> _Row | None:
        """Takes the row of a target there is news of: its status changed, or a check of it ended."""
    def isolated(self) -> tuple[bool, int]:
        """Whether most targets stopped answering at once, and how often that began or ended."""
    def fileno(self) -> int:
        """Readable while there is news."""
    def stop(self) -> None:
        """Ends probes under way and joins the thread; idempotent. In a forked child it only forgets."""

@final
class Pace:
    """How fast bytes may go out (csrc/net/pace.h), for any number of requests together. Safe under threads."""

    def __new__(cls, bytes_per_s: float) -> Self: ...
    def take(self, count: int, now_ns: int, /) -> int:
        """Takes bytes; nanoseconds until they may go, from `now_ns` on by the monotonic clock."""
    def piece(self, most: int, /) -> int:
        """How many bytes are taken at once."""

@final
class Request:
    """One request (csrc/net/client.h). Made by `Client.ask`."""

    @property
    def is_over(self) -> bool:
        """Whether it is."""
    def cancel(self) -> None:
        """Ends it soon; it still comes out of the client."""
    def look(self) -> tuple[int, int]:
        """(bytes of bodies handed on, up to where an object was taken so far), at any time."""
    def answer(self) -> tuple[str, str, int, int, str, str, bytes, bool, int, int]:
        """(trouble, text, verify, status, date, retry_after, body, is_too_long, offset, part_bytes), once it is over.

        `trouble` is "" where there is an answer, else "address", "private", "plain", "untrusted", "tls", "files",
        "no_http", "unreached" or "cancelled"; `text` says more of it, or is the reason of the status line.
        """

@final
class Client:
    """A thread that makes requests. Starts it at construction."""

    def __new__(cls) -> Self: ...
    def ask(
        self,
        method: str,
        url: str,
        headers: Sequence[str],
        body: bytes | memoryview | None,
        object: tuple[int, int, int, int] | None,
        ca_file: str | None,
        certificate: str | None,
        certificate_key: str | None,
        *,
        allow_http: bool,
        allow_private: bool,
        has_key: bool,
        connect_ms: int,
        answer_max_bytes: int,
        paces: tuple[Pace, ...],
    ) -> Request:
        """Begins a request. `object`: (descriptor, or -1 where `body` is all of it; size; offset; bytes of a part)."""
    def next(self) -> Request | None:
        """A request that moved or is over; None of a client that was stopped, too."""
    def fileno(self) -> int:
        """A descriptor that is readable while there is news of a request."""
    def stop(self) -> None:
        """Ends requests under way and joins the thread; idempotent. In a forked child it only forgets."""
