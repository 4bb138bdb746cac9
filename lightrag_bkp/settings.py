"""Every setting there is, with its default and its meaning: docs/settings.md is made of it (`scripts/settings`), and a
test holds it against what `config` reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import config
from .limits import RECOVERY_VARIABLES, REPLICATION_VARIABLES, SERVER_VARIABLES
from .secret import KEY_FILE_VARIABLE, PASSPHRASE_FILE_VARIABLE, PASSPHRASE_VARIABLE


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        key: in `lightrag-bkp.toml`, with its table; "" where only the environment has it. variable: the environment's
            name; "" where only the file has it. default: as it would be written; "" for none. meaning: half a sentence.
    """

    key: str
    variable: str
    default: str
    meaning: str


_TOP: tuple[tuple[str, str, str], ...] = (
    ("storage_path", config.STORAGE_VARIABLE, "where repositories lie; on another device than the graphs"),
    ("graphs", config.GRAPHS_VARIABLE, "`name=directory[:workspace],…`; in the file a table `[graphs.name]` each"),
    ("retention_days", config.RETENTION_VARIABLE, "given to new snapshots; 0 keeps them for ever"),
    ("threads", config.THREADS_VARIABLE, "of the core, in each process; one for each processor, four at most"),
    ("jobs", config.JOBS_VARIABLE, "backups, restores, … at once in each process; as many as threads"),
    ("", config.CONFIG_VARIABLE, "where the file is"),
    ("", config.REMOTE_VARIABLE, "URL of the server through which commands work, as `--server` says; here"),
    ("", PASSPHRASE_VARIABLE, "what seals and opens the storage path; one of these three"),
    ("passphrase_file", PASSPHRASE_FILE_VARIABLE, "a file whose content is the passphrase"),
    ("key_file", KEY_FILE_VARIABLE, "a file of 32 random bytes, mode 0600"),
)
_SERVER = {
    "enabled": "false starts LightRAG's own server and nothing else",
    "allow_open": "offer the routes where LightRAG asks for neither key nor password",
    "uploads": "snapshots of the served graph take LightRAG's `INPUT_DIR` as well",
}
_RECOVERY = {
    "max_backup_age_hours": "an older newest backup is a problem",
    "max_drill_age_days": "so is an older newest drill",
    "scratch_dir": "where drills restore to; the system's directory for temporary files",
}
_REPLICATION = {
    "database_url": "where targets, operations and events are kept, as SQLAlchemy names it; SQLite in the storage path",
    "key_file": "what seals the targets' API keys there; beside the database",
    "bytes_per_second": "of all that one process sends; as fast as it goes",
    "after_snapshot": "send each snapshot to its graph's targets at once",
}
_RETENTION = {
    "days": "honour each snapshot's own days",
    "keep_last": "keep the newest so many",
    **{f"keep_{unit}": f"keep the last one of each of so many {units}" for unit, units in (
        ("hourly", "hours"), ("daily", "days"), ("weekly", "weeks"), ("monthly", "months"), ("yearly", "years"),
    )},
    "keep_within_s": "keep everything younger, in seconds",
    "minimum": "so many of the newest always stay",
}  # fmt: skip
_GRAPH = {
    "source_dir": "LightRAG's working directory, or any other directory",
    "workspace": "of LightRAG; the unnamed one",
    "input_dir": "LightRAG's input directory, to keep uploads and parsed documents as well",
    "server_url": "of a LightRAG server in another process that has the graph open",
}


def every() -> list[Setting]:
    """All settings, in the order in which one reads about them."""
    defaults = config.Settings()
    tables: tuple[tuple[str, Any, Mapping[str, str], Mapping[str, str]], ...] = (
        ("server", defaults.server, _SERVER, SERVER_VARIABLES),
        ("retention", defaults.retention, _RETENTION, {}),
        ("recovery", defaults.recovery, _RECOVERY, RECOVERY_VARIABLES),
        ("replication", defaults.replication, _REPLICATION, REPLICATION_VARIABLES),
    )
    rows = [Setting(key, variable, _written(getattr(defaults, key, None)), said) for key, variable, said in _TOP]
    for table, values, meanings, variables in tables:
        rows += [
            Setting(f"{table}.{name}", variables.get(name, ""), _written(getattr(values, name)), said)
            for name, said in meanings.items()
        ]
    return [*rows, *(Setting(f"graphs.name.{name}", "", "", said) for name, said in _GRAPH.items())]


def table() -> str:
    """The settings as a table in Markdown."""
    lines = ["| environment | file | default | meaning |", "| --- | --- | --- | --- |"]
    for one in every():
        cells = (_code(one.variable), _code(one.key), _code(one.default), one.meaning)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    match value:
        case None | ():
            return ""
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
