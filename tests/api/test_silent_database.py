"""A database whose server takes connections and says nothing: nobody waits for it for long, and few at a time."""

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.web import Web, application, asking, serving

from lightrag_bkp import BackupManager
from lightrag_bkp.api.auth import Caller, Scope
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


@pytest.mark.parametrize(("scope", "is_told"), [(Scope.READ, False), (Scope.OPERATE, True)])
def test_its_user_and_host_are_not_for_those_who_only_read(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: Scope, is_told: bool
) -> None:
    monkeypatch.setenv("LIGHTRAG_REPLICATION_DATABASE_URL", silent)

    async def who() -> Caller:
        return Caller("somebody", scope)

    with asking(application(BackupManager(tmp_path / "storage"), api_key=None, auth=who)) as web:
        answer = web.ask("GET", "/operations")
    assert answer.status == 503 and "secret" not in str(answer.document)
    assert is_told is ("127.0.0.1" in str(answer.document)) is ("me:***@" in answer.document["detail"])
    assert answer.document["detail"].startswith("the replication database ")


def test_a_change_is_made_and_the_log_has_what_could_not_be_stored(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LIGHTRAG_REPLICATION_DATABASE_URL", silent)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "notes").write_text("first")
    manager = BackupManager(tmp_path / "storage")
    taken = asyncio.run(manager.register_graph("plain", tmp_path / "source").create_snapshot())
    with asking(application(manager)) as web:
        held = web.ask("POST", f"/backup/graphs/plain/snapshots/{taken.backup_id}/hold", {"holder": "me"})
    assert held.status == 200 and held.document["changed"] is True
    (said,) = (one for one in caplog.records if "event=audit_not_stored" in one.getMessage())
    assert said.levelno == logging.ERROR
    assert f"kind=hold actor='lightrag-api-key' graph=plain target={taken.backup_id} outcome=" in said.getMessage()
