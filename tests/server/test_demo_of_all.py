"""`examples/backup_replication_demo.py`: two servers, and everything between them."""

import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[2] / "examples" / "backup_replication_demo.py"


def test_the_demo_shows_everything_and_everything_comes_back() -> None:
    done = subprocess.run([sys.executable, DEMO], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.stdout.splitlines()[-1] == "everything came back: yes"
    assert {"gated", "quiesced"} <= {word for line in lines for word in line}
    assert ["osaka", "HEALTHY"] in [line[:2] for line in lines]
    assert ["nowhere", "UNREACHABLE"] in [line[:2] for line in lines]
    assert len([line for line in lines if line and line[0] in tuple(f"{n}." for n in range(1, 7))]) == 6
