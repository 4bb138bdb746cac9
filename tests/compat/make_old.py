"""Makes environments with LightRAG releases of three generations, and small directories each of them wrote.

    python tests/compat/make_old.py --out DIR [--cut]

DIR/environments/<version> is a virtual environment with that release; DIR/directories/<version> a working directory it
wrote, checked, a few dozen KiB. The checked-in copies are in tests/compat/directories. With --cut a graph is cut in
each environment while it ingests, and restored while it runs. Environments and directories that exist are kept.
"""

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

VERSIONS = {"1.5.7": "gated", "1.5.3": "gated", "1.4.16": "settled"}
"""Release -> the best rung a busy graph reaches there: before 1.5.0 files are rewritten in place, so the end of the job
is waited for."""

_HERE = Path(__file__).resolve().parent
_PROJECT = _HERE.parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where environments and directories go")
    parser.add_argument("--cut", action="store_true", help="cut and restore a running graph in each environment")
    arguments = parser.parse_args()
    for version, rung in VERSIONS.items():
        python = environment(arguments.out / "environments" / version, version)
        directory = arguments.out / "directories" / version
        if not directory.exists():
            inside(python, "write", str(directory))
        print(
            f"LightRAG {version}: {sum(path.stat().st_size for path in directory.iterdir()) >> 10} KiB in {directory}"
        )
        if arguments.cut:
            inside(python, "cut", rung)
            inside(python, "restore", "-")
    return 0


def environment(path: Path, version: str) -> Path:
    """The interpreter of an environment with that LightRAG, made when missing."""
    python = path / "bin" / "python"
    marker = path / "complete"
    if not marker.exists():
        venv.create(path, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"lightrag-hku=={version}"], check=True)
        marker.touch()
    return python


def inside(python: Path, *arguments: str) -> None:
    """Runs inside.py in an environment, with the package's sources and the tests' support on its path."""
    path = os.pathsep.join((str(_PROJECT), str(_PROJECT / "tests")))
    subprocess.run([python, _HERE / "inside.py", *arguments], env={**os.environ, "PYTHONPATH": path}, check=True)


if __name__ == "__main__":
    sys.exit(main())
