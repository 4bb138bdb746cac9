"""Real processes with the seam of tests/faults between them and the kernel."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

import lightrag_bkp

Process = subprocess.Popen[str]

SOURCES = [Path(__file__).parents[1] / "faults" / name for name in ("seam.c", "seam_preload.c")]
PRELUDE = """
import sys
from pathlib import Path
from lightrag_bkp.sync import BackupManager
from lightrag_bkp import errors
"""
ON_A_SMALL_DISK = (
    PRELUDE
    + """
import os, subprocess
disk, source = map(Path, sys.argv[1:])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], check=True)

def change():
    (source / "big").write_bytes(os.urandom(700_000))

def fill():
    with open(disk / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError as error:
            assert error.errno == 28, error
"""
)
"""How a script begins that has a disk of its own, of four megabytes: to be run behind `mounting`."""


def environment(**more: str) -> dict[str, str]:
    """Of a process that imports the package from where it is."""
    return {**os.environ, "PYTHONPATH": str(Path(lightrag_bkp.__file__).parents[1]), **more}


def mounting() -> list[str]:
    """What to put before a command that mounts what nobody else sees. A user of no rights, and the root of a container,
    get them in a user namespace.

    Where that is not allowed either the test is skipped, and fails where `CI` says that nothing may be.
    """
    said = "there is no program unshare"
    for prefix in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        try:
            command = [*prefix, "mount", "-t", "tmpfs", "none", "/tmp"]
            tried = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            break
        if tried.returncode == 0:
            return prefix
        said = tried.stderr.strip()
    lack(f"a mount namespace is needed, also a user's will do: {said}")


def lack(missing: str) -> NoReturn:
    """Skips a test for what is missing here; where `CI` says that nothing may be, it fails."""
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def compile_seam(library: Path) -> None:
    """Makes seam.so."""
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-std=c11", "-O1", "-fPIC", "-shared", *map(str, SOURCES), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True)


@dataclass
class Trouble:
    """Starts scripts in processes of their own, with the package and what every script needs imported, and with the
    seam between them and the kernel."""

    library: Path
    started: list[Process] = field(default_factory=list)

    def start(self, script: str, *args: object, root: Path | None = None, **plan: object) -> Process:
        """`plan`: at="link:log/:1", do="stop", clock=-3600 …, as in seam_preload.c; `root` is what is looked at."""
        settings = {f"LRB_SEAM_{name.upper()}": str(value) for name, value in plan.items()}
        if root is not None:
            settings |= {"LRB_SEAM_ROOT": str(root), "LD_PRELOAD": str(self.library)}
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(script), *map(str, args)],
            env=environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, script: str, *args: object, code: int = 0, root: Path | None = None, **plan: object) -> str:
        """Lets a script come to its end, which must be `code`; returns what it printed."""
        return end(self.start(script, *args, root=root, **plan), code)

    def close(self) -> None:
        """Ends what still runs."""
        for process in self.started:
            process.kill()
            process.communicate()


def end(process: Process, code: int = 0) -> str:
    output, complaints = process.communicate(timeout=120)
    assert process.returncode == code, f"{process.returncode}: {output}{complaints}"
    return output


@contextmanager
def stopped(process: Process) -> Iterator[None]:
    """Waits until the seam has stopped a process, and lets it go on afterwards."""
    result = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert result is not None and result.si_code == os.CLD_STOPPED, process.communicate()
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
