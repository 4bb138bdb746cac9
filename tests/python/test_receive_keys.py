"""Keys of those who send here: on SQLite and on PostgreSQL alike, shown once, recognised, listed and ended."""

import socket
import time

import pytest
import sqlalchemy as sa
from support.program import Program

from lightrag_bkp.errors import InvalidInputError, NotFoundError
from lightrag_bkp.receiving import keys
from lightrag_bkp.receiving.keys import KeyRing
from lightrag_bkp.state import State


@pytest.fixture
def ring(state: State) -> KeyRing:
    return KeyRing(state)


def test_a_key_is_recognised_and_kept_nowhere(ring: KeyRing, state: State) -> None:
    assert ring.all() == []
    made, key = ring.add("tokyo", graph_id="support", quota_bytes=5_000_000_000_000)
    assert ring.all() == [made] and made.last_used_at is None and made.revoked_at is None
    assert (made.name, made.graph_id, made.quota_bytes, made.scope) == ("tokyo", "support", 5 * 10**12, "replicate")
    assert key not in repr(made) and made.key_id in key
    found = KeyRing(state).recognise(key)
    assert found is not None and found.key_id == made.key_id
    (listed,) = ring.all()
    assert listed.last_used_at is not None and listed.last_used_at >= made.created_at
    with state.connected() as connection:
        rows = connection.execute(sa.text("SELECT * FROM receive_keys")).all()
    assert key not in str(rows) and key.rpartition("_")[2] not in str(rows)


def test_what_is_no_key_is_none(ring: KeyRing) -> None:
    _, key = ring.add("tokyo")
    other = ring.add("osaka")[1]
    wrong = [
        "",
        key[:-1],
        key + "A",
        key.upper(),
        key[:21] + other[21:],
        other[:21] + key[21:],
        key + "\n",
        "é" * 64,
        "\udcff",
    ]
    assert [ring.recognise(one) for one in wrong] == [None] * len(wrong)


def test_a_key_ends_for_everybody_within_seconds(ring: KeyRing, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    made, key = ring.add("tokyo")
    running = KeyRing(state)
    assert running.recognise(key) is not None
    ended = ring.revoke(made.key_id[:6])
    assert ended.revoked_at is not None and ring.all() == [ended]
    assert KeyRing(state).recognise(key) is None
    now = time.monotonic()
    monkeypatch.setattr(keys.time, "monotonic", lambda: now + keys.TRUSTED_S)
    assert running.recognise(key) is None


def test_one_name_may_have_two_keys_while_they_are_changed(ring: KeyRing) -> None:
    (old, old_key), (_, new_key) = ring.add("tokyo"), ring.add("tokyo")
    ring.revoke(old.key_id)
    recognised = ring.recognise(new_key)
    assert recognised is not None and recognised.name == "tokyo" and ring.recognise(old_key) is None


def test_who_cannot_be_meant_is_not_revoked(ring: KeyRing) -> None:
    with pytest.raises(NotFoundError):
        ring.revoke("")
    ring.add("tokyo")
    for beginning in ("", "zz"):
        with pytest.raises(NotFoundError):
            ring.revoke(beginning)
    for _ in range(17):
        ring.add("tokyo")  # two of these begin alike
    twice = [one.key_id[0] for one in ring.all()]
    with pytest.raises(InvalidInputError, match="are meant by"):
        ring.revoke(next(digit for digit in twice if twice.count(digit) > 1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../up"},
        {"name": ""},
        {"name": "a/b"},
        {"name": "tokyo", "scope": "Admin"},
        {"name": "tokyo", "scope": "admin", "graph_id": "support"},
        {"name": "tokyo", "scope": "read", "quota_bytes": 1},
        {"name": "tokyo", "graph_id": "../up"},
        {"name": "tokyo", "quota_bytes": 0},
        {"name": "tokyo", "quota_bytes": True},
        {"name": "tokyo", "quota_bytes": 1 << 63},
    ],
    ids=repr,
)
def test_what_no_key_can_be_for_is_refused(ring: KeyRing, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        ring.add(**wrong)  # type: ignore[arg-type]
    assert ring.all() == []


# ---- the commands ----


def test_keys_are_made_listed_and_revoked_by_commands(program: Program) -> None:
    assert program("key", "list").out == "no keys were made\n"
    key = program("key", "add", "tokyo", "--graph", "support", "--quota", "50GB").out.strip()
    (listed,) = program.json("key", "list")["keys"]
    assert key.startswith(f"lrb_{listed['key_id']}_") and listed["quota_bytes"] == 50 * 10**9
    assert (listed["name"], listed["graph_id"], listed["last_used_at"]) == ("tokyo", "support", None)
    assert key not in program("key", "list").out
    program("key", "revoke", listed["key_id"][:8])
    assert "revoked" in program("key", "list").out
    assert "is revoked already" in program.sentence("key", "revoke", listed["key_id"], code=1)
    assert "is revoked already" in program.sentence("key", "revoke", "tokyo", code=1)
    assert "there is no key" in program.sentence("key", "revoke", "osaka", code=1)
    program("key", "add", "osaka", "--scope", "operate")
    assert program.json("key", "list")["keys"][-1]["scope"] == "operate" and "operate" in program("key", "list").out
    program("key", "revoke", "osaka")
    assert all(one["revoked_at"] for one in program.json("key", "list")["keys"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("key", "add", "../up"), "a key cannot be called '../up'"),
        (("key", "add", "boot_id"), "the receiver has a file of that name"),
        (("key", "add", "instance_id"), "the receiver has a file of that name"),
        (("key", "add", "tokyo", "--scope", "all"), "there is no scope 'all'"),
        (("key", "add", "tokyo", "--scope", "read", "--graph", "support"), "a key for read sends nothing"),
        (("key", "add", "tokyo", "--graph", "a/b"), "'a/b'"),
        (("key", "add", "tokyo", "--quota", "much"), "--quota 'much' cannot be used"),
        (("receive", "--listen", "here"), "--listen 'here' cannot be used"),
        (("receive", "--listen", "127.0.0.1:70000"), "cannot be used"),
        (("receive", "--listen", "0.0.0.0:0"), "senders would give their keys unencrypted"),
        (("receive", "--tls-cert", "nowhere.pem"), "'nowhere.pem' is no file"),
        (("receive", "--tls-key", "nowhere.pem"), "a private key without a certificate"),
        (("receive", "--min-free", "-1"), "--min-free '-1' cannot be used"),
        (("receive", "--minimum", "0"), "at least the newest snapshot"),
        (("receive", "--keep-days", "-1"), "-1 days cannot be kept"),
    ],
    ids=" ".join,
)
def test_mistakes_are_said_in_one_sentence(program: Program, words: tuple[str, ...], said: str) -> None:
    assert said in program.sentence(*words, code=2)


def test_an_address_that_is_taken_is_named_once(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = program.sentence("receive", "--listen", address, code=1)
    assert said.rstrip().endswith(f"{address} cannot be listened on: Address already in use")


@pytest.mark.parametrize(
    "words", [("verify", "osaka"), ("prune", "osaka"), ("restore", "osaka", "alpha", "latest", "target")]
)
def test_a_replica_that_is_not_there_is_named(program: Program, words: tuple[str, ...]) -> None:
    assert "there is no replica 'osaka" in program.sentence("replica", *words, code=1)
    assert program("replica", "list").out == "no replicas are here\n"
    assert not (program.directory / "target").exists()
