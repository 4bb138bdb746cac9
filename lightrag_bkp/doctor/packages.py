"""What is installed beside this package: its extras, and LightRAG, with how good a cut of it can be."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata, util

from .findings import Finding, State

_PACKAGE = "lightrag-bkp"
_REQUIREMENT = re.compile(r"""(?P<name>[\w.-]+)(?:\[(?P<of>[\w.-]+)\])?.*;\s*extra\s*==\s*["'](?P<extra>[\w.-]+)["']""")
_OURS = frozenset({"test"})
"""Extras nobody installs to use this."""
_LOOK_S = 60.0


def extras() -> Iterator[Finding]:
    """What each extra lacks; nothing where this package runs without being installed."""
    try:
        requirements = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        return
    needs: dict[str, set[str]] = {}
    for found in filter(None, map(_REQUIREMENT.match, requirements)):
        own = needs.setdefault(found["extra"], set())
        own |= {f"[{found['of']}]" if found["name"] == _PACKAGE else found["name"]}
    for extra in sorted(set(needs) - _OURS):
        lacking = sorted(name for name in _resolved(needs, extra) if not _installed(name))
        said = "everything it needs is installed"
        if lacking:
            said = f"not installed, for want of {', '.join(lacking)}: pip install '{_PACKAGE}[{extra}]' if it is needed"
        yield Finding(f"extra {extra}", State.OK, said)


def _resolved(needs: dict[str, set[str]], extra: str) -> Iterator[str]:
    """Names of packages; an extra that stands on another has what that has."""
    for name in needs.get(extra, ()):
        if name.startswith("["):
            yield from _resolved(needs, name[1:-1])
        else:
            yield name


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


async def lightrag() -> Finding:
    """Which LightRAG is installed, and what can be done with it while it runs. Its own process looks: making a LightRAG
    takes seconds and leaves traces.
    """
    if util.find_spec("lightrag") is None:
        said = "not installed here: of a running one, snapshots are taken from outside (--server-url)"
        return Finding("LightRAG", State.OK, said)
    words = [sys.executable, "-m", "lightrag_bkp.sources.installed"]
    looking = await asyncio.create_subprocess_exec(
        *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_LOOK_S):
            answer, complained = await looking.communicate()
    except TimeoutError:
        return Finding("LightRAG", State.WARNING, f"it is installed, and could not be made in {_LOOK_S:.0f} s")
    finally:
        if looking.returncode is None:
            looking.kill()
            await looking.wait()
    if looking.returncode:
        why = (complained.decode("utf-8", "replace").strip().splitlines() or ["no reason given"])[-1]
        return Finding("LightRAG", State.WARNING, f"it is installed, and cannot be made: {why}")
    return _judged(json.loads(answer.splitlines()[-1]))


def _judged(found: dict[str, object]) -> Finding:
    lacking = found["lacking"]
    assert isinstance(lacking, list)
    said = f"{found['version']}; in its process a cut is {found['idle']} when it is idle"
    said += f", {found['busy']} when it works" if found["busy"] else ", and waits when it works"
    said += f"; after a restore {'it goes on' if found['reloads'] else 'it must be restarted'}"
    if lacking:
        return Finding("LightRAG", State.WARNING, f"{said}; it has no {', '.join(map(str, lacking))}")
    return Finding("LightRAG", State.OK, said)
