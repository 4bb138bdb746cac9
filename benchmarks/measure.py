"""What a command costs: time until its result is on disk, processor time, peak memory."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .data import ROOT

_TOLD_BYTES = 2000


class CommandFailed(Exception):
    """A measured command ended with an error; the message ends with what it said last."""


@dataclass(frozen=True)
class Command:
    """A program with its arguments, and the directory it runs in."""

    argv: tuple[str, ...]
    cwd: Path


@dataclass(frozen=True)
class Usage:
    """The sum over some commands, but the highest of their peaks.

    Attributes:
        seconds: until everything is on disk: the commands and a `sync` after them.
        command_seconds: the commands alone, with what they sync themselves.
        cpu_seconds: of all their threads, user and system.
        peak_mb: resident memory, in 10^6 bytes. The kernel lets a child's figure begin at what the process that starts
            it occupies, so small commands show the size of this one; it imports nothing large for that reason.
    """

    seconds: float
    command_seconds: float
    cpu_seconds: float
    peak_mb: float


def compile_program() -> None:
    """Leaves this program's bytecode as pip leaves that of an installed package, whatever the environment says."""
    words = [sys.executable, "-m", "compileall", "-q", str(ROOT / "lightrag_bkp")]
    subprocess.run(words, check=True)


def run(commands: Iterable[Command], environment: Mapping[str, str] | None = None) -> Usage:
    """Runs commands one after the other, then `sync`. What was unwritten before is written before the clock starts.

    Args:
        commands: what to run.
        environment: theirs, whole; this process's by default.

    Raises:
        CommandFailed: one of them did.
    """
    os.sync()
    cpu_seconds, peak_mb = 0.0, 0.0
    started = time.perf_counter()
    for command in commands:
        usage = _run(command, environment)
        cpu_seconds += usage.ru_utime + usage.ru_stime
        peak_mb = max(peak_mb, usage.ru_maxrss * 1024 / 1e6)
    ended = time.perf_counter()
    os.sync()
    return Usage(time.perf_counter() - started, ended - started, cpu_seconds, peak_mb)


def _run(command: Command, environment: Mapping[str, str] | None) -> resource.struct_rusage:
    said = os.memfd_create("output")
    try:
        process = subprocess.Popen(
            command.argv, cwd=command.cwd, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            size = os.fstat(said).st_size
            tail = os.pread(said, _TOLD_BYTES, max(0, size - _TOLD_BYTES)).decode(errors="replace")
            raise CommandFailed(f"{' '.join(command.argv)} ended with {process.returncode}:\n{tail}")
        return usage
    finally:
        os.close(said)


def own_peak_mb() -> float:
    """The least `Usage.peak_mb` can be."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def warm(directory: Path) -> None:
    """Reads every file, so that all tools find them in the page cache."""
    buffer = bytearray(1 << 20)
    for path in _files(directory):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def apparent_bytes(directory: Path, *, without: str | None = None) -> int:
    """The sizes of all files below, summed; directories named `without` are left out."""
    return sum(path.lstat().st_size for path in _files(directory, without))


def _files(directory: Path, without: str | None = None) -> Iterable[Path]:
    for parent, children, names in os.walk(directory):
        children[:] = [child for child in children if child != without]
        yield from (Path(parent, name) for name in names)
