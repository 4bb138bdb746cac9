"""Clocks that jump, time zones, and the year 2100.

What orders a log is its numbers; a clock only says how old a snapshot claims to be.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.trouble import Trouble, contents, environment

from lightrag_bkp.sync import BackupManager

WORK = """
import json
storage, source, *words = sys.argv[1:]
graph = BackupManager(storage).register_graph("g", source)
if "create" in words:
    graph.create_snapshot()
pruned = graph.prune(wait_s=0) if "prune" in words else None
print(json.dumps({
    "ids": [kept.backup_id for kept in graph.list_snapshots()],
    "created": [kept.created_at.isoformat() for kept in graph.list_snapshots()],
    "dropped": list(pruned.dropped) if pruned else [],
}))
"""
_PROGRAM = "import sys; from lightrag_bkp.cli import main; sys.exit(main())"
YEAR_S = 365.2425 * 86400


def year_ahead(year: int) -> int:
    """Seconds from now to the middle of a year."""
    return int((year - 1970 + 0.5) * YEAR_S - time.time())


def work(trouble: Trouble, tmp_path: Path, source: Path, words: str, **around: object) -> dict[str, list[str]]:
    zone = around.pop("zone", None)
    script = (f"import os, time; os.environ['TZ'] = {zone!r}; time.tzset()\n" if zone else "") + WORK
    said = trouble.run(script, tmp_path / "storage", source, *words.split(), root=tmp_path, **around)
    document = json.loads(said)
    assert isinstance(document, dict)
    return document


def assert_all_restore(tmp_path: Path, expected: dict[str, dict[str, bytes]]) -> None:
    graph = BackupManager(tmp_path / "storage").register_graph("g")
    assert [kept.backup_id for kept in graph.list_snapshots()] == list(expected)
    for snapshot_id, content in expected.items():
        graph.restore_snapshot(snapshot_id, tmp_path / "targets" / snapshot_id)
        assert contents(tmp_path / "targets" / snapshot_id) == content
    assert graph.verify_snapshot().ok


def test_a_clock_that_jumps_both_ways_drops_nothing_that_is_young(
    tmp_path: Path, source: Path, trouble: Trouble
) -> None:
    """The writer's clock is right, 74 years ahead, right, at the year 1971, right. The prune's clock is right."""
    expected = {}
    for number, year in enumerate((None, 2100, None, 1971, None)):
        (source / "small").write_text(f"number {number}")
        ahead = 0 if year is None else year_ahead(year)
        made = work(trouble, tmp_path, source, "create", clock=ahead)["ids"][-1]
        assert year is None or made.startswith(str(year))
        expected[made] = contents(source)
        pruned = work(trouble, tmp_path, source, "prune")
        assert pruned["dropped"] == [] and pruned["ids"] == list(expected)
    assert_all_restore(tmp_path, expected)


def test_a_prune_whose_clock_is_behind_drops_nothing(tmp_path: Path, source: Path, trouble: Trouble) -> None:
    expected = {}
    for number in range(3):
        (source / "small").write_text(f"number {number}")
        expected[work(trouble, tmp_path, source, "create")["ids"][-1]] = contents(source)
    for year in (1971, 2005, 2024):
        assert work(trouble, tmp_path, source, "prune", clock=year_ahead(year))["dropped"] == []
    assert_all_restore(tmp_path, expected)


def test_a_prune_whose_clock_is_far_ahead_keeps_the_newest_and_what_is_held(
    tmp_path: Path, source: Path, trouble: Trouble
) -> None:
    expected = {}
    for number in range(4):
        (source / "small").write_text(f"number {number}")
        expected[work(trouble, tmp_path, source, "create")["ids"][-1]] = contents(source)
    graph = BackupManager(tmp_path / "storage").register_graph("g")
    first, *_, last = expected
    graph.hold(first)
    work(trouble, tmp_path, source, "prune", clock=year_ahead(2100))
    assert_all_restore(tmp_path, {first: expected[first], last: expected[last]})


def test_everything_works_in_the_year_2100(tmp_path: Path, source: Path, trouble: Trouble) -> None:
    ahead = year_ahead(2100)
    expected = {}
    for number in range(3):
        (source / "small").write_text(f"number {number}")
        done = work(trouble, tmp_path, source, "create prune", clock=ahead + number)
        expected[done["ids"][-1]] = contents(source)
        assert done["dropped"] == [] and done["created"][-1].startswith("2100-")
    later = work(trouble, tmp_path, source, "prune", clock=ahead + 40 * 86400)
    assert len(later["ids"]) == 1, "30 days later only the newest is left"
    assert_all_restore(tmp_path, {last: expected[last] for last in later["ids"]})


@pytest.mark.parametrize("words", [("snapshot", "g", "source"), ("prune", "--now"), ("doctor",)])
def test_a_clock_beyond_the_year_2262_is_said_in_one_sentence(
    tmp_path: Path, source: Path, trouble: Trouble, words: tuple[str, ...]
) -> None:
    """Where nanoseconds since 1970 end. Nothing is done, and what was stored before can be restored."""
    storage = tmp_path / "storage"
    graph = BackupManager(storage).register_graph("g", source)
    expected = {graph.create_snapshot().backup_id: contents(source)}
    command = [source if word == "source" else word for word in words]
    ahead = {"LRB_SEAM_ROOT": str(tmp_path), "LRB_SEAM_CLOCK": str(year_ahead(2300))}
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "--storage", storage, *command],
        env=environment(LD_PRELOAD=str(trouble.library), **ahead),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1 and not ran.stdout
    assert ran.stderr == (
        "lightrag-bkp: this machine's clock stands beyond the year 2262, where the times of snapshots end: set it\n"
    )
    assert_all_restore(tmp_path, expected)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue", "Asia/Kathmandu", "America/St_Johns"])
def test_time_zones_change_nothing(tmp_path: Path, source: Path, trouble: Trouble, zone: str) -> None:
    before = time.gmtime()
    made = work(trouble, tmp_path, source, "create", zone=zone)
    assert made["created"][0].endswith("+00:00")
    assert made["ids"][0][:8] in (time.strftime("%Y%m%d", before), time.strftime("%Y%m%d", time.gmtime()))
    assert work(trouble, tmp_path, source, "prune", zone="UTC")["dropped"] == []
