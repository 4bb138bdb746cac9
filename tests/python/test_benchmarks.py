"""The benchmarks at their smallest: they run, compare what is restored, and say what they are there to say."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cases, report
from benchmarks.cases import CASES, Run
from benchmarks.data import ROOT
from benchmarks.measure import Command, CommandFailed, Usage, run
from benchmarks.report import Results
from benchmarks.tools import Copy, Ours

Small = tuple[str, dict[str, Any]]
"""What a run printed, and the content of its JSON file."""


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A run with `cp` and this program on 2 MB."""
    work = tmp_path_factory.mktemp("bench")
    words = [
        "--size-mb=2",
        "--tools=cp,ours",
        "--runs=1",
        "--snapshots=20",
        "--brief",
        "--no-install",
        "--work=work",
        "--json=runs.json",
    ]
    program = [sys.executable, "-m", "benchmarks", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, cwd=work, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout, json.loads((work / "runs.json").read_text())


def test_the_table_has_a_row_for_every_case_and_tool(small_run: Small) -> None:
    text, results = small_run
    found = results["cases"]
    assert list(found) == [case.name for case in CASES]
    for case in CASES:
        assert case.title in text
        assert Ours.name in found[case.name]
        assert (Copy.name in found[case.name]) == (case.name != "verify")


def test_bars_that_need_no_peer_are_measured(small_run: Small) -> None:
    text, _ = small_run
    measured = [line for line in text.splitlines() if line.endswith((" met", "MISSED"))]
    assert len(measured) == 16
    not_measured = [line for line in text.splitlines() if line.endswith("not measured")]
    assert len(not_measured) == 10
    assert sum("beside the" in line for line in not_measured) == 8


def test_an_unchanged_source_adds_little_and_a_changed_one_more(small_run: Small) -> None:
    _, results = small_run
    added = {name: runs[Ours.name][0]["added_bytes"] for name, runs in results["cases"].items()}
    assert 0 < added["unchanged"] <= 4096
    assert added["unchanged"] < added["appended"] < added["first"]
    assert added["deleted"] > added["restarted"] > added["rewritten"]
    assert added["removed"] > added["rewritten"]
    assert added["prune"] < 0


@pytest.mark.parametrize("words", [("benchmarks", "--tools"), ("benchmarks", "--only"), ("benchmarks.scale", "--only")])
def test_a_name_that_is_none_is_said_with_those_that_are(words: tuple[str, str]) -> None:
    command = [sys.executable, "-m", *words, "nonsense"]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert f"argument {words[1]}: 'nonsense' is none of " in done.stderr.splitlines()[-1]


def test_a_restored_byte_that_differs_is_found(tmp_path: Path) -> None:
    for name, content in (("expected", b"one"), ("equal", b"one"), ("other", b"0ne"), ("longer", b"one more")):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_bytes(content)
    cases.compare(tmp_path / "expected", tmp_path / "equal")
    for name in ("other", "longer"):
        with pytest.raises(cases.Differs, match="file"):
            cases.compare(tmp_path / "expected", tmp_path / name)
    (tmp_path / "equal" / "deep" / "file").unlink()
    with pytest.raises(cases.Differs, match="lacks"):
        cases.compare(tmp_path / "expected", tmp_path / "equal")


def test_a_command_is_measured_and_its_failure_told(tmp_path: Path) -> None:
    busy = "import time\ndata = bytearray(50_000_000)\nwhile time.process_time() < 0.2: pass"
    usage = run([Command((sys.executable, "-c", busy), tmp_path)])
    assert usage.cpu_seconds >= 0.2 and usage.seconds >= usage.command_seconds >= 0.2 and usage.peak_mb >= 50
    with pytest.raises(CommandFailed, match="no such option"):
        run([Command((sys.executable, "-c", "import sys; sys.exit('no such option')"), tmp_path)])


def test_a_bar_compares_the_median_with_the_fastest_peer() -> None:
    def took(*seconds: float) -> list[Run]:
        return [Run(Usage(s, s, s, 20), 0) for s in seconds]

    runs = {Ours.name: took(9, 3, 1), "restic": took(6), "borg": took(4), "cp -a": took(0.1)}
    results = Results(cases={"first": runs})
    by_title = {bar.title: bar for bar in report.bars(results, frozenset({"restic", "borg"}))}
    assert by_title["first backup beside the fastest peer"].measured == 3 / 4
    assert by_title["restore beside the fastest peer"].measured is None
    assert all(bar.measured is None for bar in report.bars(Results(), frozenset()))


def test_a_peer_that_hardly_compresses_is_no_measure_for_one_that_does() -> None:
    def took(seconds: float, added_mb: float) -> list[Run]:
        return [Run(Usage(seconds, seconds, seconds, 20), round(added_mb * 1e6))]

    runs = {Ours.name: took(1, 40), "restic": took(6, 70), "borg": took(2, 95)}
    results = Results(source_mb=100, cases={"first": runs})
    bars = {bar.title: bar for bar in report.bars(results, frozenset({"restic", "borg"}))}
    assert bars["first backup beside the fastest that compresses"].measured == 1 / 6
    assert bars["first backup stored beside the smallest peer"].measured == 40 / 70
    assert bars["codec on one core"].at_least
