"""`lightrag-bkp-server`, a real one: one server for one story, since starting it takes seconds."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import check, dying, graphs, server
from support.program import Program
from support.server import RunningServer

GRAPH = "kept"
STATS = "/backup/stats"


def texts(first: int, count: int) -> dict[str, str]:
    return {f"report-{n}.txt": graphs.document(n) for n in range(first, first + count)}


def until(true: Any, what: str, deadline_s: float = 60.0) -> None:
    ends = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < ends, f"waited in vain until {what}"
        time.sleep(0.05)


def serving(directory: Path, **options: Any) -> Any:
    return server.running(
        directory,
        program="lightrag-bkp-server",
        delay_s=0.2,
        LIGHTRAG_BACKUP_STORAGE_PATH=str(directory / "storage"),
        LIGHTRAG_BACKUP_GRAPHS=f"{GRAPH}={directory / 'rag_storage'}",
        LIGHTRAG_BACKUP_UPLOADS="true",
        **options,
    )


def test_a_server_is_backed_up_restored_killed_and_started_again(tmp_path: Path) -> None:
    directory = tmp_path / "rag_storage"
    with serving(tmp_path) as running:
        nobody_gets_in_without_the_key(running)
        first = snapshots_are_gated_and_quiesced(running, tmp_path)
        it_serves_what_was_restored(running, first, directory)
        the_program_works_through_it(running, tmp_path)
        operation = killed_in_the_midst_of_a_backup(running, tmp_path)
    a_restore_dies(tmp_path, first)
    with serving(tmp_path) as running:
        assert running.entities() == set(first["entities"]), "the restore was finished before LightRAG read its files"
        found = running.ask("GET", f"/operations/{operation}").document
        assert found["state"] == "interrupted"
        what_the_killed_backup_wrote_is_gone(running, tmp_path)
        assert "event=restore_finished" in running.log.read_text()
        running.insert(texts(300, 1))
        running.wait_until_idle()
        assert running.snapshot(GRAPH)["verdict"] == "usable"
    assert check.findings(directory) == []


def nobody_gets_in_without_the_key(running: RunningServer) -> None:
    """LightRAG's default whitelist takes everything below /api out of its own authentication."""
    assert running.ask("GET", STATS).status == 200
    for headers in ({"X-API-Key": ""}, {"X-API-Key": "wrong"}, {"X-API-Key": "", "Authorization": "Bearer no.to.ken"}):
        for method, path in (("GET", STATS), ("POST", f"/backup/graphs/{GRAPH}/snapshots")):
            assert running.ask(method, path, {} if method == "POST" else None, **headers).status in (401, 403)


def snapshots_are_gated_and_quiesced(running: RunningServer, tmp_path: Path) -> dict[str, Any]:
    """Returns the first one of an idle server, with the entities LightRAG had then."""
    running.insert(texts(0, 8))
    until(lambda: running.status()["busy"] and (tmp_path / "rag_storage" / "vdb_chunks.json").exists(), "it works")
    taken = running.snapshot(GRAPH)
    assert taken["consistency"] == "gated"
    refused = running.ask("POST", f"/backup/graphs/{GRAPH}/snapshots/{taken['backup_id']}/restore", {})
    assert running.status()["busy"], "nothing was waited for"
    assert (refused.status, refused.document["code"]) == (409, "BUSY")
    assert refused.headers["content-type"] == "application/problem+json"
    running.wait_until_idle()
    idle = running.snapshot(GRAPH)
    assert (idle["consistency"], idle["verdict"]) == ("quiesced", "usable")
    return {**idle, "entities": sorted(running.entities()), "answer": answer(running)}


def it_serves_what_was_restored(running: RunningServer, first: dict[str, Any], directory: Path) -> None:
    """Without a restart; what is ingested later is added to that, and nothing of the old state comes back."""
    running.insert(texts(100, 4))
    running.wait_until_idle()
    outcome = running.restore(GRAPH, first["backup_id"])
    assert (outcome["reloaded"], outcome["restart_required"]) == (True, False)
    assert sorted(running.entities()) == first["entities"]
    assert answer(running) == first["answer"]
    running.insert(texts(200, 1))
    running.wait_until_idle()
    assert check.documents_by_status(directory).keys() == {"processed"}
    assert len(check.documents_by_status(directory)["processed"]) == 9
    assert check.findings(directory) == []


def the_program_works_through_it(running: RunningServer, tmp_path: Path) -> None:
    """Cuts are made inside LightRAG, restores go under it; from outside nothing is put under it."""
    through = {"LIGHTRAG_BACKUP_SERVER": running.url, "LIGHTRAG_API_KEY": running.api_key}
    there, here = Program(tmp_path, through), Program(tmp_path)
    before = running.entities()
    taken = there.bare("--json", "snapshot", GRAPH).document["snapshot"]
    assert taken["consistency"] == "quiesced"
    running.insert(texts(250, 1))
    running.wait_until_idle()
    said = here.sentence("restore", GRAPH, taken["backup_id"], tmp_path / "rag_storage", "--yes", code=1)
    assert "for a LightRAG server has it open" in said
    outcome = there.bare("--json", "restore", GRAPH, taken["backup_id"], "--yes").document
    assert (outcome["reloaded"], outcome["restart_required"]) == (True, False)
    assert running.entities() == before


def answer(running: RunningServer) -> list[str]:
    """What a query finds; LightRAG does not say in which order."""
    return sorted(running.query("What does E3 do?").splitlines())


def killed_in_the_midst_of_a_backup(running: RunningServer, tmp_path: Path) -> str:
    """Of uploads, one of which nobody reads to its end. Returns the id of the operation. What it wrote of the other is
    made to be an hour old, as it would be after a longer outage.
    """
    endless = tmp_path / "inputs" / "endless.bin"
    endless.parent.mkdir(exist_ok=True)
    endless.with_name("earlier.bin").write_bytes(os.urandom(32 << 20))
    with endless.open("wb") as file:
        file.truncate(1 << 40)
    begun = running.ask("POST", f"/backup/graphs/{GRAPH}/snapshots", {}, Prefer="")
    assert begun.status == 202
    operation = str(begun.document["operation_id"])
    until(
        lambda: (running.ask("GET", f"/operations/{operation}").document["progress"] or {}).get("bytes_in"), "it reads"
    )
    until(lambda: half_written(tmp_path), "it writes")
    running.process.kill()
    running.process.wait()
    endless.unlink()
    litter = half_written(tmp_path)
    assert litter, "nothing was left"
    for path in litter:
        os.utime(path, (path.stat().st_mtime - 3600,) * 2)
    return operation


def half_written(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "storage" / "graphs" / GRAPH / "tmp").iterdir())


def what_the_killed_backup_wrote_is_gone(running: RunningServer, tmp_path: Path) -> None:
    """By the server's start alone, and it says so."""
    until(lambda: not half_written(tmp_path), "the leftovers are removed")
    events = f"/events?graph_id={GRAPH}"
    until(lambda: "reclaim" in [one["kind"] for one in running.ask("GET", events).document["events"]], "it says so")
    assert "event=audit kind=reclaim" in running.log.read_text()


def a_restore_dies(tmp_path: Path, first: dict[str, Any]) -> None:
    """In the midst of putting files in place, of a graph whose directory holds another workspace."""
    directory = tmp_path / "rag_storage"
    (directory / "neighbour").mkdir()
    for change in range(3, 40):
        assert dying.die_beside(directory, tmp_path / "storage", first["backup_id"], change, GRAPH) == 77
        if (directory / ".lrb_restore" / "journal").exists():
            return
    pytest.fail("no journal was written")


# ---- what keeps it from starting ----


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("desk")


KEY = ["--key", "k"]
STORAGE = {"LIGHTRAG_BACKUP_STORAGE_PATH": "storage"}


@pytest.mark.parametrize(
    ("program", "words", "environ", "said"),
    [
        ("lightrag-bkp-server", KEY, {}, "no storage path: set LIGHTRAG_BACKUP_STORAGE_PATH"),
        ("lightrag-bkp-gunicorn", KEY, {}, "no storage path: set LIGHTRAG_BACKUP_STORAGE_PATH"),
        ("lightrag-bkp-server", [], STORAGE, "LIGHTRAG_BACKUP_ALLOW_OPEN"),
        (
            "lightrag-bkp-server",
            [*KEY, "--workspace", "_odd"],
            STORAGE,
            "'_odd' cannot be the id of a graph: give it one, LIGHTRAG_BACKUP_GRAPHS=name=",
        ),
    ],
    ids=["no storage path", "nor with gunicorn", "open", "workspace"],
)
def test_what_is_missing_ends_the_start_with_a_sentence(
    desk: Path, program: str, words: list[str], environ: dict[str, str], said: str
) -> None:
    ran = subprocess.run(
        [server.command(program), "--port", "0", *words],
        cwd=desk,
        env=server.environment() | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    last = ran.stderr.splitlines()[-1]
    assert (ran.returncode, last.partition(": ")[0]) == (2, program)
    assert said in last


def test_switched_off_it_is_lightrags_own(tmp_path: Path) -> None:
    """Whatever else is set, also in LightRAG's own `.env`."""
    (tmp_path / ".env").write_text("LIGHTRAG_BACKUP_ENABLED=false\nLIGHTRAG_BACKUP_RETENTION_DAYS=never\n")
    with server.running(tmp_path, program="lightrag-bkp-server") as running:
        assert running.ask("GET", STATS).status == 404
