"""Repositories parts of which are gone or may not be looked into: every command says so, names the graph and what to
do, and goes on with the others."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.program import Program, without_override

from lightrag_bkp.errors import DamagedError
from lightrag_bkp.sync import BackupManager, GraphBackup

BEGIN_ANEW = "from a copy, or move the graph's directory away to begin anew"
NO_LOG = f"log/ is missing while packs/ is not; restore log/ {BEGIN_ANEW}"
NO_ENTRIES = f"the log is empty while packs/ is not; restore log/ {BEGIN_ANEW}"
NO_PACKS = f"packs/ is missing while the log has entries; restore packs/ {BEGIN_ANEW}"


def lose_log(root: Path) -> None:
    shutil.rmtree(root / "log")


def lose_entries(root: Path) -> None:
    for entry in (root / "log").iterdir():
        entry.unlink()


def lose_packs(root: Path) -> None:
    shutil.rmtree(root / "packs")


LOSSES = pytest.mark.parametrize(
    ("lose", "said"), [(lose_log, NO_LOG), (lose_entries, NO_ENTRIES), (lose_packs, NO_PACKS)]
)


@pytest.fixture
def other(kept: GraphBackup, program: Program, folder: Path) -> GraphBackup:
    """Another graph beside "kept", whole."""
    graph = BackupManager(program.storage).register_graph("other", folder)
    graph.create_snapshot()
    return graph


def assert_named(program: Program, said: str) -> None:
    """Commands on all graphs name "kept" and do the other one; commands on "kept" fail; nobody writes."""
    for command in ("list", "stats", "prune"):
        document = program.json(command, code=1)
        assert [(one["graph_id"], said in one["message"]) for one in document["errors"]] == [("kept", True)], command
        ran = program(command, code=1)
        assert "graph kept: " in ran.err and said in ran.err and "other" in ran.out, command
    health = program.json("status", code=1)["health"]["graphs"]
    assert health["kept"]["backups"]["status"] == "critical" and said in health["kept"]["backups"]["message"]
    assert health["other"]["backups"]["status"] != "critical"
    for command in (["show", "kept", "latest"], ["snapshot", "kept"], ["restore", "kept", "latest", "there"]):
        assert said in program.sentence(*command, code=1), command


@LOSSES
def test_a_graph_that_lost_its_log_or_packs_is_named_everywhere(
    program: Program, other: GraphBackup, lose: Callable[[Path], None], said: str
) -> None:
    root = program.storage / "graphs" / "kept"
    lose(root)
    before = sorted(root.rglob("*"))
    assert_named(program, said)
    (finding,) = program.json("verify", "kept", code=3)["findings"]
    assert said in finding["message"]
    assert sorted(root.rglob("*")) == before


@LOSSES
def test_python_says_the_same(program: Program, other: GraphBackup, lose: Callable[[Path], None], said: str) -> None:
    lose(program.storage / "graphs" / "kept")
    with BackupManager(program.storage) as manager:
        assert manager.graph_ids() == ["kept", "other"]
        graph = manager.require_graph("kept")
        for act in (graph.list_snapshots, graph.verify_snapshot, graph.prune):
            with pytest.raises(DamagedError) as raised:
                act()
            assert said in str(raised.value)
        assert said in manager.get_total_stats()["graphs"]["kept"]["error"]


@pytest.mark.parametrize("closed", [".", "log", "packs"])
def test_a_graph_that_may_not_be_looked_into_is_named(program: Program, other: GraphBackup, closed: str) -> None:
    shut = program.storage / "graphs" / "kept" / closed
    shut.chmod(0)
    try:
        assert_named(replace(program, before=without_override()), f"{shut.resolve()}: Permission denied: check owner")
        # What may not be read is not called damaged: nobody has seen it.
        replace(program, before=without_override())("verify", "kept", code=1)
    finally:
        shut.chmod(0o750)
    assert program("verify", "kept")


@pytest.mark.parametrize("closed", ["cache", "tmp"])
def test_who_only_reads_goes_on_without_what_is_disposable(program: Program, kept: GraphBackup, closed: str) -> None:
    newest = kept.list_snapshots()[-1].backup_id
    shut = program.storage / "graphs" / "kept" / closed
    shut.chmod(0)
    bound = replace(program, before=without_override())
    try:
        for command in ("list", "show kept latest", "stats", "status", "verify kept", "restore kept latest there"):
            assert "Permission denied" not in bound(*command.split()).err, command
        for command in ("snapshot kept", "hold kept latest", f"delete kept {newest}", "prune kept"):
            assert f"{shut.resolve()}: Permission denied" in bound.sentence(*command.split(), code=1), command
    finally:
        shut.chmod(0o750)
    assert bound("hold", "kept", "latest")


@pytest.mark.parametrize("closed", ["log", "tmp"])
def test_what_may_not_be_written_is_named_by_its_path(program: Program, kept: GraphBackup, closed: str) -> None:
    shut = program.storage / "graphs" / "kept" / closed
    shut.chmod(0o555)
    try:
        said = replace(program, before=without_override()).sentence("hold", "kept", "latest", code=1)
        assert f"{shut.resolve()}/" in said and "Permission denied: check owner and mode" in said
    finally:
        shut.chmod(0o750)


@pytest.mark.parametrize("place", ["graphs", "graphs/kept/cache", "graphs/kept/tmp"])
def test_a_link_in_place_of_what_is_made_anew_is_no_usage_error(
    program: Program, kept: GraphBackup, place: str
) -> None:
    directory = program.storage / place
    directory.rename(program.storage / "aside")
    directory.symlink_to(program.storage / "aside")
    said = program.sentence("snapshot", "kept", kept.source_dir, code=1)
    assert said.startswith(f"{place}: it was a symbolic link, not a directory: put the directory itself there")


@pytest.mark.parametrize("below", ["", "/log", "/packs"])
def test_a_link_in_place_of_a_directory_is_named_with_its_path(program: Program, kept: GraphBackup, below: str) -> None:
    kept.graph.close()
    directory = Path(f"{program.storage}/graphs/kept{below}")
    directory.rename(program.storage / "aside")
    directory.symlink_to(program.storage / "aside")
    for command in (["list", "kept"], ["snapshot", "kept"], ["restore", "kept", "latest", "there"]):
        said = program.sentence(*command, code=1)
        assert f"graphs/kept{below}: it was a symbolic link, not a directory: put the directory itself there" in said


def test_what_is_no_graph_is_passed_over(program: Program, kept: GraphBackup) -> None:
    graphs = program.storage / "graphs"
    (graphs / "lost+found").mkdir()
    (graphs / "notes").mkdir()
    (graphs / "notes" / "file").write_text("mine")
    (graphs / "file").write_text("mine")
    (graphs / ".hidden" / "log").mkdir(parents=True)
    assert {one["graph_id"] for one in program.json("list")["snapshots"]} == {"kept"}
    assert list(program.json("stats")["graphs"]) == ["kept"]


def test_a_graph_whose_making_was_cut_short_is_made(program: Program, folder: Path) -> None:
    """Entry 0 comes last: directories without it are no damage."""
    for made in (["log"], ["log", "packs"]):
        root = program.storage / "graphs" / "".join(made)
        for name in made:
            (root / name).mkdir(parents=True)
        assert program.json("list")["snapshots"] == []
        graph = BackupManager(program.storage).register_graph(root.name, folder)
        graph.create_snapshot()
        assert graph.verify_snapshot().ok
        shutil.rmtree(root)
