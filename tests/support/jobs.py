"""Jobs of the core for tests of what lies below the public API."""

import asyncio
import os
from pathlib import Path

from lightrag_bkp import _bridge


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def make_source(*files: Path) -> _bridge.Source:
    """A sealed source of pinned files, each under its own name."""
    source = _bridge.Source()
    for path in files:
        source.pin(path.name, os.open(path, os.O_RDONLY))
    source.seal()
    return source


def backup(repo: _bridge.Repository, *files: Path) -> _bridge.Job:
    """A backup job that reads every byte."""
    return _bridge.backup_job(
        repo,
        make_source(*files),
        consistency="plain",
        metadata="{}",
        facts="{}",
        retention_days=30,
        use_source_cache=False,
    )


async def work_a_little(storage: Path) -> int:
    """What a short-lived loop does: opens a repository and reads on several times at once. Returns the last number."""
    repo = await _bridge.run(_bridge.open_job(str(storage), "graph", True))
    await asyncio.gather(*(_bridge.run(_bridge.refresh_job(repo)) for _ in range(5)))
    number: int = repo.usage()[2]
    repo.close()
    return number
