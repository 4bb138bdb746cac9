"""Logs of which an entry is damaged, missing or none of theirs, and logs that went back: what is intact is read, what
is not is named with what to do about it, and nothing is written on top of it."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.folders import fingerprint
from support.program import Program

from lightrag_bkp.errors import DamagedError
from lightrag_bkp.sync import BackupManager, GraphBackup

PASSPHRASE = "correct horse"
REFUSING = (["snapshot", "kept"], ["prune", "kept"], ["delete", "kept"], ["hold", "kept"], ["release", "kept"])


def entry(storage: Path, number: int) -> Path:
    return storage / "graphs" / "kept" / "log" / f"{number:020}"


def truncate(storage: Path) -> int:
    entry(storage, 1).chmod(0o600)
    entry(storage, 1).write_bytes(entry(storage, 1).read_bytes()[:100])
    return 1


def flip(storage: Path) -> int:
    content = bytearray(entry(storage, 2).read_bytes())
    content[-40] ^= 1
    entry(storage, 2).chmod(0o600)
    entry(storage, 2).write_bytes(content)
    return 2


def flip_last(storage: Path) -> int:
    shutil.copy(entry(storage, 1), entry(storage, 3))
    return 3


def flip_version(storage: Path) -> int:
    content = bytearray(entry(storage, 2).read_bytes())
    content[8] ^= 6
    entry(storage, 2).chmod(0o600)
    entry(storage, 2).write_bytes(content)
    return 2


def put_link(storage: Path) -> int:
    entry(storage, 14).symlink_to("nowhere")
    return 14


def remove(storage: Path) -> int:
    entry(storage, 2).unlink()
    return 2


def add_stray(storage: Path) -> int:
    shutil.copy(entry(storage, 1), entry(storage, 77))
    return 77


HARMS = pytest.mark.parametrize("harm", [truncate, flip, flip_last, flip_version, put_link, remove, add_stray])
"""Of a graph with snapshots 1 to 3; each returns the number of the entry that is to be named."""


def refusing(snapshot_id: str) -> list[list[str]]:
    """Commands that write."""
    named = [[*words, *([snapshot_id] if words[0] in ("delete", "hold", "release") else [])] for words in REFUSING]
    assert len(named) == 5
    return named


@HARMS
def test_what_is_intact_is_listed_restored_and_verified(
    program: Program, kept: GraphBackup, harm: Callable[[Path], int], tmp_path: Path
) -> None:
    ids = [one.backup_id for one in kept.list_snapshots()]
    number = harm(program.storage)
    left = [one for at, one in enumerate(ids, 1) if at != number]
    document = program.json("list", code=1)
    assert [one["backup_id"] for one in document["snapshots"]] == left
    assert f"log/{number:020}" in document["errors"][0]["message"]
    assert "restore it from a copy" in document["errors"][0]["message"]
    for one in left:
        text = dict(zip(ids, ("first", "second", "third"), strict=True))[one]
        ran = program("restore", "kept", one, tmp_path / one)
        assert f"log/{number:020}" in ran.err
        assert (tmp_path / one / "notes").read_text() == text
        assert (tmp_path / one / "deep" / "letter").read_text() == "dear reader"
        assert program("show", "kept", one).out
    outcome = program.json("verify", "kept", code=3)
    assert [finding["object"] for finding in outcome["findings"]] == [f"log/{number:020}"]
    assert "latest is not known" in program.sentence("restore", "kept", "latest", "there", code=1)
    for one in set(ids) - set(left):
        for asked in (one, one[:-2]):
            assert f"log/{number:020}" in program.sentence("restore", "kept", asked, "there", code=1)


@HARMS
def test_nothing_is_written_on_top_of_it(program: Program, kept: GraphBackup, harm: Callable[[Path], int]) -> None:
    ids = [one.backup_id for one in kept.list_snapshots()]
    number = harm(program.storage)
    intact = next(one for at, one in enumerate(ids, 1) if at != number)
    root = program.storage / "graphs" / "kept"
    stored = fingerprint(root / "log"), fingerprint(root / "packs")
    for words in refusing(intact):
        said = program.sentence(*words, code=1)
        assert f"log/{number:020}" in said and "nothing is written" in said, words
    assert stored == (fingerprint(root / "log"), fingerprint(root / "packs"))
    health = program.json("status", code=1)["health"]["graphs"]["kept"]["backups"]
    assert health["status"] == "critical" and f"log/{number:020}" in health["message"]


@HARMS
def test_an_entry_that_was_put_back_mends_it(
    program: Program, kept: GraphBackup, harm: Callable[[Path], int], tmp_path: Path
) -> None:
    """Also for a process that had the graph open before it was damaged, and while it was."""
    log = entry(program.storage, 0).parent
    copy = shutil.copytree(log, tmp_path / "copy")
    latest = kept.list_snapshots()[-1].backup_id
    number = harm(program.storage)
    other = BackupManager(program.storage).require_graph("kept")
    assert f"log/{number:020}" in str(other.log_damage())
    with pytest.raises(DamagedError, match=f"log/{number:020}"):
        other.create_snapshot()
    for path in log.iterdir():
        path.unlink()
    for path in copy.iterdir():
        shutil.copy(path, log)
    for graph in (kept, other):
        assert graph.log_damage() is None
        assert graph.get_snapshot("latest").backup_id == latest  # type: ignore[union-attr]
        latest = graph.create_snapshot().backup_id
    assert kept.verify_snapshot().ok


def test_a_process_that_meets_a_damaged_entry_reads_on(program: Program, kept: GraphBackup) -> None:
    """The entry was appended, and damaged, after the process had read the log."""
    ids = [one.backup_id for one in kept.list_snapshots()]
    other = BackupManager(program.storage).require_graph("kept")
    ids += [other.create_snapshot().backup_id for _ in range(2)]
    entry(program.storage, 4).chmod(0o600)
    entry(program.storage, 4).write_bytes(b"no entry")
    assert [one.backup_id for one in kept.list_snapshots()] == [*ids[:3], ids[4]]
    with pytest.raises(DamagedError, match=f"log/{4:020}"):
        kept.create_snapshot()


@HARMS
def test_of_a_sealed_log_too(program: Program, folder: Path, harm: Callable[[Path], int], tmp_path: Path) -> None:
    """Who deletes or exchanges entries without the key is noticed, whatever else can still be read."""
    with BackupManager(program.storage, passphrase=PASSPHRASE) as manager:
        graph = manager.register_graph("kept", folder)
        ids = [graph.create_snapshot().backup_id for _ in range(3)]
    number = harm(program.storage)
    with BackupManager(program.storage, passphrase=PASSPHRASE) as manager:
        graph = manager.register_graph("kept", folder)
        left = [one for at, one in enumerate(ids, 1) if at != number]
        assert [one.backup_id for one in graph.list_snapshots()] == left
        assert f"log/{number:020}" in str(graph.log_damage())
        graph.restore_snapshot(left[0], tmp_path / "there")
        assert fingerprint(tmp_path / "there") == fingerprint(folder)
        assert [one.object for one in graph.verify_snapshot().findings] == [f"log/{number:020}"]
        for write in (graph.create_snapshot, graph.prune, lambda: graph.hold(left[0])):
            with pytest.raises(DamagedError):
                write()


# ---- a log that went back ----


@pytest.fixture
def rolled_back(program: Program, kept: GraphBackup) -> str:
    """The sentence about a log whose last entry is gone."""
    kept.graph.close()
    entry(program.storage, 3).unlink()
    return (
        "the log ends at entry 2, but entry 3 had been written here: entries were lost or rolled back; restore log/ "
        "from a copy, or remove graphs/kept/cache/head to go on with the log as it is"
    )


def test_a_log_that_went_back_is_said_and_work_goes_on(program: Program, rolled_back: str) -> None:
    for command in (["list"], ["stats"], ["snapshot", "kept"], ["show", "kept", "latest"]):
        ran = program(*command)
        said = rolled_back if command[0] != "show" else "the log was replaced"  # by the snapshot taken before it
        assert "graph kept: warning: " in ran.err and said in ran.err and ran.out, command
    (warning,) = program.json("list")["warnings"]
    assert warning["graph_id"] == "kept" and "the log was replaced" in warning["message"]
    assert program.json("status", code=1)["health"]["graphs"]["kept"]["backups"]["status"] == "critical"
    assert "cache/head" in program.sentence("prune", "kept", code=1)
    assert "cache/head" in program.json("verify", "kept", code=3)["findings"][0]["message"]


def test_the_way_out_it_names_is_one(program: Program, rolled_back: str) -> None:
    (program.storage / "graphs" / "kept" / "cache" / "head").unlink()
    assert program("list").err == ""
    program("snapshot", "kept")
    program("prune", "kept", "--now")
    assert program("verify", "kept").err == ""


def test_python_warns_of_it(program: Program, rolled_back: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lightrag_bkp"):
        graph = BackupManager(program.storage).require_graph("kept")
        assert len(graph.list_snapshots()) == 2
    assert rolled_back in caplog.text
    assert graph.log_alarm() == rolled_back
    assert graph.create_snapshot().backup_id


def test_what_gives_no_alarm(program: Program, kept: GraphBackup, tmp_path: Path) -> None:
    """A copy without the cache, also of an older state; another process on the same path; a copy gone on with."""
    for number, without in enumerate(((), (entry(program.storage, 3),))):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(program.storage, copy, ignore=shutil.ignore_patterns("cache", *(one.name for one in without)))
        graph = BackupManager(copy).require_graph("kept")
        assert graph.log_alarm() is None and len(graph.list_snapshots()) == 3 - number
        graph.create_snapshot()
        assert graph.log_alarm() is None and graph.verify_snapshot().ok
    other = BackupManager(program.storage).require_graph("kept")
    other.create_snapshot()
    assert kept.log_alarm() is None and other.log_alarm() is None
    whole = tmp_path / "whole"
    shutil.copytree(program.storage, whole)
    other.create_snapshot()
    assert BackupManager(whole).require_graph("kept").log_alarm() is None


# ---- a snapshot that cannot be read ----


@pytest.mark.parametrize("way_out", ["delete", "restore from a copy"])
def test_prune_names_the_snapshot_that_stops_it_and_both_ways_out(
    program: Program, kept: GraphBackup, way_out: str
) -> None:
    """Its body is damaged, so it is not known what it needs."""
    packs = program.storage / "graphs" / "kept" / "packs"
    before = set(packs.iterdir())
    (program.directory / "folder" / "notes").write_text("fourth")
    broken = kept.create_snapshot(metadata={"text": "fourth"}).backup_id
    (pack,) = set(packs.iterdir()) - before
    content = pack.read_bytes()
    pack.chmod(0o600)
    pack.write_bytes(content[:-100])
    said = program.sentence("prune", "kept", code=1)
    assert f"cannot be read what snapshot {broken} needs" in said
    assert "use a newer version where verify names one; else delete the snapshot, or restore from a copy" in said
    assert f"packs/{pack.name}" in [finding["object"] for finding in program.json("verify", "kept", code=3)["findings"]]
    if way_out == "delete":
        program("delete", "kept", broken)
    else:
        pack.write_bytes(content)
    program("prune", "kept", "--now")
    assert {one.backup_id for one in kept.list_snapshots()} >= {broken} - ({broken} if way_out == "delete" else set())
