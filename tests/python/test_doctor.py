"""`lightrag-bkp doctor`: a healthy installation, one in which nothing works, and settings that cannot be used."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from support.forge import restamped
from support.program import Program
from support.receiver import CAPABILITIES
from support.receiving import new_key, receiving

from lightrag_bkp import BackupManager, doctor
from lightrag_bkp import sync as twins
from lightrag_bkp.config import Settings
from lightrag_bkp.doctor import elsewhere, here
from lightrag_bkp.doctor.shown import misspelt
from lightrag_bkp.replication import ReplicationManager, ReplicationTarget

_VARIABLE = r"\"(LIGHTRAG_(?:BACKUP|REPLICATION|RECOVERY)_[A-Z_]+)\""
SECRETS = ("correct horse", "wrong horse", "a-key-nobody-may-read", "hidden")


def findings(document: dict[str, Any], state: str) -> dict[str, list[str]]:
    """What was found of that state, by area."""
    found: dict[str, list[str]] = {}
    for one in document["findings"]:
        if one["state"] == state:
            found.setdefault(one["area"], []).append(one["message"])
    return found


def test_a_healthy_installation(program: Program, kept: twins.GraphBackup, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    there = Program(tmp_path / "there")
    (tmp_path / "lightrag-bkp.toml").write_text("retention_days = 7\n[recovery]\nmax_drill_age_days = 9")
    program.environ = {"LIGHTRAG_BACKUP_GRAPHS": f"kept={folder}", "LIGHTRAG_RECOVERY_SCRATCH_DIR": "scratch"}
    program.environ["LIGHTRAG_REPLICATION_API_KEY"] = new_key(there)
    with receiving(there, tls=False) as listening:
        program("target", "add", "tokyo", f"http://127.0.0.1:{listening.port}")
        document = program.json("doctor")
    settings = {one["name"]: (one["value"], one["origin"]) for one in document["settings"]}
    file = "file lightrag-bkp.toml"
    assert settings["storage_path"] == (str(program.storage), "--storage")
    assert settings["graphs.kept"] == (str(folder), "environment LIGHTRAG_BACKUP_GRAPHS")
    assert settings["retention_days"] == ("7", file)
    assert settings["recovery.max_drill_age_days"] == ("9", file)
    assert settings["recovery.max_backup_age_hours"] == ("26", "default")
    assert settings["recovery.scratch_dir"] == (f"{tmp_path}/scratch", "environment LIGHTRAG_RECOVERY_SCRATCH_DIR")
    assert settings["secret"] == ("none", "default")
    assert document["healthy"] and not findings(document, "failed")
    assert set(findings(document, "warning")) <= {"storage"}  # source and storage are on one device here
    well = findings(document, "ok")
    assert well["snapshots of kept"][0].startswith("3 can be listed, the newest of ")
    assert well["target tokyo"] == ["HEALTHY: it is ready to receive"]
    assert well["clock"] == ["it agrees with that of target tokyo"]
    assert well["LightRAG"] == [
        "1.5.7; in its process a cut is quiesced when it is idle, gated when it works; after a restore it goes on"
    ]
    assert {"extra receive", "extra replication"} <= set(well) and "extra test" not in well


def test_an_installation_in_which_nothing_works(program: Program, folder: Path, tmp_path: Path) -> None:
    for name, words in (("right", "correct horse"), ("wrong", "wrong horse")):
        (tmp_path / name).write_text(words)
        (tmp_path / name).chmod(0o600)
    program("snapshot", "kept", folder, "--passphrase-file", "right")
    program.environ["LIGHTRAG_REPLICATION_API_KEY"] = "a-key-nobody-may-read"
    program("target", "add", "dead", "http://127.0.0.1:1")
    (program.storage / "state" / "replication.key").chmod(0o644)
    (tmp_path / "lightrag-bkp.toml").write_text(
        'passphrase_file = "wrong"\n[graphs.gone]\nsource_dir = "gone"\nserver_url = "http://127.0.0.1:1"'
    )
    ran = program("doctor", "--json", code=1)
    failed = findings(ran.document, "failed")
    key_file = program.storage / "state" / "replication.key"
    assert "the passphrase is wrong" in failed["keys"][0]
    assert (
        failed["keys"][1]
        == f"the key file {str(key_file)!r} (of the replication targets) may be read by others: chmod 600 it"
    )
    assert "chmod 600" in failed["targets"][0]
    assert "is not a directory" in failed["graph gone"][0]
    assert "cannot be reached" in failed["server of gone"][0]
    key_file.chmod(0o600)
    page = program("doctor", "--passphrase-file", "right", code=1)
    assert [line.split()[:3] for line in page.out.splitlines() if line.startswith("FAILED")] == [
        ["FAILED", "graph", "gone"], ["FAILED", "server", "of"], ["FAILED", "target", "dead"],
    ]  # fmt: skip
    assert "UNREACHABLE: " in page.out and "and opens what is stored" in page.out
    assert not any(secret in ran.out + page.out for secret in SECRETS)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "no storage path: set LIGHTRAG_BACKUP_STORAGE_PATH"),
        ({"LIGHTRAG_BACKUP_RETENTION_DAYS": "soon"}, "LIGHTRAG_BACKUP_RETENTION_DAYS cannot be used"),
        ({"LIGHTRAG_BACKUP_PASSPHRASE": "hidden", "LIGHTRAG_BACKUP_KEY_FILE": "key"}, "are both set"),
    ],
)
def test_settings_that_cannot_be_used(program: Program, environ: dict[str, str], said: str) -> None:
    program.environ = environ
    ran = program.bare("doctor", code=2)
    assert said in ran.out and "hidden" not in ran.out


def test_every_variable_that_is_read_is_known_to_be_a_setting() -> None:
    package = Path(doctor.__file__).parents[1]
    read = {name for path in package.rglob("*.py") for name in re.findall(_VARIABLE, path.read_text("utf-8"))}
    assert len(read) > 10 and list(misspelt(dict.fromkeys(read, ""))) == []


async def test_what_may_hold_a_password_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTRAG_BACKUP_STORAGE_PATH", str(tmp_path / "storage"))
    monkeypatch.setenv("LIGHTRAG_REPLICATION_DATABASE_URL", "postgresql+psycopg://user:hidden@127.0.0.1:1/state")
    monkeypatch.setenv("LIGHTRAG_BACKUP_PASSPHRASE", "correct horse")
    monkeypatch.setenv("LIGHTRAG_BACKUP_RETENTION_DAY", "7")
    document = (await doctor.diagnose()).document()
    assert findings(document, "warning")["settings"] == [
        "LIGHTRAG_BACKUP_RETENTION_DAY is set, and no setting has that name: is LIGHTRAG_BACKUP_RETENTION_DAYS meant?"
    ]
    settings = {one["name"]: one["value"] for one in document["settings"]}
    assert (settings["replication.database_url"], settings["secret"]) == ("set, not shown", "a passphrase")
    assert findings(document, "failed").keys() == {"targets"}
    assert "nothing was backed up yet" in findings(document, "warning")["storage"][0]
    assert not any(secret in json.dumps(document) for secret in SECRETS)
    assert not (tmp_path / "storage").exists()


@asynccontextmanager
async def late(seconds: float) -> AsyncIterator[str]:
    """A receiver whose clock is behind by so much; yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body, date = json.dumps(CAPABILITIES), formatdate(time.time() - seconds, usegmt=True)
        head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body.encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_clocks_that_differ(tmp_path: Path) -> None:
    async with late(3600) as url, BackupManager(tmp_path / "storage") as manager:
        with ReplicationManager(storage_path=manager.storage_path) as replication:
            replication.register_target(ReplicationTarget("late", url, "a-key"))
        found = {one.area: one for one in await elsewhere.look(manager)}
    assert found["target late"].state == "ok"
    assert found["clock"].state == "failed"
    assert "s ahead of that of target late: set the one that is wrong" in found["clock"].message


def test_a_snapshot_of_a_time_yet_to_come(kept: twins.GraphBackup, program: Program) -> None:
    restamped(program.storage / "graphs" / "kept", datetime(2131, 1, 1, tzinfo=UTC))
    found = here.look(BackupManager(program.storage), Settings(), None)
    (said,) = (one for one in found if one.area == "clock")
    assert said.state == "warning" and "is of a time yet to come" in said.message
