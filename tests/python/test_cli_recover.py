"""`recovery ...` and `status`, with no LightRAG running."""

import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.folders import fingerprint
from support.forge import restamped
from support.points import GRAPH, kill_at, killed
from support.program import Program

from lightrag_bkp import BackupManager
from lightrag_bkp.recovering.points import PointStore
from lightrag_bkp.recovery import DisasterRecoveryManager


@pytest.fixture
def places(program: Program, built_graph: Path) -> dict[str, Path]:
    """Two configured graphs."""
    found = {name: program.directory / name for name in ("sales", "support")}
    for place in found.values():
        shutil.copytree(built_graph, place)
    program.environ["LIGHTRAG_BACKUP_GRAPHS"] = ",".join(f"{name}={place}" for name, place in found.items())
    return found


@pytest.fixture
def point(program: Program, places: dict[str, Path]) -> str:
    answer = program.json("recovery", "create", "--description", "nightly")
    return str(answer["recovery_point"]["checkpoint_id"])


def kept(places: dict[str, Path]) -> list[Any]:
    return [fingerprint(place) for place in places.values()]


def test_the_whole_life_of_a_point(program: Program, places: dict[str, Path], point: str) -> None:
    original = kept(places)
    assert "not validated" in program("recovery", "list").out
    assert "is valid (digests)" in program("recovery", "validate", point[:12]).out
    assert "came back whole" in program("recovery", "drill", "latest").out
    shutil.rmtree(places["sales"])
    (places["support"] / GRAPH).write_text("spoilt")
    assert "nothing was changed" in program("recovery", "failover", point, "--dry-run").out
    assert "all graphs are back" in program("recovery", "failover", point, "--yes").out
    assert kept(places) == original
    undo = ("recovery", "failover", point, "--undo")
    last = program.json("status")["recovery"]["failovers"][-1]["failover_id"]
    planned = program(*undo, "--dry-run").out
    assert f"nothing was changed; failover {last}, begun " in planned and str(places["support"]) in planned
    assert "--yes does it without asking" in program.sentence(*undo, code=2)
    assert f"undo failover {last}, begun " in program.at_terminal("n", *undo, code=1).err
    assert kept(places) == original
    assert re.search(rf"^failover {last}, begun \S+ \S+ UTC, was undone", program(*undo, "--yes").out, re.M)
    assert (places["support"] / GRAPH).read_text() == "spoilt"
    assert program.sentence(*undo, "--yes", code=1) == f"recovery point {point} has no failover to undo"
    shown = program("recovery", "show", point)
    assert "nightly" in shown.out and "undone" in shown.out
    assert "is deleted" in program("recovery", "delete", point).out
    assert program("recovery", "list").out == "no recovery points\n"
    assert program.json("list", "sales")["snapshots"][-1]["holders"] == []


def test_a_failover_asks_before_it_replaces(program: Program, places: dict[str, Path], point: str) -> None:
    (places["sales"] / GRAPH).write_text("worked on since")
    before = kept(places)
    assert "--yes does it without asking" in program.sentence("recovery", "failover", point, code=2)
    declined = program.at_terminal("n", "recovery", "failover", point, code=1)
    assert "bring back sales, support" in declined.err and "nothing was changed" in declined.err
    assert kept(places) == before
    assert "all graphs are back" in program.at_terminal("y", "recovery", "failover", point).out


def test_a_failover_that_fails_says_so_and_that_all_is_as_before(
    program: Program, places: dict[str, Path], point: str
) -> None:
    (places["sales"] / GRAPH).write_text("worked on since")
    shutil.rmtree(places["support"])
    places["support"].write_text("in the way")
    failed = program("recovery", "failover", point, "--yes", code=1)
    assert "failed: graph support: " in failed.out and "everything is what it was before" in failed.out
    assert (places["sales"] / GRAPH).read_text() == "worked on since"
    document = program.json("recovery", "failover", point, "--yes", code=1)
    assert (document["ok"], document["rolled_back"]) == (False, True)


def test_what_cannot_be_brought_back_is_named(program: Program, places: dict[str, Path], point: str) -> None:
    for pack in (program.storage / "graphs" / "sales" / "packs").iterdir():
        pack.unlink()
    for words in (("validate", point), ("drill", point)):
        ran = program("recovery", *words, code=3)
        assert "sales" in ran.out
    assert program.json("recovery", "validate", point, code=3)["problems"][0][0] == "sales"
    assert "is not valid" in program.sentence("recovery", "failover", point, "--yes", code=1)
    assert "unknown" in program.sentence("recovery", "validate", point, "--level", "unknown", code=2)
    assert "no recovery point 'x'" in program.sentence("recovery", "show", "x", code=1)


def test_status_is_one_page(program: Program, places: dict[str, Path], point: str) -> None:
    page = program("status").out
    assert page.splitlines()[0].split("  ")[0] == "GRAPH"
    assert "run a drill" in page
    program("recovery", "drill", point)
    well = program("status").out
    assert well.splitlines()[-1] == "all is well"
    assert f"newest valid one: {point}" in well
    assert "nothing" in well.splitlines()[1], "nothing was changed since"
    document = program.json("status")
    assert document["health"]["status"] == "healthy"
    assert document["recovery"]["last_drill"]["checkpoint_id"] == point
    shutil.rmtree(places["sales"])
    lost = program("status", code=1)
    assert "CRITICAL sales/graph" in lost.out


def cells(page: str, graph: str) -> list[str]:
    """What the table of `status` says of a graph, column by column."""
    rows = [re.split(r"  +", line.strip()) for line in page.splitlines()]
    return next(row for row in rows if row[0] == graph)[1:]


def test_status_says_of_each_graph_what_is_so_of_it(program: Program, places: dict[str, Path], point: str) -> None:
    """A drill that failed with one graph says nothing against the other, and a graph is no better than its parts."""
    assert cells(program("status").out, "sales")[:3] == ["degraded", "never tried", "unknown"]
    program("recovery", "validate", point)
    assert cells(program("status").out, "sales")[:3] == ["degraded", "yes, all was read", "unknown"]
    for pack in (program.storage / "graphs" / "sales" / "packs").iterdir():
        pack.chmod(0o640)
        content = bytearray(pack.read_bytes())
        content[80:200] = bytes(120)
        pack.write_bytes(content)
    program("recovery", "drill", point, code=3)
    page = program("status", code=1).out
    sales, support = cells(page, "sales"), cells(page, "support")
    assert sales[:3] == ["critical", "NOT when last tried", "unknown"] and sales[-1].endswith("FAILED")
    assert support[:2] == ["healthy", "yes, drilled"] and support[-1].endswith("well")
    assert re.fullmatch(r"\d+\.\d s", support[2])
    assert "CRITICAL sales/backups: " in page and "support/backups" not in page
    backups = program.json("status", code=1)["health"]["graphs"]
    assert [backups[name]["backups"]["last_drill"]["ok"] for name in ("sales", "support")] == [False, True]


@pytest.mark.parametrize(
    ("scratch", "said"),
    [
        ("storage", "lies inside the storage path"),
        ("sales/deep", "lies inside a graph's directory"),
        ("missing", "cannot be used (No such file or directory)"),
    ],
)
def test_a_drill_without_a_place_says_nothing_of_the_snapshot(
    program: Program, places: dict[str, Path], point: str, scratch: str, said: str
) -> None:
    program("recovery", "validate", point)
    place = program.directory / scratch
    place.mkdir(exist_ok=True) if scratch != "missing" else None
    before = sorted(program.directory.rglob("*"))
    program.environ["LIGHTRAG_RECOVERY_SCRATCH_DIR"] = str(place)
    for words in (
        ("recovery", "drill", point),
        ("recovery", "validate", point, "--level", "drill"),
        ("verify", "sales", "latest", "--level", "drill"),
    ):
        refused = program.sentence(*words, code=1)
        assert said in refused and str(place) in refused
        assert "name another one, scratch_dir of [recovery] in lightrag-bkp.toml or LIGHTRAG_RECOVERY_SCR" in refused
    assert sorted(program.directory.rglob("*")) == before, "nothing was written down, and nothing is left"
    assert "  valid, digests" in program("recovery", "list").out
    assert cells(program("status").out, "sales")[1] == "yes, all was read"


def test_a_drill_that_runs_out_of_room_says_nothing_of_the_snapshot(
    program: Program, places: dict[str, Path], point: str
) -> None:
    """Files may be smaller than what comes back: what fails is the scratch directory."""
    program("recovery", "validate", point)
    small = replace(program, before=["prlimit", "--fsize=8192"])
    refused = small.sentence("recovery", "drill", point, code=1)
    assert "graph 'support' could not be tried, which says nothing against its snapshot: " in refused
    assert "  valid, digests" in program("recovery", "list").out
    program("status")


def test_a_drill_that_failed_is_told_until_another_one_is_well(
    program: Program, places: dict[str, Path], point: str
) -> None:
    """Also where a validation found all well since."""
    packs = list((program.storage / "graphs" / "sales" / "packs").iterdir())
    kept_packs = {pack: pack.read_bytes() for pack in packs}
    for pack in packs:
        pack.unlink()
    program("recovery", "drill", point, code=3)
    for pack, content in kept_packs.items():
        pack.write_bytes(content)
    program("recovery", "validate", point)
    page = program("status").out
    said = f"the last drill failed, that of recovery point {point}: repeat it, lightrag-bkp recovery drill {point}"
    assert f"DEGRADED sales/backups: {said}" in page and "all is well" not in page
    program("recovery", "drill", point)
    assert "all is well" in program("status").out


def test_an_unusable_graph_is_told_at_once_and_is_no_backup(
    program: Program, places: dict[str, Path], point: str
) -> None:
    (places["sales"] / GRAPH).write_text("spoilt")
    made = program("recovery", "create", "sales")
    assert "is not valid: the graph of snapshot" in made.err and "says why; mend the graph and make another" in made.err
    taken = program.json("list", "sales")["snapshots"][-1]["backup_id"]
    page = program("status", code=1).out
    assert f"sales: 1 snapshot of an unusable graph, the last one {taken}, newer than any good backup" in page
    assert program.json("recovery", "create", "support")["unusable"] == []
    document = program.json("--quiet", "recovery", "create")
    assert "is unusable: lightrag-bkp show sales" in document["unusable"][0]


def test_an_undo_that_was_killed_is_shown_with_what_to_do(
    program: Program, places: dict[str, Path], point: str
) -> None:
    (places["sales"] / GRAPH).write_text("worked on since")
    program("recovery", "failover", point, "--yes")
    manager = BackupManager(program.storage)
    for name, place in places.items():
        manager.register_graph(name, place)
    killed(DisasterRecoveryManager(manager), "undo_failover", point, partial(kill_at, PointStore, "add", 1))
    said = f"the undo of the failover of recovery point {point} died: finish it, lightrag-bkp recovery failover {point}"
    assert f"CRITICAL recovery points: {said} --undo" in program("status", code=1).out
    page = program("recovery", "show", point).out
    assert "  undoing  " in page and f"{said} --undo" in page
    assert "was undone" in program("recovery", "failover", point, "--undo", "--yes").out
    assert "finish it" not in program("recovery", "show", point).out


def test_a_damaged_point_is_complained_about(program: Program, places: dict[str, Path], point: str) -> None:
    other = program.json("recovery", "create", "sales")["recovery_point"]["checkpoint_id"]
    (written,) = (program.storage / "recovery_points" / point).iterdir()
    written.chmod(0o640)
    written.write_bytes(written.read_bytes()[:-1])
    listed = program("recovery", "list", code=1)
    assert point in listed.err and other in listed.out
    assert list(program.json("recovery", "list", code=1)["unreadable"]) == [point]


@pytest.mark.parametrize("lost", ["the first record", "all records", "a byte"])
def test_latest_is_never_silently_an_older_one(
    program: Program, places: dict[str, Path], point: str, lost: str
) -> None:
    newer = str(program.json("recovery", "create", "sales")["recovery_point"]["checkpoint_id"])
    program("recovery", "validate", newer)
    place = program.storage / "recovery_points" / newer
    graph = places["sales"] / GRAPH
    usable = graph.read_bytes()
    graph.write_text("worked on since")
    before = kept(places)
    first = place / ("0" * 20)
    match lost:
        case "the first record":
            first.unlink()
        case "all records":
            shutil.rmtree(place)
        case "a byte":
            first.chmod(0o640)
            first.write_bytes(first.read_bytes()[:-1])
    refused = program.sentence("recovery", "failover", "latest", "--yes", code=1)
    assert newer in refused and "name an older one by its id, restore the records from a copy, or delete it" in refused
    assert lost == "all records" or f"{newer}/{first.name}" in refused or f"entry {first.name}" in refused
    assert kept(places) == before
    graph.write_bytes(usable)  # only the point shall be of interest
    code = 0 if lost == "all records" else 1
    assert newer in program("recovery", "list", code=code).err
    page = program("status", code=code).out
    assert ("never finished" in page) is (lost == "all records")
    assert "is deleted" in program("recovery", "delete", newer).out
    assert not any(newer in str(one["holders"]) for one in program.json("list", "sales")["snapshots"])
    assert "all graphs are back" in program("recovery", "failover", "latest", "--yes").out


def test_a_backup_of_a_time_yet_to_come_is_of_unknown_age(program: Program, places: dict[str, Path]) -> None:
    program("snapshot", "sales")
    restamped(program.storage / "graphs" / "sales", datetime(2131, 1, 1, tzinfo=UTC))
    page = program("status", code=1).out  # support has no backup at all
    assert "nobody knows how old the newest good backup is: it claims 2131-01-01 00:00 UTC" in page
    assert "unknown time old" in page.splitlines()[1]
    backups = program.json("status", code=1)["health"]["graphs"]["sales"]["backups"]
    assert (backups["status"], backups["latest_age_s"]) == ("degraded", None)


def test_an_undo_writes_where_graphs_are_configured_and_asks_about_anything_else(
    program: Program, places: dict[str, Path], point: str
) -> None:
    (places["sales"] / GRAPH).write_text("worked on since")
    program("recovery", "failover", point, "--yes")
    configured = program.environ.pop("LIGHTRAG_BACKUP_GRAPHS")
    other = program.directory / "other"
    for given in (None, configured.replace(str(places["sales"]), str(other))):
        if given is not None:
            program.environ["LIGHTRAG_BACKUP_GRAPHS"] = given
        before = kept(places)
        refused = program.sentence("recovery", "failover", point, "--undo", "--yes", code=1)
        assert str(places["sales"]) in refused and "configure it as the source_dir" in refused
        declined = program.at_terminal("n", "recovery", "failover", point, "--undo", "--yes", code=1)
        assert str(places["sales"]) in declined.err and "nothing was changed" in declined.err
        assert kept(places) == before and not other.exists()
    assert "was undone" in program.at_terminal("y", "recovery", "failover", point, "--undo", "--yes").out
    assert (places["sales"] / GRAPH).read_text() == "worked on since"


def test_documents_are_json(program: Program, places: dict[str, Path], point: str) -> None:
    for words in (("list",), ("show", point), ("validate", point), ("drill", point), ("failover", point, "--dry-run")):
        assert isinstance(json.loads(json.dumps(program.json("recovery", *words))), dict)


def test_status_says_which_snapshots_do_not_count(program: Program, tmp_path: Path) -> None:
    rag = tmp_path / "rag"
    rag.mkdir()
    (rag / "kv_store_full_docs.json").write_text("{}")
    words = ("snapshot", "g", rag, "--partial")
    crash = program.json(*words, "--on-busy", "crash")["snapshot"]["backup_id"]
    page = program("status", code=1).out
    assert "counted as backups: no snapshots of consistency crash" in page
    assert f"CRITICAL g/backups: there is no good backup; 1 snapshot of consistency crash, the last one {crash}" in page
    assert f"g: 1 snapshot of consistency crash, the last one {crash}" in page
    backups = program.json("status", code=1)["health"]["graphs"]["g"]["backups"]
    assert (backups["latest"], backups["not_counted"], backups["newest_not_counted"]) == (None, 1, crash)
    good = program.json(*words)["snapshot"]["backup_id"]
    backups = program.json("status")["health"]["graphs"]["g"]["backups"]
    assert (backups["latest"], backups["not_counted"], backups["newest_not_counted"]) == (good, 0, None)
    newer = [program.json(*words, "--on-busy", "crash")["snapshot"]["backup_id"] for _ in range(2)]
    backups = program.json("status")["health"]["graphs"]["g"]["backups"]
    assert (backups["latest"], backups["not_counted"], backups["newest_not_counted"]) == (good, 2, newer[-1])
    assert "2 snapshots of consistency crash" in program("status").out
