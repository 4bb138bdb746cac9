"""The same mistake has the same exit code and says the same kind of sentence, whichever command it is made with."""

from pathlib import Path

import pytest
from support.program import Program

from lightrag_bkp.sync import BackupManager, GraphBackup
from lightrag_bkp.sync.recovery import DisasterRecoveryManager

OF_ONE_SNAPSHOT = ("show", "verify", "restore", "delete", "hold", "release")
OF_A_GRAPH = (*OF_ONE_SNAPSHOT, "list", "prune")
OF_A_POINT = ("show", "validate", "drill", "failover", "delete")
OF_THE_STORAGE = (*OF_A_GRAPH, "stats", "status", "recovery list", "recovery show", "passphrase list")


def words_of(command: str, graph: str = "kept", snapshot: str = "latest") -> list[str]:
    """A complete command line."""
    words = command.split()
    if command in OF_A_GRAPH:
        words.append(graph)
    if command in OF_ONE_SNAPSHOT:
        words.append(snapshot)
    if command == "recovery show":
        words.append("latest")
    return [*words, "target", "--yes"] if command == "restore" else words


@pytest.mark.parametrize("command", OF_A_GRAPH)
def test_an_unknown_graph(program: Program, kept: GraphBackup, command: str) -> None:
    said = program.sentence(*words_of(command, graph="other"), code=1)
    assert said == f"no graph 'other' below '{program.storage}': graphs there are kept"
    assert program.json(*words_of(command, graph="other"), code=1)["error"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("command", OF_A_GRAPH)
def test_what_can_name_no_graph(program: Program, kept: GraphBackup, command: str) -> None:
    assert program.sentence(*words_of(command, graph="../kept"), code=1).startswith("no graph '../kept' below")


@pytest.mark.parametrize("command", OF_ONE_SNAPSHOT)
def test_an_unknown_snapshot(program: Program, kept: GraphBackup, command: str) -> None:
    said = program.sentence(*words_of(command, snapshot="1999"), code=1)
    assert said == "graph 'kept' has no snapshot '1999': a listing names all"
    assert not (program.directory / "target").exists()


@pytest.mark.parametrize("command", OF_ONE_SNAPSHOT)
def test_a_beginning_of_several_snapshots(program: Program, kept: GraphBackup, command: str) -> None:
    before = [one.backup_id for one in kept.list_snapshots()]
    said = program.sentence(*words_of(command, snapshot="2"), code=2)
    assert said.startswith("3 snapshots of graph 'kept' begin with '2', the last ones ")
    assert said.endswith("write more of the id")
    assert [one.backup_id for one in kept.list_snapshots()] == before


@pytest.mark.parametrize("command", OF_THE_STORAGE)
def test_a_storage_path_that_is_not_there(program: Program, command: str) -> None:
    said = program.sentence(*words_of(command), code=1)
    assert said.startswith(f"nothing was backed up yet: the storage path '{program.storage}' is not there; take")
    program.storage.write_text("a file")
    assert program.sentence(*words_of(command), code=1).startswith(f"the storage path '{program.storage}' is no direct")


@pytest.fixture
def points(program: Program, kept: GraphBackup, folder: Path) -> list[str]:
    """Two recovery points of the graph."""
    manager = BackupManager(program.storage)
    manager.register_graph("kept", folder)
    recovery = DisasterRecoveryManager(manager)
    return [recovery.create_recovery_point(["kept"]).checkpoint_id for _ in range(2)]


@pytest.mark.parametrize("verb", OF_A_POINT)
def test_an_unknown_or_ambiguous_recovery_point(program: Program, points: list[str], verb: str) -> None:
    yes = ("--yes",) if verb == "failover" else ()
    said = program.sentence("recovery", verb, "1999", *yes, code=1)
    assert said == "there is no recovery point '1999': a listing names all"
    said = program.sentence("recovery", verb, "2", *yes, code=2)
    assert said.startswith("2 recovery points begin with '2', the last ones ")
    assert {one["checkpoint_id"] for one in program.json("recovery", "list")["recovery_points"]} == set(points)


def test_an_unknown_graph_of_a_recovery_point(program: Program, kept: GraphBackup) -> None:
    assert program.sentence("recovery", "create", "other", code=1).startswith("no graph 'other' below")
