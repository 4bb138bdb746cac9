"""A database whose server takes connections and says nothing: nobody waits for it for long, and few at a time."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.web import Web, application, serving

from lightrag_bkp import BackupManager
from lightrag_bkp.errors import StateError
from lightrag_bkp.state import Events, State


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """The URL of a database on a socket that is never read; what the URL says of waiting goes before our own."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1000)
        yield f"postgresql+psycopg://me:secret@127.0.0.1:{listening.getsockname()[1]}/db?connect_timeout=2"


def test_one_waits_for_all(silent: str, tmp_path: Path) -> None:
    events = Events(State(silent, str(tmp_path / "key")))

    def ask(_: int) -> float:
        began = time.monotonic()
        with pytest.raises(StateError, match=r"cannot be used: (connection timeout|it did not answer)"):
            events.newest()
        return time.monotonic() - began

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(ask, range(8))) < 4  # and not twice 2 s and more, one after the other
    assert max(ask(number) for number in range(100)) < 1


def test_many_who_ask_whether_it_is_ready_hold_nobody_up(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTRAG_REPLICATION_DATABASE_URL", silent)
    with serving(application(BackupManager(tmp_path / "storage"))) as url:
        web = Web(url)
        with ThreadPoolExecutor(60) as pool:
            asked = [pool.submit(web.ask, "GET", "/health/ready") for _ in range(60)]
            time.sleep(0.2)  # so that all of them wait
            began = time.monotonic()
            assert web.ask("GET", "/backup/graphs").status == 200
            took_s = time.monotonic() - began
        answers = [one.result() for one in asked]
        assert took_s < 1
    assert {answer.status for answer in answers} == {503}
    assert all(answer.document["reasons"] == ["the database cannot be used"] for answer in answers)
