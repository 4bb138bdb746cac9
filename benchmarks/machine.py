"""What the benchmarks ran on, in lines fit for publishing: no names of hosts, users or paths."""

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path


def lines(directory: Path) -> Iterator[str]:
    """Processor, memory, system, and the file system `directory` is on."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0))
    yield (
        f"{cores} cores ({model[1] if model else platform.machine()}), {memory_gb:.0f} GB, {_filesystem(directory)}, "
        f"Linux {platform.release()}, Python {platform.python_version()}"
    )


def load() -> str:
    """How much else was going on in the last minute and the last five."""
    one, five, _ = os.getloadavg()
    return f"{one:.1f} / {five:.1f}"


def _filesystem(directory: Path) -> str:
    """The type of the mount with the longest path above `directory`."""
    place = directory.resolve()
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    above = [(len(point), kind) for _, point, kind, *_ in mounts if place.is_relative_to(point)]
    return max(above)[1] if above else "unknown file system"
