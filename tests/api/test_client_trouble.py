"""A server that is away, is another one than was meant, or means harm: one sentence, and the key stays here."""

import asyncio
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.answering import Answer, Asked, answer, answering
from support.authority import Authority
from support.program import Program

from lightrag_bkp.client import operations
from lightrag_bkp.client.connection import PREFIX, Connection
from lightrag_bkp.errors import LightragBkpError, OperationCancelled, ServerError

KEY = "a-key-nobody-may-read"
GRAPHS = {"graphs": [], "next": None}


@pytest.fixture
def there(tmp_path: Path) -> Program:
    """The program, with the key that everything here has."""
    return Program(tmp_path, {"LIGHTRAG_API_KEY": KEY})


def sentence(program: Program, url: str, *words: str, code: int = 1) -> str:
    """The one sentence a command says that fails; the key stands nowhere."""
    ran = program.bare("--server", url, *(words or ("list",)), code=code)
    assert ran.out == "" and KEY not in ran.err
    (line,) = ran.err.splitlines()
    return line.removeprefix("lightrag-bkp: ")


# ---- another one than was meant ----


def test_a_server_without_our_routes(there: Program) -> None:
    with answering(answer({"detail": "Not Found"}, 404)) as url:
        assert "has no routes of lightrag-bkp: start it with lightrag-bkp-server" in sentence(there, url)


@pytest.mark.parametrize(("status", "detail"), [(403, "API Key required"), (401, "Invalid token. Please login again.")])
def test_a_key_that_is_not_the_servers(there: Program, status: int, detail: str) -> None:
    with answering(answer({"detail": detail}, status)) as url:
        said = sentence(there, url)
    assert said.startswith(f"{url} refuses: {detail}; set LIGHTRAG_API_KEY to the server's key")


def test_the_key_comes_from_a_file_and_never_from_an_argument(there: Program) -> None:
    seen: list[Asked] = []
    (there.directory / "key").write_text(f"{KEY}\n")
    there.environ["LIGHTRAG_API_KEY"] = "another-key"
    with answering(answer(GRAPHS), seen=seen) as url:
        words = ("list", "--server", url, "--server-key-file", "key", "-v")
        ran = there.bare(*words)
        assert ran.out == "no snapshots\n" and KEY not in ran.err
        (there.directory / "key").write_text("line\nbreak\n")
        assert "cannot be sent" in there.bare(*words, code=2).err
        assert "No such file" in there.bare(*words[:4], "none", code=2).err
    assert [asked.headers["X-API-Key"] for asked in seen] == [KEY]


@pytest.mark.parametrize("pasted", ["", "/", PREFIX, f"{PREFIX}/", f"/proxied{PREFIX}"])
def test_the_path_of_the_routes_may_be_part_of_the_address(there: Program, pasted: str) -> None:
    seen: list[Asked] = []
    with answering(answer(GRAPHS), seen=seen) as url:
        assert there.bare("--server", url + pasted, "list").out == "no snapshots\n"
    prefix = pasted.removesuffix("/").removesuffix(PREFIX)
    assert seen[0].path.startswith(f"{prefix}{PREFIX}/backup/graphs")


def test_nobody_is_there(there: Program) -> None:
    began = time.monotonic()
    assert "cannot be reached" in sentence(there, "http://127.0.0.1:1")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("127.0.0.1:9621", 2, "--server is no http:// or https:// address"),
        ("http://me:word@here", 2, "--server holds a user, a password or what"),
        ("http://1.1.1.1", 1, "would get the key unencrypted: use https"),
        ("http://169.254.169.254", 1, "leads to an address"),
    ],
)
def test_addresses_nothing_is_sent_to(there: Program, url: str, code: int, said: str) -> None:
    assert said in sentence(there, url, code=code)


def test_a_servers_certificate_is_checked(there: Program) -> None:
    authority = Authority(there.directory, "ca")
    certificate, key = authority.issue("here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering(lambda *_: answer(GRAPHS), context) as url:
        assert there.bare("--server", url, "--server-ca-file", authority.ca, "list").out == "no snapshots\n"
        assert "cannot be trusted" in sentence(there, url)


# ---- harm ----

DEEP = b'{"graphs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
ROW = {
    "graph_id": "g",
    "source_dir": None,
    "snapshots": 1,
    "size_bytes": 1,
    "stored_bytes": 1,
    "latest": None,
    "error": None,
}
NESTED: list[Any] = []
for _ in range(90):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>Welcome</html>", "the answer is not a list"),
        (b"", "the answer is not a list"),
        (DEEP, "the answer is not a list"),
        ({"graphs": NESTED}, "its answer is nested too deep"),
        ({"graphs": [ROW | {"size_bytes": "many"}]}, "the answer.size_bytes is not a whole number"),
        ({"graphs": [ROW | {"error": {}}]}, "the answer.error is not a text"),
        ({"graphs": [ROW], "snapshots": [{}], "next": None}, "the answer.backup_id is not there"),
    ],
    ids=["html", "nothing", "deep", "nested", "number", "text", "member"],
)
def test_an_answer_of_another_shape(there: Program, body: object, said: str) -> None:
    with answering(answer(body)) as url:
        found = sentence(there, url)
    assert f"{url} answers something else than a lightrag-bkp of this version: {said};" in found


def test_an_answer_without_an_end_is_cut_off(there: Program) -> None:
    body = b'{"graphs": "' + b"x" * (65 << 20) + b'"}'
    with answering(answer(body)) as url:
        assert "answers something else" in sentence(there, url)


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(there: Program) -> None:
    seen: list[Asked] = []
    with answering(answer(GRAPHS), seen=seen) as other:
        there.environ |= {"http_proxy": other, "https_proxy": other}
        with answering(answer({}, 307, Location=f"{other}/")) as url:
            assert "nothing is followed" in sentence(there, url)
    assert seen == []


def test_a_key_that_is_said_back_is_not_shown(there: Program) -> None:
    problem = {"code": "BUSY", "detail": f"the key {KEY} is busy\x1b[2J", "target": KEY}
    with answering(answer(problem, 409)) as url:
        found = sentence(there, url, code=4)
    assert "the key [key] is busy\\x1b[2J" in found


# ---- long work ----

SNAPSHOT = {"operation_id": "0" * 32, "state": "running", "progress": None, "result": None, "error": None}


async def work(url: str) -> Any:
    async with Connection(url, KEY).talk() as talk:
        return await operations.work(talk, "/work", {"a": 1})


async def test_what_gets_lost_is_asked_again_and_done_once() -> None:
    keys: list[str] = []
    looks: list[str] = []

    def serve(asked: Asked) -> Answer | None:
        if asked.method == "POST":
            keys.append(asked.headers["Idempotency-Key"])
            return None if len(keys) == 1 else answer(SNAPSHOT, 202)
        looks.append(asked.path)
        if len(looks) < 6:
            return None if len(looks) % 2 else answer({"detail": "Bad Gateway"}, 502)
        return answer(SNAPSHOT | {"state": "succeeded", "result": {"done": True}})

    with answering(serve) as url:
        assert await work(url) == {"done": True}
    assert len(keys) == 2 and len(set(keys)) == 1 and set(looks) == {f"{PREFIX}/operations/{'0' * 32}"}


async def test_a_server_that_stays_away_is_named_with_the_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "PATIENCE_S", 0.3)
    away = answering(lambda asked: answer(SNAPSHOT, 202) if asked.method == "POST" else None)
    with away as url, pytest.raises(ServerError) as lost:
        await work(url)
    wanted = f"operation {'0' * 32} may go on there: GET {url}{PREFIX}/operations/{'0' * 32} says what became of it"
    assert str(lost.value).endswith(wanted)


@pytest.mark.parametrize(
    ("operation", "kind", "said"),
    [
        ({"state": "failed", "error": {"code": "BUSY", "detail": "at work"}}, "Busy", "at work"),
        ({"state": "interrupted", "error": {"code": "INTERRUPTED", "detail": "gone"}}, "ServerError", "gone"),
        ({"state": "cancelled"}, "OperationCancelled", "was cancelled by somebody else"),
        ({"state": "succeeded"}, "ServerError", "nothing is said of it"),
        ({"state": "flying"}, "ServerError", "the answer.state is not a State"),
        ({"operation_id": "../../up"}, "ServerError", "an operation's id is none"),
    ],
)
async def test_how_work_ends(operation: dict[str, object], kind: str, said: str) -> None:
    there = answering(answer(SNAPSHOT | operation, 202))
    with there as url, pytest.raises(LightragBkpError, match=said) as ended:
        await work(url)
    assert type(ended.value).__name__ == kind


async def test_work_is_cancelled_with_whoever_waits_for_it() -> None:
    ended = threading.Event()

    def serve(asked: Asked) -> Answer:
        if asked.method == "DELETE":
            ended.set()
        return answer(
            SNAPSHOT | ({"state": "cancelled"} if ended.is_set() else {}), 202 if asked.method != "GET" else 200
        )

    with answering(serve) as url:
        waiting = asyncio.create_task(work(url))
        await asyncio.sleep(0.2)
        waiting.cancel()
        with pytest.raises(OperationCancelled, match=f"operation {'0' * 32} at {url} is cancelled"):
            await waiting
    assert ended.is_set()
