"""What a receiver answers instead of doing what was asked: one of the errors of docs/replication.md, as
application/problem+json (RFC 9457).
"""

from typing import Any

from .protocol import RETRYABLE

MEDIA_TYPE = "application/problem+json"
URN = "urn:lightrag-bkp:problem:"
RETRY_FULL_S = 300
"""How long a sender is told to wait when there is no room: somebody has to make some."""


class Refusal(Exception):
    """Ends a request with an error. `more` are members that help the sender to go on."""

    def __init__(self, status: int, code: str, detail: str, *, retry_after: int | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self._more = more

    def problem(self, instance: str) -> dict[str, Any]:
        """The document, of a request for this path."""
        words = self.code.lower().split("_")
        return {
            "type": f"{URN}receive:{'-'.join(words)}",
            "title": " ".join(words).capitalize(),
            "status": self.status,
            "detail": str(self),
            "instance": instance,
            "code": self.code,
            "retryable": self.status in RETRYABLE,
            **self._more,
        }


def no_room(detail: str) -> Refusal:
    """507, with the time after which it may be worth another try."""
    return Refusal(507, "NO_ROOM", detail, retry_after=RETRY_FULL_S)
