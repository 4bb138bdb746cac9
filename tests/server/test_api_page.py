"""The routes on LightRAG's own servers, one worker and two: docs/api.md at its word, and what is refused."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import server
from support.server import RunningServer

from lightrag_bkp.receiving.here import open_keys

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
CURL = """#!/bin/sh
exec "$REAL_CURL" --write-out '%{stderr}status %{http_code}\\n' "$@"
"""
needs_curl = pytest.mark.skipif(not (shutil.which("curl") or os.environ.get("CI")), reason="curl is not installed")
NOBODYS = "0" * 32
GRAPH = "/backup/graphs/support"


@pytest.fixture(scope="module", params=["lightrag-bkp-server", "lightrag-bkp-gunicorn"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, built_graph: Path
) -> Iterator[RunningServer]:
    """A server of this kind on a graph with documents; its log lies where everything else of it does."""
    directory = tmp_path_factory.mktemp("served")
    shutil.copytree(built_graph, directory / "rag_storage")
    workers = 2 if request.param.endswith("gunicorn") else 0
    settings = {"LIGHTRAG_BACKUP_STORAGE_PATH": str(directory / "backups")}
    settings["LIGHTRAG_BACKUP_GRAPHS"] = f"support={directory / 'rag_storage'}"
    with server.running(directory, program=request.param, workers=workers, **settings) as running:
        yield running


@needs_curl
def test_every_command_is_answered_as_the_page_says(running: RunningServer) -> None:
    directory = running.log.parent
    script = "".join(re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S))
    said = re.findall(r"  # (\d{3})$", script, re.M)
    assert len(said) == script.count("curl ") > 30, "a command does not say its status"
    curl = directory / "bin" / "curl"
    curl.parent.mkdir()
    curl.write_text(CURL)
    curl.chmod(0o755)
    environment = {
        "PATH": f"{curl.parent}:{os.environ['PATH']}",
        "REAL_CURL": str(shutil.which("curl")),
        "BASE": running.url + server.ROUTES,
        "KEY": running.api_key,
        "THERE": running.url,  # it may as well receive what it sends
        "THERE_KEY": open_keys(directory / "backups").add("here")[1],
        "no_proxy": "127.0.0.1",
    }
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=os.environ | environment,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    commands = re.split(r"(?<=  # \d{3})\n", script)
    answered = re.findall(r"^status (\d{3})$", ran.stderr, re.M)
    assert [one for one in zip(said, answered, commands, strict=False) if one[0] != one[1]] == []
    assert len(answered) == len(said)


@pytest.mark.parametrize(
    ("status", "method", "path", "body"),
    [
        (404, "GET", "/backup/graphs/nobody/snapshots", None),
        (404, "GET", f"{GRAPH}/snapshots/none", None),
        (404, "POST", f"{GRAPH}/snapshots/none/restore", {}),
        (404, "DELETE", f"{GRAPH}/snapshots/none", None),
        (404, "POST", "/backup/cleanup", {"graph_id": "nobody"}),
        (404, "POST", "/replication/graphs/support/replicate", {"target_id": NOBODYS}),
        (404, "GET", f"/replication/targets/{NOBODYS}/health", None),
        (404, "DELETE", f"/replication/targets/{NOBODYS}", None),
        (404, "POST", "/recovery/checkpoints", {"graph_ids": ["nobody"], "description": ""}),
        (404, "GET", "/recovery/checkpoints/none", None),
        (404, "POST", "/recovery/checkpoints/none/validate", {}),
        (404, "POST", "/recovery/checkpoints/none/failover", {}),
        (404, "GET", f"/operations/{NOBODYS}", None),
        (404, "GET", "/nothing", None),
        (405, "PUT", "/backup/stats", None),
        (422, "POST", f"{GRAPH}/snapshots", {"path": "/etc"}),
        (422, "POST", f"{GRAPH}/snapshots/none/restore", {"workspace": "../elsewhere"}),
        (422, "POST", "/replication/targets", {"name": "there", "base_url": "file:///etc/passwd"}),
        (422, "POST", "/recovery/checkpoints", {"graph_ids": []}),
        (422, "GET", "/backup/graphs?page_size=5", None),
    ],
)
def test_what_cannot_be_is_refused(running: RunningServer, status: int, method: str, path: str, body: Any) -> None:
    answer = running.ask(method, path, body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.document["status"] == status and isinstance(answer.document["detail"], str)


@needs_curl
@pytest.mark.parametrize("more", [(), ("-H", "Transfer-Encoding: chunked")], ids=["declared", "in pieces"])
def test_a_body_ends_at_lightrags_ceiling(running: RunningServer, more: tuple[str, ...]) -> None:
    """LightRAG's own middleware answers before the whole body came; curl, unlike others, reads that then."""
    body = json.dumps({"metadata": {"a": "x" * (1 << 20)}})
    place = f"{running.url}{server.ROUTES}{GRAPH}/snapshots"
    said = ["-sS", "-o", os.devnull, "-w", "%{http_code}", "-H", f"X-API-Key: {running.api_key}", "--data-binary", "@-"]
    ran = subprocess.run(["curl", *said, *more, place], input=body, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "413", ran.stderr


def test_what_is_there_already_or_over_is_a_conflict(running: RunningServer) -> None:
    named = {"name": "twice", "base_url": "http://127.0.0.1:9"}
    assert running.ask("POST", "/replication/targets", named).status == 201
    assert running.ask("POST", "/replication/targets", named).status == 409
    taken = running.ask("POST", f"{GRAPH}/snapshots", {})
    operation = taken.headers["operation-location"].removeprefix(server.ROUTES)
    assert (taken.status, running.ask("DELETE", operation).status) == (201, 409)


@pytest.mark.parametrize("status", [412, 502])
def test_work_that_fails_says_the_same_to_who_waits_and_in_its_operation(running: RunningServer, status: int) -> None:
    path, code = what_fails(running, status)
    waited = running.ask("POST", path, {})
    assert (waited.status, waited.headers["content-type"]) == (status, "application/problem+json")
    assert (waited.document["status"], waited.document["code"], waited.document["instance"]) == (
        status,
        code,
        server.ROUTES + path,
    )
    begun = running.ask("POST", path, {}, Prefer="")
    assert begun.status == 202
    operation = running.ended(begun.document["operation_id"])
    assert operation["state"] == "failed"
    assert operation["error"].keys() == waited.document.keys()
    same = ("type", "title", "status", "code", "instance")
    assert [operation["error"][name] for name in same] == [waited.document[name] for name in same]


def what_fails(running: RunningServer, status: int) -> tuple[str, str]:
    """A request for long work that ends so, and the code it ends with."""
    if status == 412:  # nothing was brought back that could be undone
        point = running.ask("POST", "/recovery/checkpoints", {"graph_ids": ["support"], "description": "never used"})
        return f"/recovery/checkpoints/{point.document['checkpoint_id']}/undo", "REFUSED"
    running.snapshot("support")
    nobody = running.ask("POST", "/replication/targets", {"name": "nobody", "base_url": "http://127.0.0.1:9"})
    running.ask("PUT", f"/replication/graphs/support/targets/{nobody.document['target_id']}")
    return "/replication/graphs/support/replicate", "NOT_REPLICATED"


@pytest.mark.parametrize(
    ("scope", "status", "method", "path"),
    [
        (None, 401, "GET", "/backup/stats"),
        ("wrong", 401, "GET", "/backup/stats"),
        ("read", 200, "GET", "/backup/stats"),
        ("read", 403, "POST", f"{GRAPH}/snapshots"),
        ("operate", 201, "POST", f"{GRAPH}/snapshots"),
        ("operate", 403, "POST", "/backup/cleanup"),
        ("admin", 200, "POST", "/backup/cleanup"),
        ("replicate", 403, "GET", "/backup/stats"),
    ],
)
def test_a_key_opens_what_it_is_for(
    running: RunningServer, scope: str | None, status: int, method: str, path: str
) -> None:
    known = scope in ("read", "operate", "admin", "replicate")
    key = open_keys(running.log.parent / "backups").add("somebody", str(scope))[1] if known else scope or ""
    answer = running.ask(method, path, {} if method == "POST" else None, **{"X-API-Key": key})
    assert answer.status == status, answer.document
