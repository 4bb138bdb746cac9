"""A hundredth of the full scale, by the code that measures the whole: bars of memory, room and order hold.

Bars of time are left to the benchmarks.
"""

from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.report import Bar

TIMES = {"s", "of four times"}


@pytest.mark.parametrize("part", scale.PARTS)
def test_bars_hold_at_a_hundredth(tmp_path: Path, part: str) -> None:
    found = [bar for bar in scale.run(tmp_path, [part], 0.01) if isinstance(bar, Bar)]
    assert found and not [bar.line() for bar in found if not bar.met and bar.unit not in TIMES]
    assert not (tmp_path / part).exists()
