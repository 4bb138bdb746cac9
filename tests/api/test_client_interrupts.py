"""Whoever is interrupted ends the work it waits for on a server, and says what became of it."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.program import Program
from support.web import KEY, Web, application, serving

from lightrag_bkp import BackupManager


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A server of one graph, whose snapshot nobody sees the end of."""
    place = tmp_path_factory.mktemp("interrupts")
    endless = place / "endless"
    endless.mkdir()
    with open(endless / "zeros", "wb") as file:
        file.truncate(1 << 42)
    with BackupManager(place / "storage") as manager:
        manager.register_graph("endless", endless)
        with serving(application(manager)) as url:
            yield Web(url)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_the_work_on_the_server(tmp_path: Path, web: Web, number: signal.Signals, code: int) -> None:
    there = Program(tmp_path, {"LIGHTRAG_API_KEY": KEY})
    known = {one["operation_id"] for one in operations_of(web)}
    with there.started("--server", web.url, "snapshot", "endless") as process:
        until = time.monotonic() + 30
        while not (new := [one for one in operations_of(web) if one["operation_id"] not in known]):
            assert time.monotonic() < until and process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(number)
        ran = there.ended(process, code)
    (operation,) = new
    named = operation["operation_id"]
    assert ran.err == f"lightrag-bkp: interrupted; operation {named} at {web.url} is cancelled\n"
    assert web.ask("GET", f"/operations/{named}").document["state"] == "cancelled"


def operations_of(web: Web) -> list[dict[str, Any]]:
    return list(web.ask("GET", "/operations").document["operations"])


def test_a_subsystem_the_server_does_not_have_and_a_key_that_is_not_its_own(tmp_path: Path, web: Web) -> None:
    there = Program(tmp_path, {"LIGHTRAG_API_KEY": KEY, "LIGHTRAG_BACKUP_SERVER": web.url})
    assert "is not configured on this server" in there.bare("status", code=1).err
    there.environ["LIGHTRAG_API_KEY"] = "another-key"
    said = there.bare("--json", "list", code=1).document["error"]
    assert said["code"] == "SERVER" and "set LIGHTRAG_API_KEY to the server's key" in said["message"]
