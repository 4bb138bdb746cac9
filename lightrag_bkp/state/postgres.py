"""How long PostgreSQL is waited for. Whoever asks waits in a thread of a pool that others need: a server that takes
connections and says nothing must not keep them all.
"""

import threading
import time

import sqlalchemy as sa

CONNECT_S = 4
STATEMENT_S = 30
"""As long as SQLite waits for its turn."""
PAUSE_S = 5.0
_LOST_S = 15
"""After which a connection whose other end is gone is given up."""
_DRIVERS = ("psycopg", "psycopg2")
"""Those of libpq, whose settings these are."""


class Patience:
    """Gives a server up that does not answer, and asks it nothing for some seconds then."""

    def __init__(self, url: sa.URL) -> None:
        self._lock = threading.Lock()
        self._silent_until = 0.0
        ours = {
            "connect_timeout": CONNECT_S,
            "keepalives_idle": _LOST_S - 5,
            "keepalives_interval": 5,
            "keepalives_count": 1,
            "tcp_user_timeout": _LOST_S * 1000,
        }
        known = url.get_driver_name() in _DRIVERS
        self.settings = {name: value for name, value in ours.items() if known and name not in url.query}
        """For the driver; what the URL says itself stays."""

    def watch(self, engine: sa.Engine) -> None:
        """From now on its statements have a deadline, and it is heard when a connection had none in time."""
        sa.event.listen(engine, "begin", _limit_statements)
        sa.event.listen(engine, "handle_error", self._note)

    @property
    def is_out(self) -> bool:
        """The server did not answer a moment ago."""
        with self._lock:
            return time.monotonic() < self._silent_until

    def _note(self, context: sa.engine.ExceptionContext) -> None:
        if type(context.original_exception).__name__ != "ConnectionTimeout":
            return
        with self._lock:
            self._silent_until = time.monotonic() + PAUSE_S


def _limit_statements(connection: sa.Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {STATEMENT_S * 1000}")
