"""What `make demo` runs."""

import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


def test_the_demo_brings_everything_back() -> None:
    done = subprocess.run(
        [sys.executable, DEMO, "--documents", "24"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].strip() == "byte for byte: yes"
    assert " gated " in done.stdout and " quiesced " in done.stdout
