"""Every setting as it holds, and who says so. No secret is ever part of it."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from ..config import GraphSettings, Settings
from ..secret import Secret
from ..settings import every
from .findings import Setting

_HIDDEN = frozenset({"replication.database_url"})
"""What may hold a password."""
_BEGINNINGS = ("LIGHTRAG_BACKUP_", "LIGHTRAG_REPLICATION_", "LIGHTRAG_RECOVERY_")
_READ_ELSEWHERE = frozenset({"LIGHTRAG_REPLICATION_API_KEY"})
"""By one command alone: `target add`."""
_EFFECTIVE = {"threads": "effective_threads", "jobs": "effective_jobs"}


def shown(settings: Settings, chosen: Secret | None) -> Iterator[Setting]:
    """All settings, in the order of `Settings`; `chosen` is the passphrase or key that is used."""

    def one(name: str, value: Any) -> Setting:
        hidden = name in _HIDDEN and value is not None
        return Setting(name, "set, not shown" if hidden else _text(value), settings.origin.get(name, "default"))

    for member in fields(settings):
        name, value = member.name, getattr(settings, member.name)
        if name == "origin":
            continue
        if name == "secret":
            origin = settings.origin.get(name, "default") if chosen is settings.secret else "given"
            yield Setting(name, _kind(chosen), origin)
        elif name == "graphs" and value:
            yield from (Setting(f"graphs.{graph.graph_id}", _place(graph), settings.origin[name]) for graph in value)
        elif is_dataclass(value):
            yield from (one(f"{name}.{part.name}", getattr(value, part.name)) for part in fields(value))
        else:
            yield one(name, getattr(settings, _EFFECTIVE.get(name, name)))


def misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    """Names of variables that look like settings and are read by nobody, each with the setting that was meant."""
    known = {one.variable for one in every() if one.variable} | _READ_ELSEWHERE
    for name in sorted(environ):
        if name.startswith(_BEGINNINGS) and name not in known:
            meant = get_close_matches(name, known, 1)
            yield f"{name} is set, and no setting has that name" + (f": is {meant[0]} meant?" if meant else "")


def _kind(chosen: Secret | None) -> str:
    """What opens sealed snapshots, and where it is, without what it is."""
    if chosen is None:
        return "none"
    if chosen.path is None:
        return "a passphrase"
    return f"{'key' if chosen.is_key else 'passphrase'} file {chosen.path}"


def _place(graph: GraphSettings) -> str:
    parts = {"workspace": graph.workspace, "input_dir": graph.input_dir, "server_url": graph.server_url}
    return ", ".join([graph.source_dir, *(f"{name} {value}" for name, value in parts.items() if value)])


def _text(value: Any) -> str:
    if value is None or value == ():
        return "not set"
    return str(value).lower() if isinstance(value, bool) else str(value)
