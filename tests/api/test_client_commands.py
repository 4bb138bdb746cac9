"""Each command through a server says what it says here: the same document, the same lines, the same exit code."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.program import Program, Ran
from support.receiving import new_key, receiving
from support.web import KEY, application, serving

from lightrag_bkp.backup import BackupManager
from lightrag_bkp.cli.app import command as program_command
from lightrag_bkp.cli.session import Session
from lightrag_bkp.recovery import DisasterRecoveryManager
from lightrag_bkp.replication import ReplicationManager

SNAPSHOT = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4,8}")
TIMED = re.compile(r"\d+(\.\d+)? (ms|s)\b|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d+(\.\d+)? GB are free")
VOLATILE = {"seconds", "restore_s", "judge_s", "rto_s", "rpo_s", "age_s", "latest_age_s", "timestamp", "took_ms"}
VOLATILE |= {
    "checked_at",
    "last_check",
    "started_at",
    "free_bytes",
    "days_until_full",
    "validate_s",
    "validation_timestamp",
}
VOLATILE |= {"created_at", "retention_until", "checkpoint_path", "data_loss_s", "began_at", "at", "undoes_at"}


@dataclass(frozen=True)
class Both:
    """The program on one storage, here and through a server."""

    here: Program
    there: Program
    key_file: Path

    def same(self, *words: object, code: int = 0) -> tuple[Ran, Ran]:
        """Runs a command there, then here, in lines; both must say the same."""
        there, here = self.there.bare(*words, code=code), self.here.bare(*words, code=code)
        assert _told(there.out) == _told(here.out), words
        assert _told(there.err) == _told(here.err), words
        return there, here

    def same_document(self, *words: object, code: int = 0) -> dict[str, Any]:
        """As `same`, in JSON; returns the document of there."""
        there = self.there.bare("--json", *words, code=code).document
        here = self.here.bare("--json", *words, code=code).document
        assert _lasting(there) == _lasting(here), words
        return there


def _told(text: str) -> str:
    return TIMED.sub("<time>", SNAPSHOT.sub("<id>", text))


def _lasting(document: Any) -> Any:
    """Without what differs between two runs one after the other."""
    if isinstance(document, dict):
        return {name: _lasting(value) for name, value in document.items() if name not in VOLATILE}
    if isinstance(document, list):
        return [_lasting(value) for value in document]
    return _told(document) if isinstance(document, str) else document


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, built_graph: Path) -> Path:
    """Where everything lies: a graph of LightRAG, a plain directory, and the settings of both."""
    place = tmp_path_factory.mktemp("both")
    shutil.copytree(built_graph, place / "rag_storage")
    (place / "folder").mkdir()
    (place / "folder" / "notes").write_text("first")
    (place / "lightrag-bkp.toml").write_text(
        'storage_path = "storage"\n'
        '[graphs.support]\nsource_dir = "rag_storage"\n'
        '[graphs.plain]\nsource_dir = "folder"\n'
    )
    return place


@pytest.fixture(scope="module")
def url(place: Path) -> Iterator[str]:
    """A server with all three subsystems, over the same storage."""
    storage = place / "storage"
    with BackupManager(storage) as backup, ReplicationManager(storage_path=storage) as replication:
        backup.register_graph("support", place / "rag_storage", workspace="")
        backup.register_graph("plain", place / "folder", workspace="")
        recovery = DisasterRecoveryManager(backup, replication)
        with serving(application(backup, replication, recovery)) as url:
            yield url


@pytest.fixture(scope="module")
def both(place: Path, url: str) -> Both:
    (place / "key").write_text(KEY)
    there = Program(place, {"LIGHTRAG_BACKUP_SERVER": url, "LIGHTRAG_API_KEY": KEY})
    return Both(Program(place), there, place / "key")


@pytest.fixture(scope="module")
def kept(both: Both) -> Both:
    """With two snapshots of the graph and one of the directory, and a recovery point of both."""
    both.there.bare("snapshot", "support", "--tag", "why=first")
    both.there.bare("snapshot", "plain")
    both.there.bare("recovery", "create", "-m", "before")
    return both


READING = [
    "list", "list support", "show support latest", "show plain latest", "stats", "verify support",
    "verify plain latest --level catalogue", "verify support latest --level drill", "prune --dry-run",
    "prune support --dry-run --now", "restore support latest --dry-run", "recovery list", "recovery show latest",
    "recovery validate latest", "recovery drill latest", "recovery validate latest --level catalogue",
    "recovery failover latest --dry-run", "status", "target list", "target health",
]  # fmt: skip
TO_A_DIRECTORY = {"restore support latest --dry-run": ("rag_storage",)}
"""What has to be said here besides, where no server knows it."""


@pytest.mark.parametrize("command", READING)
def test_what_only_looks(kept: Both, command: str) -> None:
    words, more = command.split(), TO_A_DIRECTORY.get(command, ())
    answered = kept.there.bare("--json", *words).document
    assert _lasting(answered) == _lasting(kept.here.bare("--json", *words, *more).document)


@pytest.mark.parametrize("command", ["show support latest", "prune --dry-run", "status", "recovery show latest"])
def test_what_is_shown(kept: Both, command: str) -> None:
    kept.same(*command.split())


def test_a_snapshot_is_taken_and_looks_like_one_taken_here(kept: Both) -> None:
    for _ in range(2):  # the second one adds as much as the third
        kept.there.bare("snapshot", "plain", "--tag", "a=b")
    taken = kept.same_document("snapshot", "plain", "--tag", "a=b", "--validate", "off")["snapshot"]
    assert (taken["metadata"], taken["items"][0]["name"]) == ({"a": "b"}, "notes")
    listed = kept.here.bare("list", "plain", "--json").document["snapshots"]
    assert taken["backup_id"] in {one["backup_id"] for one in listed}


def test_holding_releasing_deleting(kept: Both) -> None:
    first, second = (kept.there.bare("snapshot", "plain", "--json").document["snapshot"]["backup_id"] for _ in "12")
    assert kept.there.bare("hold", "plain", first).out == f"snapshot {first} of plain is held by user\n"
    assert kept.here.bare("hold", "plain", first).out == f"snapshot {first} of plain is held by user already\n"
    kept.same("delete", "plain", first, code=1)
    assert "is held by user: release it first" in kept.there.bare("delete", "plain", first, code=1).err
    assert kept.there.bare("release", "plain", first).out == f"snapshot {first} of plain is no longer held by user\n"
    there = kept.there.bare("--json", "delete", "plain", first).document
    here = kept.here.bare("--json", "delete", "plain", second).document
    assert _lasting(there) == _lasting(here) and there["backup_id"] == first


def test_a_graph_comes_back_where_it_lives(kept: Both, place: Path) -> None:
    cache = place / "rag_storage" / "kv_store_llm_response_cache.json"
    before = cache.read_bytes()
    cache.write_text("{}")
    there = kept.there.bare("restore", "support", "latest", "--yes")
    assert cache.read_bytes() == before
    cache.write_text("{}")
    here = kept.here.bare("restore", "support", "latest", "rag_storage", "--yes")
    assert _told(there.out) == _told(here.out) and "1 replaced" in there.out
    cache.write_text("{}")
    answered = kept.there.bare("restore", "support", "latest", "--yes", "--json").document
    assert answered["target_dir"] == str(place / "rag_storage") and answered["safety_snapshot"]


def test_a_restore_asks_first(kept: Both, url: str) -> None:
    said = kept.there.bare("restore", "support", "latest", code=2).err
    assert f"graph support at {url}" in said and "--yes restores without asking" in said


def test_a_failover_and_its_undo(kept: Both) -> None:
    for words in (("failover", "latest", "--yes"), ("failover", "latest", "--undo", "--yes")):
        assert kept.there.bare("recovery", *words, "--json").document["ok"]
    kept.same_document("recovery", "show", "latest")


def test_recovery_points_are_deleted(kept: Both) -> None:
    made = kept.there.bare("recovery", "create", "plain", "--json").document["recovery_point"]
    assert made["graphs"] == ["plain"]
    told = kept.there.bare("recovery", "delete", made["checkpoint_id"][:-1]).out
    assert told == f"recovery point {made['checkpoint_id']} is deleted\n"
    kept.same("recovery", "delete", made["checkpoint_id"], code=1)


def test_copies_are_sent_by_the_server(kept: Both, tmp_path: Path) -> None:
    receiver = Program(tmp_path)
    kept.there.environ["LIGHTRAG_REPLICATION_API_KEY"] = new_key(receiver)
    with receiving(receiver, tls=False) as listening:
        url = f"http://127.0.0.1:{listening.port}"
        added = kept.there.bare("target", "add", "elsewhere", url, "--json").document
        kept.same_document("target", "list")
        kept.same_document("target", "health")
        kept.same("target", "add", "elsewhere", url, code=2)
        sent = kept.there.bare("replicate", "plain", "--to", "elsewhere", "--json").document["replications"]
        assert [(one["name"], one["status"], one["is_there"]) for one in sent] == [("elsewhere", "COMPLETED", True)]
        kept.same("replicate", "plain")
        kept.same("replicate", "plain", "--to", "nowhere", code=1)
    kept.same("replicate", "plain", "--patience", "0", code=1)
    assert kept.there.bare("target", "remove", added["target_id"][:8]).out == "target elsewhere is removed\n"


MISTAKES = [
    (1, "show plain 1999"), (1, "show plain ../1999"), (2, "show plain 2"), (1, "delete plain 1999"),
    (2, "verify plain --level drill"),
    (1, "recovery show 1999"), (1, "recovery show ../1999"), (1, "recovery delete 1999"), (1, "target remove nobody"),
    (1, "target health nobody"), (2, "target add here one.example"), (2, "snapshot plain --tag x --tag =1"),
    (2, "replicate support"), (2, "restore plain latest --item nothing --workspace w --yes"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "command"), MISTAKES, ids=lambda one: str(one))
def test_the_same_mistakes(kept: Both, code: int, command: str) -> None:
    words = command.split()
    more = ("folder",) if words[0] == "restore" else ()
    there, here = kept.there.bare("--json", *words, code=code), kept.here.bare("--json", *words, *more, code=code)
    assert _lasting(there.document) == _lasting(here.document)


def test_an_unknown_graph_is_one_of_the_server(kept: Both, url: str) -> None:
    for command in ("show other latest", "snapshot other"):
        said = kept.there.bare("--json", *command.split(), code=1).document["error"]
        assert said["message"] == f"no graph 'other' at {url}: graphs there are plain, support"
        assert said["code"] == "NOT_FOUND"
    kept.here.bare("show", "other", "latest", code=1)
    kept.here.bare("snapshot", "other", code=2)  # here it would be a new one, and its directory is not named


REFUSED = [
    "snapshot plain folder", "snapshot plain --workspace w", "snapshot plain --input-dir d",
    "snapshot plain --server-url http://127.0.0.1:1", "restore plain latest folder --yes",
    "restore plain latest --input-dir d --yes", "prune --keep-last 3", "passphrase list", "passphrase export",
    "passphrase remove 1", "receive", "key list", "replica list", "discover .", "validate .",
    "list --storage elsewhere", "list --key-file k", "target add t https://one.example --ca-file f",
]  # fmt: skip


@pytest.mark.parametrize("command", REFUSED)
def test_what_does_not_go_through_a_server_is_one_sentence(
    kept: Both, url: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(program="lightrag-bkp", server=url, server_key_file=str(kept.key_file))

    def run() -> Any:
        return program_command.main(args=command.split(), standalone_mode=False, obj=session)

    assert session.attempt(run) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "server" in line.lower() and len(line) < 300


def test_the_environment_is_overruled_by_an_empty_server(kept: Both) -> None:
    assert kept.there.bare("--server", "", "list", "--json").document == kept.here.bare("list", "--json").document
    words = ("list", "--server", "", "--server-key-file", "k")
    assert "is of a server, and none is named" in kept.there.bare(*words, code=2).err
