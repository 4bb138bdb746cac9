"""`delete`, `hold`, `release` and `prune`."""

from pathlib import Path

import pytest
from support.program import Program

from lightrag_bkp.sync import BackupManager, GraphBackup


def ids(graph: GraphBackup) -> list[str]:
    return [one.backup_id for one in graph.list_snapshots()]


def test_delete_says_when_the_space_returns(program: Program, kept: GraphBackup) -> None:
    first, second, third = ids(kept)
    assert "returns at the next prune" in program("delete", "kept", first[:-1]).out
    assert program.json("delete", "kept", second) == {"graph_id": "kept", "backup_id": second, "deleted": True}
    assert ids(kept) == [third]
    assert "has no snapshot" in program.sentence("delete", "kept", first, code=1)


def test_what_is_held_stays(program: Program, kept: GraphBackup) -> None:
    first = ids(kept)[0]
    assert program("hold", "kept", first).out == f"snapshot {first} of kept is held by user\n"
    assert program("hold", "kept", first).out == f"snapshot {first} of kept is held by user already\n"
    assert program.json("hold", "kept", first, "--holder", "auditor")["changed"] is True
    for said in (program("list", "kept").out, program.sentence("delete", "kept", first, code=1)):
        assert "held by user" in said
        assert "auditor" in said
    program("prune", "kept", "--no-keep-days")
    assert first in ids(kept)


def test_a_hold_ends_for_its_holder_only(program: Program, kept: GraphBackup) -> None:
    first = ids(kept)[0]
    for holder in ("user", "auditor"):
        kept.hold(first, holder)
    assert program("release", "kept", first).out.endswith("is no longer held by user; still by auditor\n")
    assert program("release", "kept", first).out.endswith("is not held by user; still by auditor\n")
    outcome = program.json("release", "kept", first, "--holder", "auditor")
    assert (outcome["held"], outcome["changed"]) == (False, True)
    program("delete", "kept", first)


@pytest.mark.parametrize("command", ["hold", "release"])
def test_no_holder_is_a_recovery_point(program: Program, kept: GraphBackup, command: str) -> None:
    first = ids(kept)[0]
    said = program.sentence(command, "kept", first, "--holder", "recovery:20260101T000000Z-deadbeef", code=2)
    assert "delete it to release" in said and not kept.find_snapshot(first).held


def test_prune_by_the_configured_policy(program: Program, kept: GraphBackup) -> None:
    assert program("prune", "kept").out.startswith("graph kept: 0 snapshots dropped, 3 kept; ")
    (program.directory / "lightrag-bkp.toml").write_text("[retention]\ndays = false\nkeep_last = 2\n")
    first, *others = ids(kept)
    assert program.json("prune", "kept")["graphs"][0]["dropped"] == [first]
    assert ids(kept) == others


@pytest.mark.parametrize(
    ("words", "stay"),
    [
        (("--keep-last", "1"), 3),
        (("--no-keep-days",), 1),
        (("--no-keep-days", "--minimum", "0"), 0),
        (("--no-keep-days", "--minimum", "2"), 2),
        (("--no-keep-days", "--keep-last", "2"), 2),
        (("--no-keep-days", "--keep-within", "1h"), 3),
        *((("--no-keep-days", f"--keep-{period}ly", "5"), 1) for period in ("hour", "week", "month", "year")),
        (("--no-keep-days", "--keep-daily", "5"), 1),
    ],
)
def test_prune_by_a_policy_of_options(program: Program, kept: GraphBackup, words: tuple[str, ...], stay: int) -> None:
    (program.directory / "lightrag-bkp.toml").write_text("[retention]\ndays = false\n")
    expected = ids(kept)[3 - stay :]
    program("prune", "kept", *words)
    assert ids(kept) == expected


def test_a_dry_run_judges_every_snapshot_and_changes_nothing(program: Program, kept: GraphBackup) -> None:
    before = ids(kept)
    words = ("prune", "kept", "--dry-run", "--no-keep-days", "--keep-last", "2")
    (outcome,) = program.json(*words)["graphs"]
    assert outcome["dropped"] == before[:1]
    assert [(one["backup_id"], one["keep"], one["reason"]) for one in outcome["snapshots"]] == [
        (before[0], False, "expired"),
        (before[1], True, "last"),
        (before[2], True, "minimum"),
    ]
    lines = program(*words).out.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["drop", "expired"], ["keep", "last"], ["keep", "minimum"]]
    assert lines[4].startswith("graph kept: 1 snapshot would be dropped, 2 kept; ")
    assert ids(kept) == before


@pytest.mark.parametrize("now", [(), ("--now",)])
def test_a_dry_run_says_what_space_the_dropped_snapshots_would_free(
    program: Program, kept: GraphBackup, now: tuple[str, ...]
) -> None:
    words = ("prune", "kept", "--no-keep-days", "--minimum", "0", *now)
    (planned,) = program.json(*words, "--dry-run")["graphs"]
    (done,) = program.json(*words)["graphs"]
    assert planned["bytes_freed"] + planned["bytes_retired"] > 0
    told = planned.keys() - {"dry_run", "seconds", "snapshots"}
    assert {name: planned[name] for name in told} == {name: done[name] for name in told}


def test_prune_gives_readers_their_hour_unless_told_otherwise(program: Program, kept: GraphBackup) -> None:
    kept_bytes = packs_bytes(program)
    retired = program.json("prune", "kept", "--no-keep-days", "--minimum", "0")["graphs"][0]
    assert (retired["bytes_freed"], retired["bytes_retired"] > 0) == (0, True)
    assert packs_bytes(program) >= kept_bytes
    freed = program.json("prune", "kept", "--now")["graphs"][0]
    assert freed["bytes_freed"] >= retired["bytes_retired"]
    assert packs_bytes(program) < kept_bytes


def test_prune_now_says_once_what_it_freed(program: Program, kept: GraphBackup) -> None:
    words = ("prune", "kept", "--no-keep-days", "--minimum", "0", "--now")
    assert "readers" not in program(*words).out


def test_prune_of_all_graphs_goes_on_after_a_failure(program: Program, kept: GraphBackup, folder: Path) -> None:
    broken = BackupManager(program.storage).register_graph("broken", folder)
    broken.create_snapshot()
    entry = program.storage / "graphs" / "broken" / "log" / f"{1:020}"
    entry.chmod(0o600)
    entry.write_bytes(b"not an entry")
    document = program.json("prune", "--no-keep-days", code=1)
    assert [one["graph_id"] for one in document["graphs"]] == ["kept"]
    assert [one["graph_id"] for one in document["errors"]] == ["broken"]
    assert len(ids(kept)) == 1
    assert program("prune", code=1).err.startswith("lightrag-bkp: graph broken: ")


def packs_bytes(program: Program) -> int:
    return sum(path.stat().st_size for path in (program.storage / "graphs" / "kept" / "packs").rglob("*"))
