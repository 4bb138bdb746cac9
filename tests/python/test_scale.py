"""A hundredth of the full scale, by the code that measures the whole: bars of memory, room and order hold.

Bars of time are left to the benchmarks.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.data import ROOT

TIMES = (" s ", " ms ", "of four times", "of its time", "of its drill's time")


@pytest.mark.parametrize("part", scale.PARTS)
def test_bars_hold_at_a_hundredth(tmp_path: Path, part: str) -> None:
    # In a small process of its own: what a child's memory begins with is what its parent occupies.
    words = ["-m", "benchmarks.scale", "--fraction=0.01", f"--only={part}", f"--work={tmp_path}/work"]
    said = subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    bars = [line for line in said.splitlines() if line.endswith((" met", "MISSED"))]
    assert bars and not [line for line in bars if line.endswith("MISSED") and not any(unit in line for unit in TIMES)]
    assert not (tmp_path / "work" / part).exists()
