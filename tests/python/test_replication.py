"""Replication targets: kept on SQLite and on PostgreSQL alike, their keys sealed, their health asked for."""

import asyncio
import copy
import json
import os
import pickle
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from support.postgres import empty_database
from support.receiver import receiver

from lightrag_bkp import config, processes
from lightrag_bkp.errors import ConfigurationError, InvalidInputError, NotFoundError, StateError
from lightrag_bkp.probing import ProbeSettings
from lightrag_bkp.replication import (
    ReplicationLog,
    ReplicationManager,
    ReplicationStatus,
    ReplicationTarget,
    TargetStatus,
)
from lightrag_bkp.state import State, shipments
from lightrag_bkp.state.schema import HEAD, metadata

PATIENT = ProbeSettings(period=3600, connect=20, total=20, slow=0)
KEY = "a-key-nobody-may-read"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database that nobody used before."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state' / 'replication.db'}"
        return
    empty_database(request.getfixturevalue("postgres"))
    yield request.getfixturevalue("postgres")


@pytest.fixture
def manager(url: str, tmp_path: Path) -> Iterator[ReplicationManager]:
    with again(url, tmp_path) as manager:
        yield manager


def again(url: str, tmp_path: Path) -> ReplicationManager:
    """As another process would have it."""
    return ReplicationManager(url, key_file=tmp_path / "state" / "replication.key")


def target(name: str = "elsewhere", port: int = 1, **more: object) -> ReplicationTarget:
    settings = {"api_key": KEY, "connection": PATIENT} | more
    return ReplicationTarget(name, f"http://127.0.0.1:{port}", **settings)  # type: ignore[arg-type]


# ---- targets ----

ODD_PATHS = (
    "/../rag", "/rag/./x", "/rag/..", "/%2e%2E/rag", "/.%2e", "//rag", "/a//b", "/a%2Fb", "/%zz", "/%00", "/a%5c..",
    "/größe", "/a\u202eb", "/a b",
)  # fmt: skip
"""What probes and what sends would ask for something else, or not where it seems to lead."""


def test_register_target(manager: ReplicationManager, url: str, tmp_path: Path) -> None:
    assert manager.list_targets() == []
    first, second = target(), target("other", api_key=None, enabled=False)
    assert manager.register_target(first) and manager.register_target(second)
    assert not manager.register_target(first) and not manager.register_target(replace(first, name="changed"))
    assert manager.list_targets() == again(url, tmp_path).list_targets() == [first, second]
    assert manager.get_target(first.target_id) == first and manager.get_target("unknown") is None
    assert manager.remove_target(first.target_id) and not manager.remove_target(first.target_id)
    assert manager.list_targets() == [second]


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "ftp://host"},
        {"base_url": "http://user:secret@host"},
        {"base_url": ""},
        {"base_url": "https:///host"},
        {"base_url": "https://host:0"},
        {"base_url": "https://host/?key=secret"},
        {"base_url": "https://host#"},
        *({"base_url": f"https://host{path}"} for path in ODD_PATHS),
        *({"target_id": one} for one in ("", "..", ".", "a/b", "a b", "a\nb", "one\n", "é", "x" * 64)),
        {"base_url": "https://127.1:9731"},
        {"base_url": "https://0x7f000001"},
        {"base_url": "https://127.0.0.01"},
        {"base_url": "https://2130706433/"},
        {"base_url": "https://169.254.169.254"},
        {"base_url": "https://[fd00:ec2::254]:9731"},
        {"base_url": "https://[::ffff:169.254.169.254]"},
        {"base_url": "https://[64:ff9b::a9fe:a9fe]/"},
        {"base_url": "https://0.0.0.0:9731"},
        {"connection": replace(PATIENT, ca_file="/no/such/file")},
        {"connection": replace(PATIENT, ca_file=__file__)},
        {"connection": replace(PATIENT, ca_file="/dev/null")},
        {"api_key": "two\nlines"},
        {"api_key": ""},
        {"connection": replace(PATIENT, total=0)},
    ],
    ids=repr,
)
def test_what_cannot_be_used_is_refused_and_not_kept(manager: ReplicationManager, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        manager.register_target(replace(target(), **wrong))  # type: ignore[arg-type]
    assert "secret" not in str(refused.value)
    assert manager.list_targets() == []


def test_a_path_and_an_id_of_ones_own_are_kept_as_they_are(manager: ReplicationManager) -> None:
    for number, path in enumerate(("", "/", "/rag", "/rag/", "/a/b.c/..d", "/%C3%A4", "/x;y=1,(z)")):
        kept = ReplicationTarget(f"{number}", f"https://host{path}", KEY, target_id=f"site-{number}.a:b")
        assert manager.register_target(kept) and manager.get_target(kept.target_id) == kept


def test_a_program_may_register_its_target_at_each_start(manager: ReplicationManager) -> None:
    one = target("one")
    assert manager.register_target(one) and not manager.register_target(one)
    assert manager.register_target(target("one")), "it goes by ids"


def test_what_is_given_of_a_target_changes_and_its_key_stays(
    manager: ReplicationManager, url: str, tmp_path: Path
) -> None:
    made = target()
    manager.register_target(made)
    changed = manager.update_target(made.target_id, name="tokyo", enabled=False)
    assert changed == replace(made, name="tokyo", enabled=False) and changed.api_key == KEY
    moved = manager.update_target(made.target_id, base_url="http://127.0.0.1:1/below")
    again_moved = manager.update_target(made.target_id, base_url="https://elsewhere.example", api_key="another")
    assert moved.api_key == KEY and again_moved.api_key == "another"
    assert manager.update_target(made.target_id) == again_moved
    assert again(url, tmp_path).list_targets() == [again_moved]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"base_url": "https://127.0.0.1:1"}, "its key was given for"),
        ({"base_url": "http://127.0.0.1:2"}, "its key was given for"),
        ({"base_url": "https://127.1", "api_key": "k"}, r"write 127\.0\.0\.1"),
        ({"base_url": "ftp://127.0.0.1:1", "api_key": "k"}, "elsewhere"),
        ({"name": " "}, "printable"),
        ({"api_key": ""}, "elsewhere"),
    ],
    ids=repr,
)
def test_a_change_that_cannot_be_is_refused_and_not_kept(
    manager: ReplicationManager, wrong: dict[str, str], said: str
) -> None:
    made = target()
    manager.register_target(made)
    with pytest.raises(InvalidInputError, match=said) as refused:
        manager.update_target(made.target_id, **wrong)  # type: ignore[arg-type]
    assert KEY not in str(refused.value) and manager.list_targets() == [made]
    with pytest.raises(NotFoundError, match="'unknown'"):
        manager.update_target("unknown", name="x")


def test_a_refused_url_is_told_by_the_targets_name(manager: ReplicationManager) -> None:
    wrong = replace(target("tokyo"), base_url="ftp://x")
    with pytest.raises(InvalidInputError, match="tokyo") as refused:
        manager.register_target(wrong)
    assert wrong.target_id not in f"{refused.value} {refused.value.target}"
    with pytest.raises(InvalidInputError, match=r"write 127\.0\.0\.1"):
        manager.register_target(replace(wrong, base_url="https://127.1:9731"))


@pytest.mark.parametrize("base_url", ["https://127.0.0.1", "https://[::1]:1", "https://a.b.", "https://1.example"])
def test_a_host_that_is_read_in_one_way_is_kept(manager: ReplicationManager, base_url: str) -> None:
    assert manager.register_target(replace(target(), base_url=base_url))


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 201, 7, None])
def test_a_name_is_for_people(name: object) -> None:
    with pytest.raises(InvalidInputError):
        ReplicationTarget(name, "https://host")  # type: ignore[arg-type]


@pytest.mark.parametrize("member", ["base_url", "api_key"])
@pytest.mark.parametrize("end", ["\0", "\ud800"])
def test_what_cannot_be_sent_is_refused_and_not_repeated(member: str, end: str) -> None:
    with pytest.raises(InvalidInputError, match=member) as refused:
        replace(target(), **{member: f"https://{KEY}{end}"})
    assert KEY not in str(refused.value)


def test_a_target_is_made_as_one_would_think() -> None:
    made = ReplicationTarget("Backup Server", "https://host:9621", KEY, False, datetime(2026, 1, 1, tzinfo=UTC), "id")
    assert (made.name, made.api_key, made.enabled, made.target_id) == ("Backup Server", KEY, False, "id")
    with pytest.raises(InvalidInputError):
        replace(made, created_at=datetime(2026, 1, 1))
    assert ReplicationTarget("a", "b").target_id != ReplicationTarget("a", "b").target_id
    assert KEY not in repr(made) and KEY not in str(made) and not hasattr(made, "__dict__")
    assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made


# ---- graphs ----


def test_get_graph_replicator(manager: ReplicationManager) -> None:
    assert manager.get_graph_replicator("never_backed_up").list_targets() == []
    for wrong in ("", "../up", None):
        with pytest.raises(InvalidInputError):
            manager.get_graph_replicator(wrong)  # type: ignore[arg-type]


def test_add_remove_target(manager: ReplicationManager, url: str, tmp_path: Path) -> None:
    support, sales = (manager.get_graph_replicator(name) for name in ("support", "sales"))
    one, two = target("one"), target("two")
    assert support.add_target(one) and not support.add_target(one)  # registers what is not
    assert support.add_target(two) and sales.add_target(two)
    assert again(url, tmp_path).get_graph_replicator("support").list_targets() == [one, two]
    assert sales.list_targets() == [two] and sales.get_target(one.target_id) is None
    assert support.remove_target(two.target_id) and not support.remove_target(two.target_id)
    assert manager.list_targets() == [one, two] and sales.get_target(two.target_id) == two
    assert manager.remove_target(two.target_id)  # everywhere
    assert sales.list_targets() == [] and support.list_targets() == [one]


async def test_replication_status(manager: ReplicationManager) -> None:
    replicator = manager.get_graph_replicator("support")
    there, off = target("there"), target("off", enabled=False)
    replicator.add_target(there)
    replicator.add_target(off)
    status = replicator.get_replication_status()
    assert (status["graph_id"], status["total_targets"], status["enabled_targets"]) == ("support", 2, 1)
    assert [one["status"] for one in status["targets"]] == ["UNKNOWN", "UNKNOWN"]
    await replicator.check_target_health(there.target_id)
    found = replicator.get_replication_status()["targets"][0]
    assert (found["name"], found["status"]) == ("there", "UNREACHABLE") and "nothing listens" in found["reason"]
    assert KEY not in json.dumps(replicator.get_replication_status())


# ---- health ----


async def test_check_target_health(manager: ReplicationManager) -> None:
    async with receiver() as there:
        replicator = manager.get_graph_replicator("support")
        good, dead, stranger = target("good", there.port), target("dead"), target("stranger", there.port)
        replicator.add_target(good)
        replicator.add_target(dead)
        manager.register_target(stranger)
        assert await replicator.check_target_health(good.target_id) is TargetStatus.HEALTHY
        assert there.keys == [KEY]
        for unknown in (stranger.target_id, "unknown"):
            with pytest.raises(NotFoundError):
                await replicator.check_target_health(unknown)
        found = await manager.check_all_targets()
        assert [found[one.target_id].status.value for one in (good, dead, stranger)] == [
            "HEALTHY", "UNREACHABLE", "HEALTHY",
        ]  # fmt: skip
        manager.remove_target(good.target_id)
        with pytest.raises(NotFoundError):
            await manager.check_target_health(good.target_id)


def test_health_can_be_asked_outside_any_loop(manager: ReplicationManager) -> None:
    replicator, dead = manager.get_graph_replicator("support"), target()
    replicator.add_target(dead)
    for _ in range(2):
        assert asyncio.run(replicator.check_target_health(dead.target_id)) is TargetStatus.UNREACHABLE


# ---- what is stored, and how ----


def test_keys_are_sealed_and_bound_to_their_target(manager: ReplicationManager, url: str, tmp_path: Path) -> None:
    one, two = target("one"), target("two")
    manager.register_target(one)
    manager.register_target(two)
    key_file = tmp_path / "state" / "replication.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600 and len(key_file.read_bytes()) == 32
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        rows = connection.execute(sa.text("SELECT target_id, api_key FROM targets")).all()
        assert all(KEY.encode() not in bytes(row[1]) for row in rows)
        sealed = {row[0]: bytes(row[1]) for row in rows}
        swapped = {"key": sealed[one.target_id], "id": two.target_id}
        connection.execute(sa.text("UPDATE targets SET api_key = :key WHERE target_id = :id"), swapped)
    engine.dispose()
    assert manager.get_target(one.target_id) == one
    with pytest.raises(ConfigurationError, match="does not open the API key"):
        manager.get_target(two.target_id)
    for file in (tmp_path / "state").iterdir():
        assert KEY.encode() not in file.read_bytes()
    os.rename(key_file, tmp_path / "away")
    with pytest.raises(ConfigurationError, match=r"replication\.key"):
        manager.get_target(one.target_id)
    assert manager.remove_target(one.target_id)


def test_the_tables_are_what_the_steps_make_of_them(manager: ReplicationManager, url: str) -> None:
    manager.register_target(target())
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert context.get_current_revision() == HEAD
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_newer_database_is_refused_by_name(manager: ReplicationManager, url: str, tmp_path: Path) -> None:
    manager.register_target(target())
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StateError, match="newer version"):
        again(url, tmp_path).list_targets()


def test_many_may_begin_at_once(url: str, tmp_path: Path) -> None:
    outcomes: list[object] = []

    def begin(number: int) -> None:
        try:
            outcomes.append(again(url, tmp_path).register_target(target(f"t{number}")))
        except Exception as error:  # seen below
            outcomes.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * 8
    assert len(again(url, tmp_path).list_targets()) == 8


def test_what_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    keys = str(tmp_path / "key")
    for url in ("postgresql+psycopg://me:hidden@127.0.0.1:1/none", f"sqlite:///{tmp_path}"):
        with pytest.raises(StateError, match="replication database") as refused:
            State(url, keys).targets()
        assert "hidden" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        State("no url", keys)
    with pytest.raises(ConfigurationError, match="names no file"):
        State("sqlite://", keys)
    with pytest.raises(ConfigurationError, match="driver"):
        State("postgresql+pg8000://host/name", keys).targets()
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"this is no database" * 100)
    with pytest.raises(StateError, match="not a database"):
        State(f"sqlite:///{broken}", keys).targets()


_ANOTHER_PROCESS_WRITES = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
"""


def test_whoever_reads_lets_no_other_process_into_a_transaction(tmp_path: Path) -> None:
    """The locks SQLite has on a file end when the process closes any descriptor of it."""
    file = tmp_path / "state" / "replication.db"
    writer, reader = (State(f"sqlite:///{file}", str(tmp_path / "key")) for _ in range(2))
    with reader.reading(), writer.reading():
        pass
    with writer.connected() as connection:
        connection.execute(sa.text("DELETE FROM targets"))
        with reader.reading() as looking:
            assert looking.execute(sa.text("SELECT count(*) FROM targets")).scalar() == 0
        command = [sys.executable, "-c", _ANOTHER_PROCESS_WRITES, str(file)]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "database is locked" in refused.stderr


# ---- what was sent ----


def test_attempts_are_kept_in_a_bounded_number(manager: ReplicationManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipments, "MOST_LOGS", 3)
    replicator, one, two = manager.get_graph_replicator("support"), target("one"), target("two")
    replicator.add_target(one)
    replicator.add_target(two)
    assert replicator.logs() == []
    table = shipments.Shipments(manager._state)
    table.begin("support", two.target_id, None, "PENDING", 1)
    for second in range(5):
        number = table.begin("support", one.target_id, f"s{second}", "RUNNING", second * 1_000_000)
    table.note(number, "s4", "FAILED", "the line is cut", 7, 1.5)
    newest = ReplicationLog(
        one.target_id, ReplicationStatus.FAILED, datetime(1970, 1, 1, 0, 0, 4, tzinfo=UTC), "the line is cut",
        graph_id="support", snapshot_id="s4", bytes=7, seconds=1.5,
    )  # fmt: skip
    assert replicator.logs(one.target_id)[0] == newest
    assert [log.snapshot_id for log in replicator.logs(one.target_id)] == ["s4", "s3", "s2"]
    assert replicator.logs()[0] == newest and len(replicator.logs(two.target_id)) == 1
    assert manager.get_graph_replicator("sales").logs() == []
    left, now = (table.begin("support", one.target_id, None, "RUNNING", 9_000_000) for _ in range(2))
    table.overtake(now, "support", one.target_id, "FAILED", "overtaken")
    assert [(log.status.value, log.error_message) for log in replicator.logs(one.target_id)[:2]] == [
        ("RUNNING", None), ("FAILED", "overtaken"),
    ]  # fmt: skip
    assert replicator.logs(two.target_id)[0].status is ReplicationStatus.PENDING and left < now
    manager.remove_target(one.target_id)
    assert [log.target_id for log in replicator.logs()] == [two.target_id]
    with pytest.raises(StateError, match=r"(?i)foreign key"):
        table.begin("support", one.target_id, None, "PENDING", 1)


def test_an_attempt_whose_process_died_has_failed(manager: ReplicationManager, monkeypatch: pytest.MonkeyPatch) -> None:
    replicator, there = manager.get_graph_replicator("support"), target()
    replicator.add_target(there)
    table = shipments.Shipments(manager._state)
    program = "import sys; from lightrag_bkp import processes; print(processes.name(), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        with monkeypatch.context() as patched:
            patched.setattr(processes, "name", lambda: name)
            table.begin("support", there.target_id, None, "RUNNING", 1)
        table.begin("support", there.target_id, None, "PENDING", 2)
        assert [log.status.value for log in replicator.logs()] == ["PENDING", "RUNNING"]
        other.kill()
    assert [(log.status.value, log.error_message) for log in replicator.logs()] == [
        ("PENDING", None), ("FAILED", "it was interrupted"),
    ]  # fmt: skip


def test_a_process_is_known_as_long_as_it_is_and_by_its_own_host() -> None:
    name = processes.name()
    place, pid, began = name.rsplit(" ", 2)
    host, boot, namespace = place.split("/")
    assert processes.is_gone(name) is False
    assert processes.is_gone(f"{place} {pid} 1") is True, "another one got its number"
    assert processes.is_gone(f"{host}/another-boot/{namespace} {pid} {began}") is True
    for unknown in (f"elsewhere/{boot}/{namespace} {pid} {began}", f"{host}/{boot}/pid:[1] {pid} {began}", ""):
        assert processes.is_gone(unknown) is None


def test_what_a_target_acknowledged_stays_known(manager: ReplicationManager) -> None:
    there = target()
    manager.register_target(there)
    table, place = shipments.Shipments(manager._state), ("support", there.target_id)
    assert table.replicas("support") == {}
    table.refused(*place, "the key is not accepted")
    assert table.replicas("support")[there.target_id] == shipments.StoredReplica(
        *place, refusal="the key is not accepted"
    )
    table.acknowledged(*place, 7, "{}", 5)
    assert table.replicas("support")[there.target_id] == shipments.StoredReplica(*place, 7, 5, "{}", None)
    table.refused(*place, "another one")
    assert table.replicas("support")[there.target_id] == shipments.StoredReplica(*place, 7, 5, "{}", "another one")
    assert table.replicas("sales") == {}


# ---- settings ----


def test_the_configuration_says_where_targets_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=config.STORAGE_VARIABLE):
        ReplicationManager()
    monkeypatch.setenv(config.STORAGE_VARIABLE, str(tmp_path / "storage"))
    manager = ReplicationManager()
    assert (
        manager.list_targets() == [] and manager.get_target("unknown") is None and not manager.remove_target("unknown")
    )
    assert not (tmp_path / "storage").exists()  # who only asks makes nothing
    manager.register_target(target())
    state = tmp_path / "storage" / "state"
    assert sorted(one.name for one in state.iterdir()) == ["replication.db", "replication.db.lock", "replication.key"]
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o600 for one in state.iterdir())
    (tmp_path / config.CONFIG_FILE).write_text('[replication]\ndatabase_url = "sqlite:///elsewhere.db"\n')
    assert ReplicationManager().list_targets() == []
    monkeypatch.setenv("LIGHTRAG_REPLICATION_DATABASE_URL", f"sqlite:///{state / 'replication.db'}")
    assert len(ReplicationManager().list_targets()) == 1
    assert "sqlite" not in repr(config.load())
