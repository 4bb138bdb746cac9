"""Processes by a name no other one ever has, so that what somebody began and left can be told from what goes on."""

import os

_STATE, _BEGAN = 0, 19
"""Of the fields of /proc/<pid>/stat behind the name in brackets: its state, and when the process began."""


def name() -> str:
    """The calling process's: the host, its boot, the namespace of process ids, and which process there."""
    return f"{_place()} {os.getpid()} {_began(os.getpid()) or ''}"


def is_gone(name: str) -> bool | None:
    """Whether the process of this name is no more; None: it is of another host or container, and nobody here knows."""
    place, _, process = name.partition(" ")
    pid, _, began = process.partition(" ")
    host, boot, _ = _parts(place)
    here = _place()
    if place == here:
        return not pid.isdigit() or _began(int(pid)) != began
    if (host, boot) == _parts(here)[:2] or host != _parts(here)[0]:
        return None
    return True  # this host was started anew since


def boot() -> str:
    """Which start of this host it is; "" where a sandbox does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def _place() -> str:
    return f"{os.uname().nodename}/{boot()}/{os.readlink('/proc/self/ns/pid')}"


def _parts(place: str) -> tuple[str, str, str]:
    host, _, rest = place.partition("/")
    boot, _, namespace = rest.partition("/")
    return host, boot, namespace


def _began(pid: int) -> str | None:
    """When a process began, in ticks since the host did; None: there is none, or it only waits to be buried."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[_STATE] in "ZX" else fields[_BEGAN]
