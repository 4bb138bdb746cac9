"""The health prober as Python sees it (csrc/net/prober.h). Only `lightrag_bkp._bridge` imports it."""

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
