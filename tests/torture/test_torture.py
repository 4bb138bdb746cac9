"""A quarter of a minute of torture; `make torture MINUTES=` gives more."""

import subprocess
import sys
from pathlib import Path

from .__main__ import TESTS
from .plan import stint


def test_a_quarter_of_a_minute_of_torture_shows_nothing_wrong(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "torture", "--minutes=0.25", f"--work={tmp_path}"]
    environment = {"PYTHONPATH": f"{TESTS}:{TESTS.parent}:{TESTS / 'compat'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(words, cwd=TESTS, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violations: 0" in done.stdout and "seed" in done.stdout
    figures = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert int(figures["snapshots committed"]) >= 4
    assert int(figures["restores compared"].split(",")[0]) >= 4
    assert list(tmp_path.iterdir()) == []


def test_a_seed_repeats_the_plan() -> None:
    plans = [stint("seed", number, 0) for number in range(40)]
    assert plans == [stint("seed", number, 0) for number in range(40)]
    assert plans != [stint("another", number, 0) for number in range(40)]
    assert {"RANDOM", "AT"} <= {name for plan in plans for name in plan.seam}
