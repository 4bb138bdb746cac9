"""The routes as a whole: what the OpenAPI document says, who may, and what answers where nothing is."""

import json
import re
import subprocess
import sys
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from support.web import KEY, PREFIX, Web, application, serving

from lightrag_bkp import BackupManager
from lightrag_bkp.api import create_backup_routes, problems
from lightrag_bkp.api.problems import (
    MEDIA_TYPE,
    MOST_BODY_BYTES,
    TABLE,
    URN,
    FailoverFailed,
    NotReplicated,
    Refused,
    problem_of,
)
from lightrag_bkp.errors import (
    CORE_ERRORS,
    ConfigurationError,
    InternalError,
    LightragBkpError,
    StateError,
    StorageError,
)

TESTS = Path(__file__).parent.parent
API_PAGE = TESTS.parent / "docs" / "api.md"
OPEN = ("/health/live", "/health/ready")
"""What answers without a key."""


def operations(app: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    """(path below the prefix, method, what is said of it)."""
    paths = app.openapi()["paths"]
    return [
        (path.removeprefix(PREFIX), method.upper(), said)
        for path, methods in paths.items()
        for method, said in methods.items()
    ]


def test_every_route_says_which_problems_it_has(manager: BackupManager) -> None:
    app = application(manager)
    assert operations(app)
    for path, method, said in operations(app):
        assert said["summary"] and (said["description"] or path in OPEN), (path, method)
        statuses = set(said["responses"])
        if path not in OPEN:
            assert statuses >= {"401", "403", "422", "429", "500", "503"}, (path, method)
        for status in statuses:
            if int(status) >= 400 and path not in OPEN:
                assert list(said["responses"][status]["content"]) == [MEDIA_TYPE], (path, method, status)
    assert "BackupProblem" in app.openapi()["components"]["schemas"]


def test_the_page_names_every_member_of_every_body(manager: BackupManager) -> None:
    document = application(manager).openapi()
    models = document["components"]["schemas"]
    section = API_PAGE.read_text("utf-8").partition("## Bodies\n")[2].partition("\n## ")[0]
    told: dict[str, set[str]] = {}
    for places, members in re.findall(r"^\| (.*/.*?) \| (.*) \|$", section, re.M):
        names = set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", members)))
        told |= dict.fromkeys(re.findall(r"`(/[^`]*)`", places), names)
    known = {}
    for path, methods in document["paths"].items():
        for method in methods.values():
            said = json.dumps(method.get("requestBody", {}))
            for model in re.findall(r"#/components/schemas/(\w+)", said):
                place = re.sub(r"\{(?!graph_id)\w+\}", "{id}", path.removeprefix(PREFIX))
                known[place] = set(models[model]["properties"])
    assert told == known


def test_nothing_answers_without_a_key(web: Web, manager: BackupManager) -> None:
    nobody, guessed = web.as_one_with(None), web.as_one_with("guessed")
    for path, method, _ in operations(application(manager)):
        if path not in OPEN:
            place = path.replace("{graph_id}", "g").replace("{snapshot_id}", "latest")
            place = (
                place.replace("{operation_id}", "0" * 32).replace("{target_id}", "t").replace("{checkpoint_id}", "c")
            )
            answer = nobody.ask(method, place)
            assert (answer.status, answer.slug) == (401, "unauthenticated"), (method, path)
    assert guessed.ask("GET", "/backup/graphs").status == 401


def test_what_is_left_out_answers_503_and_stays_in_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTRAG_BACKUP_STORAGE_PATH", str(tmp_path / "storage"))
    empty, full = application(), application(BackupManager(tmp_path / "storage"))
    assert [one[:2] for one in operations(empty)] == [one[:2] for one in operations(full)]
    with serving(empty) as url:
        web = Web(url)
        for method, path in (
            ("GET", "/backup/graphs"),
            ("GET", "/backup/stats"),
            ("POST", "/backup/cleanup"),
            ("POST", "/backup/graphs/g/snapshots"),
            ("DELETE", "/backup/graphs/g/snapshots/latest"),
        ):
            answer = web.ask(method, path)
            assert (answer.status, answer.slug) == (503, "not-configured"), path
            assert answer.headers["Retry-After"]
        assert web.ask("GET", "/operations").status == 200


def test_an_open_server_gets_no_routes(manager: BackupManager, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="open to anybody"):
        create_backup_routes(manager)
    monkeypatch.setenv("LIGHTRAG_BACKUP_ALLOW_OPEN", "true")
    assert create_backup_routes(manager).routes


def test_each_call_makes_a_router_of_its_own(manager: BackupManager, tmp_path: Path) -> None:
    other = BackupManager(tmp_path / "storage")
    with serving(application(manager)) as first, serving(application(other)) as second:
        (tmp_path / "g").mkdir()
        other.register_graph("only-there", tmp_path / "g")
        assert Web(first).ask("GET", "/backup/graphs/only-there/snapshots").status == 404
        assert Web(second).ask("GET", "/backup/graphs/only-there/snapshots").status == 200


def test_where_nothing_is_a_problem_says_so(web: Web) -> None:
    answer = web.ask("GET", "/nothing/here")
    assert (answer.status, answer.slug) == (404, "not-found")
    assert "OpenAPI" in answer.document["detail"] and "[path]" not in answer.document["detail"]
    wrong = web.ask("PATCH", "/backup/stats")
    assert (wrong.status, wrong.slug, wrong.headers["Allow"]) == (405, "method-not-allowed", "GET")


@pytest.mark.parametrize("path", OPEN)
def test_a_load_balancer_asks_for_the_head_alone(web: Web, path: str) -> None:
    answer = web.client.head(f"{web.url}{PREFIX}{path}")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_an_end(web: Web, chunked: bool) -> None:
    big = b" " * (MOST_BODY_BYTES + 1)
    content: Any = iter([big[:1000], big[1000:]]) if chunked else big
    headers = {"Content-Type": "application/json", "X-API-Key": KEY}
    answer = web.client.post(f"{web.url}{PREFIX}/backup/cleanup", content=content, headers=headers)
    assert answer.status_code == 413 and answer.headers["content-type"] == MEDIA_TYPE


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff"])
def test_a_body_that_cannot_be_read_is_a_problem(web: Web, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "X-API-Key": KEY}
    answer = web.client.post(f"{web.url}{PREFIX}/backup/cleanup", content=body, headers=headers)
    assert answer.status_code == 422 and answer.headers["content-type"] == MEDIA_TYPE
    assert isinstance(answer.json()["detail"], str)


def test_every_error_of_the_package_has_a_row() -> None:
    rows = [kind for kind, _ in TABLE]
    for kind in CORE_ERRORS.values():
        if kind is not InternalError:
            assert kind in rows, kind
            assert problem_of(kind("a sentence"))["detail"] == "a sentence"
    for place, kind in enumerate(rows):  # a base before its own would hide it
        assert not any(issubclass(kind, earlier) for earlier in rows[:place]), kind


def test_the_page_names_every_code() -> None:
    """With each status it comes with, and the word its type ends with."""
    section = API_PAGE.read_text("utf-8").partition("## Problem codes\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", section, re.M)
    told = {(code, int(status), slug) for code, said in rows for status, slug in re.findall(r"(\d+) `([a-z-]+)`", said)}
    sources = "".join(one.read_text("utf-8") for one in Path(problems.__file__).parent.glob("*.py"))
    refused = re.findall(r"""Refused\((\d+), "([a-z-]+)\"""", sources)
    more: dict[Any, dict[str, Any]] = {NotReplicated: {"replications": []}, FailoverFailed: {"outcome": {}}}
    kinds = [*CORE_ERRORS.values(), *(kind for kind, _ in TABLE if issubclass(kind, LightragBkpError))]
    met: list[BaseException] = [kind("said", **more.get(kind, {})) for kind in kinds if kind is not InternalError]
    met += [KeyError("a bug"), MemoryError(), OSError(ENOSPC, "full")]
    met += [kind("full", errno=ENOSPC) for kind in (StorageError, StateError)]
    met += [Refused(int(status), slug, "", "") for status, slug in refused]
    met += [RequestValidationError([]), *(HTTPException(status) for status in (400, 401, 403, 404, 405, 413))]
    known = [problem_of(one) for one in met]
    assert told == {(one["code"], one["status"], one["type"].removeprefix(URN)) for one in known}
    assert len(refused) >= 5


def test_a_bug_is_masked_and_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    document = problem_of(KeyError("a secret"))
    assert document["status"] == 500 and "secret" not in str(document)
    (record,) = caplog.records
    error_id = document["detail"].split()[2].rstrip(":")
    assert error_id in record.getMessage() and record.exc_info is not None


@pytest.mark.parametrize("set_up", ["", "logging.basicConfig(level=logging.INFO)"])
def test_a_bug_is_seen_once_whether_or_not_a_log_was_set_up(tmp_path: Path, set_up: str) -> None:
    """An application of one's own under plain uvicorn, in a process without pytest's handlers."""
    program = f"""
import logging, sys
{set_up}
sys.path.insert(0, {str(TESTS)!r})
from support.web import Web, application, serving
from lightrag_bkp import BackupManager

class Broken(BackupManager):
    def graph_ids(self):
        raise KeyError("a bug")

with serving(application(Broken({str(tmp_path / "storage")!r}))) as url:
    print(Web(url).ask("GET", "/backup/stats").document["detail"])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    said = re.fullmatch(r"internal error (\w+): the server's log says more\n", ran.stdout)
    assert said is not None, ran
    assert ran.stderr.count(f"event=internal_error id={said[1]} ") == 1 and "KeyError: 'a bug'" in ran.stderr


def test_importing_the_package_brings_no_framework() -> None:
    program = "import lightrag_bkp, lightrag_bkp.backup, sys; assert not {'fastapi', 'pydantic'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
