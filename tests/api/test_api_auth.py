"""Who may ask what: every route against every scope, keys that are none, and LightRAG's own application."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import Header, HTTPException
from starlette.testclient import TestClient
from support.server import environment
from support.web import KEY, PREFIX, Web, application, asking

from lightrag_bkp import BackupManager
from lightrag_bkp.api import auth, create_backup_routes
from lightrag_bkp.api.auth import Caller, Scope
from lightrag_bkp.errors import ConfigurationError
from lightrag_bkp.receiving import keys
from lightrag_bkp.receiving.here import open_keys

READ, OPERATE, ADMIN = ("read", "operate", "admin"), ("operate", "admin"), ("admin",)
ANYBODY = ("nobody", "replicate", *READ)
POINT = "/recovery/checkpoints/{checkpoint_id}"
SNAPSHOT = "/backup/graphs/{graph_id}/snapshots/{snapshot_id}"

ALLOWED = {
    "GET /backup/graphs": READ,
    "GET /backup/stats": READ,
    "POST /backup/graphs/{graph_id}/snapshots": OPERATE,
    "GET /backup/graphs/{graph_id}/snapshots": READ,
    f"GET {SNAPSHOT}": READ,
    f"DELETE {SNAPSHOT}": ADMIN,
    f"POST {SNAPSHOT}/restore": ADMIN,
    f"POST {SNAPSHOT}/verify": OPERATE,
    f"POST {SNAPSHOT}/hold": OPERATE,
    f"POST {SNAPSHOT}/release": OPERATE,
    "POST /backup/graphs/{graph_id}/verify": OPERATE,
    "POST /backup/cleanup": ADMIN,
    "POST /replication/targets": ADMIN,
    "GET /replication/targets": READ,
    "GET /replication/targets/{target_id}": READ,
    "PATCH /replication/targets/{target_id}": ADMIN,
    "DELETE /replication/targets/{target_id}": ADMIN,
    "GET /replication/targets/{target_id}/health": READ,
    "GET /replication/graphs/{graph_id}/status": READ,
    "GET /replication/graphs/{graph_id}/logs": READ,
    "POST /replication/graphs/{graph_id}/replicate": OPERATE,
    "PUT /replication/graphs/{graph_id}/targets/{target_id}": ADMIN,
    "DELETE /replication/graphs/{graph_id}/targets/{target_id}": ADMIN,
    "POST /recovery/checkpoints": OPERATE,
    "GET /recovery/checkpoints": READ,
    f"GET {POINT}": READ,
    f"DELETE {POINT}": ADMIN,
    f"POST {POINT}/validate": OPERATE,
    f"POST {POINT}/drill": OPERATE,
    f"POST {POINT}/failover": ADMIN,
    f"POST {POINT}/undo": ADMIN,
    "GET /recovery/health": READ,
    "GET /recovery/status": READ,
    "GET /operations": READ,
    "GET /operations/{operation_id}": READ,
    "DELETE /operations/{operation_id}": OPERATE,
    "GET /events": READ,
    "GET /health/live": ANYBODY,
    "GET /health/ready": ANYBODY,
}
"""Who of all is let in, for every route."""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("auth") / "storage"


@pytest.fixture(scope="module")
def ring(storage: Path) -> dict[str, str]:
    """A key of each scope."""
    return {scope: open_keys(storage).add(scope, scope)[1] for scope in keys.SCOPES}


@pytest.fixture(scope="module")
def shared(storage: Path) -> Iterator[Web]:
    """An application for those who guess no keys."""
    with asking(application(BackupManager(storage))) as web:
        yield web


@pytest.fixture
def web(storage: Path) -> Iterator[Web]:
    """One of one's own."""
    with asking(application(BackupManager(storage))) as web:
        yield web


# ---- scopes ----


def test_the_table_knows_every_route(storage: Path) -> None:
    paths = application(BackupManager(storage)).openapi()["paths"]
    found = {f"{method.upper()} {path.removeprefix(PREFIX)}" for path, methods in paths.items() for method in methods}
    assert found == set(ALLOWED)


@pytest.mark.parametrize(("route", "allowed"), ALLOWED.items(), ids=list(ALLOWED))
def test_each_route_lets_in_who_may(shared: Web, ring: dict[str, str], route: str, allowed: tuple[str, ...]) -> None:
    method, path = re.sub(r"\{\w+\}", "unknown", route).split(" ")
    for who in ("nobody", *keys.SCOPES):
        answer = shared.as_one_with(ring.get(who)).ask(method, path, Accept="application/json")
        refused = (401, "unauthenticated") if who == "nobody" else (403, "forbidden")
        if who in allowed:
            assert answer.status not in (401, 403), (who, answer)
        else:
            assert (answer.status, answer.slug) == refused, (who, answer)


def test_who_only_reads_is_told_no_place(shared: Web, ring: dict[str, str], storage: Path) -> None:
    said = {
        scope: shared.as_one_with(ring[scope]).ask("GET", "/backup/graphs/unknown/snapshots").document["detail"]
        for scope in ("read", "operate")
    }
    assert str(storage) not in said["read"] and "[path]" in said["read"] and str(storage) in said["operate"]


# ---- keys ----


@pytest.mark.parametrize(
    "key",
    [None, "", "wrong", KEY[:-1], KEY + "x", KEY.upper(), "lrb_0123456789abcdef_" + "A" * 43, "é" * 9, "x" * 9000],
)
def test_what_is_no_key_opens_nothing(web: Web, key: str | None) -> None:
    headers = {} if key is None else {"X-API-Key": key.encode()}
    answer = web.client.get(f"{web.url}{PREFIX}/backup/graphs", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401 and answer.json()["code"] == "UNAUTHENTICATED"
    assert "www-authenticate" in answer.headers and (not key or key not in answer.text)


@pytest.mark.parametrize("name", ["X-API-Key", "Authorization"])
def test_of_two_keys_or_two_tokens_none_counts(web: Web, name: str) -> None:
    url = f"{web.url}{PREFIX}/backup/graphs"
    for second in ("wrong", ""):
        for two in ((KEY, second), (second, KEY)):
            shown = [("X-API-Key", KEY)] * (name != "X-API-Key") + [(name, one) for one in two]
            answer = web.client.get(url, headers=shown)
            assert answer.status_code == 401 and f"{name} was sent more than once" in answer.json()["detail"]
    assert web.client.get(url, headers=[("X-API-Key", KEY)] * 2).status_code == 200


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 99, b" " * (2 << 20), b'{"unknown": 1}'])
def test_a_stranger_is_told_so_whatever_the_body_is(web: Web, body: bytes) -> None:
    url, kind = f"{web.url}{PREFIX}/backup/cleanup", {"Content-Type": "application/json"}
    for key, status in ((None, 401), ("wrong", 401), (KEY, 413 if len(body) > 1 << 20 else 422)):
        for sent in (body, iter([body])):  # with its length, and in pieces
            answer = web.client.post(url, headers=kind | ({"X-API-Key": key} if key else {}), content=sent)
            assert answer.status_code == status, answer.text


def test_lightrags_key_may_do_everything(web: Web) -> None:
    assert web.ask("GET", "/backup/graphs").status == 200
    assert web.waited("POST", "/backup/cleanup", {"dry_run": True}).status == 200


def test_a_key_that_is_ended_opens_nothing_within_seconds(
    web: Web, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, key = open_keys(storage).add("soon-over", "admin")
    assert web.as_one_with(key).ask("GET", "/backup/graphs").status == 200
    (listed,) = (one for one in open_keys(storage).all() if one.key_id == made.key_id)
    assert listed.last_used_at is not None
    open_keys(storage).revoke(made.key_id)
    monkeypatch.setattr(keys, "TRUSTED_S", 0.0)
    assert web.as_one_with(key).ask("GET", "/backup/graphs").status == 401


def test_who_guesses_is_made_to_wait_and_nobody_elsewhere(web: Web, ring: dict[str, str], storage: Path) -> None:
    guesses = [web.as_one_with(f"guess {number}").ask("GET", "/backup/graphs") for number in range(auth.WRONG_KEYS + 1)]
    assert [one.status for one in guesses] == [401] * auth.WRONG_KEYS + [429]
    assert guesses[-1].slug == "too-many-requests" and 1 <= int(guesses[-1].headers["retry-after"]) <= 60
    assert web.ask("GET", "/backup/graphs").status == 429, "guessing would go on, had the right key another answer"
    assert web.as_one_with(ring["read"]).ask("GET", "/backup/graphs").status == 200, "256 random bits are not guessed"
    assert web.as_one_with(None).ask("GET", "/health/live").status == 200
    elsewhere = TestClient(web.client.app, client=("192.0.2.7", 1))  # type: ignore[attr-defined]
    assert Web(web.url, KEY, elsewhere).ask("GET", "/backup/graphs").status == 200


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("unix", "unix", True),
    ],
)
def test_one_subscriber_is_one_address(one: str, other: str, is_same: bool) -> None:
    class Asking:
        def __init__(self, host: str) -> None:
            self.client = type("Address", (), {"host": host})

    same = auth._address(Asking(one)) == auth._address(Asking(other))  # type: ignore[arg-type]
    assert same is is_same


# ---- open servers, and others that decide ----


@pytest.mark.parametrize("api_key", [None, ""])
def test_on_an_open_server_nothing_is_mounted(storage: Path, api_key: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"open to anybody: set LIGHTRAG_API_KEY .* LIGHTRAG_BACKUP_ALLOW_OPE"):
        create_backup_routes(BackupManager(storage), api_key=api_key)


def test_unless_that_is_meant(storage: Path, ring: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTRAG_BACKUP_ALLOW_OPEN", "true")
    with asking(application(BackupManager(storage), api_key=None), None) as web:
        assert web.waited("POST", "/backup/cleanup", {"dry_run": True}).status == 200
        known = web.as_one_with(ring["read"])
        assert known.ask("POST", "/backup/cleanup", {}).status == 403, "a key still says who asks"


def test_an_application_may_decide_itself(storage: Path) -> None:
    async def decide(x_user: Annotated[str | None, Header()] = None) -> Caller | str:
        if x_user is None:
            raise HTTPException(401, "no user", {"X-Why": "none"})
        return Caller(x_user, Scope.READ) if x_user == "reader" else x_user

    with asking(application(BackupManager(storage), api_key=None, auth=decide), None) as web:
        refused = web.ask("GET", "/backup/graphs")
        assert (refused.status, refused.slug, refused.headers["x-why"]) == (401, "unauthenticated", "none")
        assert web.ask("GET", "/backup/graphs", X_User="reader").status == 200
        assert web.ask("POST", "/backup/cleanup", {}, X_User="reader").status == 403
        assert web.ask("POST", "/backup/cleanup", {"dry_run": True}, X_User="chief", Prefer="wait=60").status == 200
        assert web.ask("GET", "/health/live").status == 200
        listed = web.ask("GET", "/operations", X_User="reader").document["operations"]
    assert listed[0]["requested_by"] == "chief"


@pytest.mark.parametrize("said", [None, False, True, "", 5, {"sub": "chief"}, b"chief"])
def test_a_decision_that_names_nobody_lets_nobody_in(storage: Path, said: object) -> None:
    """As LightRAG's `get_auth_status_dependency` and FastAPI's `APIKeyHeader(auto_error=False)` are."""
    app = application(BackupManager(storage), api_key=None, auth=lambda: said)
    with asking(app, None) as web:
        for method, path, body in (("GET", "/backup/graphs", None), ("POST", "/backup/cleanup", {})):
            answer = web.ask(method, path, body)
            assert (answer.status, answer.slug) == (401, "unauthenticated")


def test_a_name_that_no_database_takes_is_written_down_as_it_can_be(storage: Path) -> None:
    with asking(application(BackupManager(storage), api_key=None, auth=lambda: "a\ud800\0b"), None) as web:
        assert web.waited("POST", "/backup/cleanup", {"dry_run": True}).status == 200
        assert web.ask("GET", "/operations").document["operations"][0]["requested_by"] == "a\\ud800\\x00b"


# ---- LightRAG's own application ----


def test_lightrags_whitelist_opens_nothing_of_ours(storage: Path, tmp_path: Path) -> None:
    """By default it lets everybody in below `/api/`: a route there with LightRAG's own guard shows it."""
    env = environment() | {
        "LIGHTRAG_API_KEY": KEY, "AUTH_ACCOUNTS": "alice:word", "TOKEN_SECRET": "s" * 40,
    }  # fmt: skip
    env.pop("WHITELIST_PATHS", None)
    env["PYTHONPATH"] = os.pathsep.join([env["PYTHONPATH"], str(Path(__file__).parents[1])])
    words = [sys.executable, "-m", "support.lightrag_app", str(storage)]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["trap"] == 200
    for mode, let_in in (("key and accounts", {"key", "user"}), ("key", {"key"})):
        assert seen[mode].pop("mounts") is ("user" in let_in), mode
        for who, (status, kind) in seen[mode].items():
            assert status == (200 if who in let_in else 401), (mode, who)
            assert kind == ("application/json" if who in let_in else "application/problem+json"), (mode, who)
