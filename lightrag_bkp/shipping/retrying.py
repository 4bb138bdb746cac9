"""When something that failed is tried again.

Full jitter: a random time between nothing and a ceiling that doubles with every failure in a row, up to MOST_S, so that
many senders whose receiver came back do not all come at once. A receiver that says when to come back (`Retry-After`)
is not asked earlier, nor all at once then. What asking again cannot change is not tried again.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ..receiving.protocol import RETRYABLE

FIRST_S = 1.0
MOST_S = 300.0
MOST_ASKED_S = 3600.0
"""A receiver cannot send us away for longer."""


def is_permanent(status: int) -> bool:
    """Whether asking again is no use after this HTTP status: the key is not accepted (401), the graph is not for it
    (403), the copies differ (409), what was sent cannot be used (422), and whatever else is the asker's fault.
    """
    return status not in RETRYABLE and (status < 500 or status == 501)


class Backoff:
    """How long to wait after each failure in a row.

    Args:
        draw: a random number from 0 to 1.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._failures = 0

    def succeeded(self) -> None:
        """Something got through: the next failure is the first one again."""
        self._failures = 0

    def failed(self, retry_after_s: float | None = None) -> float:
        """Seconds until the next try. `retry_after_s`: what the receiver asked for, at least that long."""
        ceiling = min(MOST_S, FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        if retry_after_s is None:
            return self._draw() * ceiling
        return min(retry_after_s, MOST_ASKED_S) + self._draw() * FIRST_S


def retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """The seconds a `Retry-After` header asks for, as a whole number or a date (RFC 9110, 10.2.3); None: unusable."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip()[:9])
    try:
        then = parsedate_to_datetime(text)
        if then.tzinfo is None:
            then = then.replace(tzinfo=UTC)
        return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, TypeError, ArithmeticError, LookupError):  # years and zones that no clock has
        return None
