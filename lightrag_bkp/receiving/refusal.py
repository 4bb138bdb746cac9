"""What a receiver answers instead of doing what was asked: one of the errors of docs/replication.md."""

from typing import Any

from .protocol import RETRYABLE

RETRY_FULL_S = 300
"""How long a sender is told to wait when there is no room: somebody has to make some."""


class Refusal(Exception):
    """Ends a request with an error. `more` are members that help the sender to go on."""

    def __init__(self, status: int, error: str, detail: str, *, retry_after: int | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after
        self.document = {"error": error, "detail": detail, "retryable": status in RETRYABLE} | more


def no_room(detail: str) -> Refusal:
    """507, with the time after which it may be worth another try."""
    return Refusal(507, "no_room", detail, retry_after=RETRY_FULL_S)
