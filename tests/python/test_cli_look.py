"""`list`, `show` and `stats`."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.program import Program

from lightrag_bkp import capture
from lightrag_bkp.cli.documents import written
from lightrag_bkp.cli.look import kept_until
from lightrag_bkp.cli.text import when
from lightrag_bkp.models import Listing
from lightrag_bkp.sync import BackupManager, GraphBackup


def damage(storage: Path, graph_id: str) -> None:
    """Makes a graph's repository unreadable."""
    for entry in (storage / "graphs" / graph_id / "log").iterdir():
        entry.chmod(0o600)
        entry.write_bytes(b"not an entry")


def test_damaged_metadata_spoil_one_line_and_no_more(program: Program, folder: Path) -> None:
    graph = BackupManager(program.storage).register_graph("g", folder)
    good, bad = graph.create_snapshot(metadata={"k": "u"}), graph.create_snapshot(metadata={"k": "v"})
    entry = Path(bad.checkpoint_path)
    said = bad.metadata_json.encode()
    content = entry.read_bytes()[:-32].replace(said, said.replace(b"{", b"[").replace(b"}", b"]").replace(b":", b","))
    assert said not in content
    entry.chmod(0o640)
    entry.write_bytes(content + hashlib.sha256(content).digest())
    for words in (("list", "g"), ("list",)):
        listed = program(*words, code=1)
        assert good.backup_id in listed.out and "k=u" in listed.out and bad.backup_id in listed.out
        assert f"{bad.backup_id}: its metadata are no JSON object" in listed.err
    assert [one["metadata"] for one in program.json("list", "g", code=1)["snapshots"]] == [{"k": "u"}, None]
    assert "its metadata are no JSON object" in program("show", "g", bad.backup_id).out


def test_metadata_nested_too_deep_spoil_one_line_and_no_more(
    program: Program, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As versions before the bound stored them."""
    graph = BackupManager(program.storage).register_graph("g", folder)
    with monkeypatch.context() as before:
        before.setattr(capture, "is_within", lambda *_: True)
        deep = graph.create_snapshot(metadata=json.loads('{"a":' + "[" * 400 + "]" * 400 + "}"))
    good = graph.create_snapshot(metadata={"k": "u"})
    listed = program("list", "g", code=1)
    assert deep.backup_id in listed.out and good.backup_id in listed.out
    assert f"{deep.backup_id}: its metadata are no JSON object of at most 32 levels" in listed.err
    assert [one["metadata"] for one in program.json("list", code=1)["snapshots"]] == [None, {"k": "u"}]
    assert program.json("show", "g", deep.backup_id)["snapshot"]["metadata"] is None


def test_list_of_one_graph_and_of_all(program: Program, kept: GraphBackup, folder: Path) -> None:
    BackupManager(program.storage).register_graph("other", folder).create_snapshot()
    ids = [one.backup_id for one in kept.list_snapshots()]
    assert [one["backup_id"] for one in program.json("list", "kept")["snapshots"]] == ids
    assert [one["graph_id"] for one in program.json("list")["snapshots"]] == ["kept"] * 3 + ["other"]
    lines = program("list").out.splitlines()
    assert lines[0].split()[:2] == ["GRAPH", "ID"]
    assert [line.split()[1] for line in lines[1:4]] == ids
    assert lines[1].endswith("text=first")


def test_list_of_nothing(program: Program) -> None:
    program.storage.mkdir()
    assert program("list").out == "no snapshots\n"
    assert program.json("list") == {"snapshots": []}


def test_list_says_why_a_snapshot_stays(program: Program, kept: GraphBackup) -> None:
    (program.directory / "lightrag-bkp.toml").write_text("[retention]\ndays = false\nkeep_last = 2\nminimum = 1\n")
    reasons = [one["retention_reason"] for one in program.json("list", "kept")["snapshots"]]
    assert reasons == ["expired", "last", "minimum"]


def test_one_unreadable_graph_does_not_hide_the_others(program: Program, kept: GraphBackup, folder: Path) -> None:
    BackupManager(program.storage).register_graph("broken", folder).create_snapshot()
    damage(program.storage, "broken")
    ran = program("list", code=1)
    assert ran.err.startswith("lightrag-bkp: graph broken: ")
    assert len(ran.out.splitlines()) == 4
    document = program.json("list", code=1)
    assert len(document["snapshots"]) == 3
    assert [one["graph_id"] for one in document["errors"]] == ["broken"]
    assert program.json("stats", code=1)["graphs"]["kept"]["snapshots"] == 3
    assert "cannot be read" in program("stats", code=1).out


def test_show_tells_everything(program: Program, kept: GraphBackup) -> None:
    one = kept.get_snapshot("latest")
    assert one is not None
    kept.hold(one.backup_id, "auditor")
    told = program("show", "kept", "latest").out
    for expected in (one.backup_id, one.data_hash, one.checkpoint_path, "auditor", "deep/letter", "third", "0644"):
        assert expected in told
    shown = program.json("show", "kept", "latest")["snapshot"]
    assert shown["holders"] == ["auditor"]
    assert shown["items"] == [
        {
            "name": item.name,
            "type": item.type,
            "mode": item.mode,
            "mtime_ns": item.mtime_ns,
            "size_bytes": item.size_bytes,
            "sha256": item.sha256,
            "link_target": "",
        }
        for item in one.items
    ]


@pytest.mark.parametrize(
    ("taken", "days", "reason", "by_days", "said"),
    [
        (timedelta(0), 30, "days", True, "{until} UTC"),
        (timedelta(0), 30, "minimum", True, "{until} UTC"),
        (timedelta(0), 0, "forever", True, "for ever"),
        (timedelta(0), 0, "expired", False, "the next prune"),
        (timedelta(0), 30, "last", False, "no date: the policy keeps it (last)"),
        (timedelta(days=-40), 30, "minimum", True, "no date: the policy keeps it (minimum)"),
        (timedelta(days=-40 * 365), 30, "days", True, "no date: the policy keeps it (days)"),
        (timedelta(days=40 * 365), 30, "implausible", True, "no date: the policy keeps it (implausible)"),
    ],
)
def test_show_and_the_policy_agree_on_how_long_a_snapshot_stays(
    kept: GraphBackup, taken: timedelta, days: int, reason: str, by_days: bool, said: str
) -> None:
    one = replace(
        kept.list_snapshots()[0], created_at=datetime.now(UTC) + taken, retention_days=days, retention_reason=reason
    )
    until = one.retention_until
    assert kept_until(one, by_days) == said.format(until=until and when(until))


def test_show_and_list_name_the_same_rule(program: Program, kept: GraphBackup) -> None:
    for listed in program.json("list", "kept")["snapshots"]:
        shown = program.json("show", "kept", listed["backup_id"])["snapshot"]
        assert shown["retention_reason"] == listed["retention_reason"] != ""


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"a": {}, "b": [], "c": None},
        {"a": [1, 2.5, True, {"b": ["x", [None, '"\n']]}], "ä": {"\ud800": -1}},
        "",
        0,
    ],
)
def test_documents_are_written_as_json_writes_them(document: Any) -> None:
    assert "".join(written(document)) == json.dumps(document, indent=2)
    assert "".join(written({"all": Listing([document] * 2, lambda row: row)})) == json.dumps(
        {"all": [document] * 2}, indent=2
    )


def test_an_id_may_be_shortened_to_a_unique_beginning(program: Program, kept: GraphBackup) -> None:
    ids = [one.backup_id for one in kept.list_snapshots()]
    for one in ids:
        unique = next(one[:n] for n in range(1, len(one) + 1) if sum(other.startswith(one[:n]) for other in ids) == 1)
        assert program.json("show", "kept", unique)["snapshot"]["backup_id"] == one
    said = program.sentence("show", "kept", ids[0][:8], code=2)
    assert said.startswith("3 snapshots of graph 'kept' begin with ")
    assert all(one in said for one in ids)


def test_stats_add_up(program: Program, kept: GraphBackup, folder: Path) -> None:
    BackupManager(program.storage).register_graph("other", folder).create_snapshot()
    figures = program.json("stats")
    assert (figures["total_graphs"], figures["total_snapshots"]) == (2, 4)
    assert figures["stored_bytes"] == sum(one["stored_bytes"] for one in figures["graphs"].values()) > 0
    lines = program("stats").out.splitlines()
    assert [line.split()[:2] for line in lines] == [["GRAPH", "SNAPSHOTS"], ["kept", "3"], ["other", "1"], ["all", "4"]]


def test_one_cause_is_one_line_for_all_graphs(program: Program, folder: Path) -> None:
    manager = BackupManager(program.storage)
    for graph_id in ("a", "b", "c"):
        manager.register_graph(graph_id, folder).create_snapshot()
    key = program.directory / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    for command in ("list", "stats", "prune"):
        ran = program("--key-file", key, command, code=1)
        (line,) = ran.err.splitlines()
        assert line.startswith("lightrag-bkp: graphs a, b, c: graph a is here and not sealed"), command
        assert len(program.json("--key-file", key, command, code=1)["errors"]) == 3
