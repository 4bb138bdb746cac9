"""Settings from the environment and from `lightrag-bkp.toml`.

The environment beats the file, the file beats the defaults, and every setting remembers where it came from. Nothing
here touches a repository; the modules that do the work take values, never settings.

    storage_path = "/var/backups/lightrag"      # LIGHTRAG_BACKUP_STORAGE_PATH
    retention_days = 30                         # LIGHTRAG_BACKUP_RETENTION_DAYS
    threads = 4                                 # LIGHTRAG_BACKUP_THREADS: of the core, in each process
    jobs = 4                                    # LIGHTRAG_BACKUP_JOBS: backups, restores, ... at once; others wait
    passphrase_file = "/run/secrets/backup"     # LIGHTRAG_BACKUP_PASSPHRASE_FILE, or LIGHTRAG_BACKUP_PASSPHRASE
    key_file = "backup.key"                     # LIGHTRAG_BACKUP_KEY_FILE; one of the two

    [retention]                                 # the members of RetentionPolicy
    keep_daily = 7

    [recovery]                                  # the members of RecoverySettings
    max_backup_age_hours = 26                   # LIGHTRAG_RECOVERY_MAX_BACKUP_AGE_HOURS
    max_drill_age_days = 31                     # LIGHTRAG_RECOVERY_MAX_DRILL_AGE_DAYS
    scratch_dir = "/var/tmp"                    # LIGHTRAG_RECOVERY_SCRATCH_DIR

    [replication]                               # the members of ReplicationSettings
    database_url = "postgresql+psycopg://..."   # LIGHTRAG_REPLICATION_DATABASE_URL
    key_file = "replication.key"                # LIGHTRAG_REPLICATION_KEY_FILE
    bytes_per_second = 10_000_000               # LIGHTRAG_REPLICATION_BYTES_PER_SECOND: of all that is sent
    after_snapshot = true                       # LIGHTRAG_REPLICATION_AFTER_SNAPSHOT: send each one at once

    [server]                                    # the members of ServerSettings
    enabled = true                              # LIGHTRAG_BACKUP_ENABLED: false starts plain LightRAG
    allow_open = false                          # LIGHTRAG_BACKUP_ALLOW_OPEN: routes without a key
    uploads = false                             # LIGHTRAG_BACKUP_UPLOADS: snapshots take the server's input directory

    [graphs.support]                            # LIGHTRAG_BACKUP_GRAPHS="support=/srv/rag_storage:support,..."
    source_dir = "/srv/rag_storage"
    workspace = "support"
    input_dir = "/srv/inputs"
    server_url = "http://127.0.0.1:9621"

Relative paths in the file start at the file's directory. The path of the file itself is LIGHTRAG_BACKUP_CONFIG. An
empty variable counts as unset, as shells and container files leave them; an empty text in the file is refused.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from .arguments import check_graph_id, check_retention_days, check_server_url, check_workspace, refuse_url
from .errors import ConfigurationError, InvalidInputError
from .limits import (
    RECOVERY_VARIABLES,
    REPLICATION_VARIABLES,
    SERVER_VARIABLES,
    RecoverySettings,
    ReplicationSettings,
    ServerSettings,
)
from .models import RetentionPolicy
from .secret import Secret, from_environment, named

STORAGE_VARIABLE = "LIGHTRAG_BACKUP_STORAGE_PATH"
GRAPHS_VARIABLE = "LIGHTRAG_BACKUP_GRAPHS"
CONFIG_VARIABLE = "LIGHTRAG_BACKUP_CONFIG"
REMOTE_VARIABLE = "LIGHTRAG_BACKUP_SERVER"
"""Only the program reads it (cli/session.py): all it does goes through the server there."""
RETENTION_VARIABLE = "LIGHTRAG_BACKUP_RETENTION_DAYS"
THREADS_VARIABLE = "LIGHTRAG_BACKUP_THREADS"
JOBS_VARIABLE = "LIGHTRAG_BACKUP_JOBS"
CONFIG_FILE = "lightrag-bkp.toml"

DEFAULT_RETENTION_DAYS = 30
DEFAULT_MOST_THREADS = 4
MAX_THREADS = 64
MAX_JOBS = 64


@dataclass(frozen=True)
class GraphSettings:
    """Where one configured graph lives."""

    graph_id: str
    source_dir: str
    workspace: str = ""
    input_dir: str | None = None
    server_url: str | None = None


@dataclass(frozen=True)
class Settings:
    """All settings. `origin` says for each one that was set where it came from ("environment NAME" or "file PATH"), and
    for each member of a table as well ("recovery.scratch_dir").

    `threads` and `jobs` bound what a process uses: `jobs` is how many backups, restores, verifications and prunes are
    worked on at once, by `threads` threads. Each takes some 20 MB, and a backup or prune the index of its repository
    besides (20 bytes a chunk).
    """

    storage_path: str | None = None
    graphs: tuple[GraphSettings, ...] = ()
    retention_days: int = DEFAULT_RETENTION_DAYS
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    recovery: RecoverySettings = field(default_factory=RecoverySettings)
    replication: ReplicationSettings = field(default_factory=ReplicationSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    threads: int | None = None
    jobs: int | None = None
    secret: Secret | None = None
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def effective_threads(self) -> int:
        """As set, or one for each processor this process may use, four at most."""
        return self.threads or min(len(os.sched_getaffinity(0)), DEFAULT_MOST_THREADS)

    @property
    def effective_jobs(self) -> int:
        """As set, or as many as threads."""
        return self.jobs or self.effective_threads


def load(environ: Mapping[str, str] | None = None, directory: str | os.PathLike[str] = ".") -> Settings:
    """Reads the settings.

    Args:
        environ: the environment; the process's own by default.
        directory: where `lightrag-bkp.toml` is looked for, and where relative paths of the environment start.

    Raises:
        ConfigurationError: an unknown key, a value that cannot be used, or a named file that cannot be read.
    """
    env = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    path = _config_path(env, Path(directory))
    if path is not None:
        values, within = _from_file(path)
        origin = dict.fromkeys([*values, *within], f"file {path}")
    for name, value in _from_environment(env, Path(directory)).items():
        values[name] = value
        origin[name] = f"environment {_VARIABLES[name]}"
    secret = from_environment(env, directory)
    if secret is not None:
        values["secret"], origin["secret"] = secret, f"environment {secret.origin}"
    for section in _SECTIONS:
        for name, value in _read_variables(env, section.variables, section.readers(Path(directory))).items():
            variable = section.variables[name]
            try:
                known: Any = values.get(section.name) or section.made()
                values[section.name] = replace(known, **{name: value})
            except InvalidInputError as error:
                raise ConfigurationError(f"{variable} cannot be used: {error}", target=variable) from None
            origin[section.name] = origin[f"{section.name}.{name}"] = f"environment {variable}"
    return Settings(**values, origin=origin)


def parse_graphs(text: str, directory: Path) -> tuple[GraphSettings, ...]:
    """Reads `name=dir[:workspace],...`. A colon counts only when no '/' follows it."""
    graphs: dict[str, GraphSettings] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, place = (word.strip() for word in part.partition("="))
        if not equals or not place:
            raise InvalidInputError(f"{part!r} is not of the form name=directory[:workspace]")
        source_dir, colon, workspace = place.rpartition(":")
        if not colon or "/" in workspace:
            source_dir, workspace = place, ""
        graph = _graph(name, {"source_dir": source_dir, "workspace": workspace}, directory)
        if graphs.setdefault(graph.graph_id, graph) != graph:
            raise InvalidInputError(f"graph {graph.graph_id!r} is named twice with different places")
    return tuple(graphs.values())


def _config_path(env: Mapping[str, str], directory: Path) -> Path | None:
    named = env.get(CONFIG_VARIABLE, "")
    path = directory / (named or CONFIG_FILE)
    if not named and not os.path.lexists(path):
        return None
    # A pipe would block whoever opens it; a directory of this name is a mistake that must not go unseen.
    if not os.path.isfile(path):
        said = f"{str(path)!r} is no file: remove or replace it"
        if named:
            said = f"{CONFIG_VARIABLE} names {str(path)!r}, which is no file: correct or unset it"
        raise ConfigurationError(said, target=str(path))
    return path


def _from_environment(env: Mapping[str, str], directory: Path) -> dict[str, Any]:
    readers: dict[str, Callable[[str], Any]] = {
        "storage_path": lambda text: _path(text, directory, "it"),
        "graphs": lambda text: parse_graphs(text, directory),
        "retention_days": lambda text: check_retention_days(_whole(text)),
        "threads": lambda text: _count(_whole(text), "threads", MAX_THREADS),
        "jobs": lambda text: _count(_whole(text), "jobs", MAX_JOBS),
    }
    return _read_variables(env, _VARIABLES, readers)


@dataclass(frozen=True)
class _Section:
    """A table of the file whose members have variables of their own: what it becomes, and which members are what."""

    name: str
    made: Callable[..., Any]
    variables: Mapping[str, str]
    paths: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()

    def readers(self, directory: Path) -> dict[str, Callable[[str], Any]]:
        """How the text of each member's variable is read."""
        paths = dict.fromkeys(self.paths, lambda text: _path(text, directory, "it"))
        others = dict.fromkeys(self.numbers, _number) | dict.fromkeys(self.texts, str)
        return {**paths, **others, **dict.fromkeys(self.switches, _switch)}


_SECTIONS = (
    _Section(
        "recovery",
        RecoverySettings,
        RECOVERY_VARIABLES,
        paths=("scratch_dir",),
        numbers=("max_backup_age_hours", "max_drill_age_days"),
    ),
    _Section(
        "replication",
        ReplicationSettings,
        REPLICATION_VARIABLES,
        paths=("key_file",),
        numbers=("bytes_per_second",),
        texts=("database_url",),
        switches=("after_snapshot",),
    ),
    _Section("server", ServerSettings, SERVER_VARIABLES, switches=tuple(SERVER_VARIABLES)),
)


def _read_variables(
    env: Mapping[str, str], variables: Mapping[str, str], readers: Mapping[str, Callable[[str], Any]]
) -> dict[str, Any]:
    values = {}
    for name, read in readers.items():
        variable = variables[name]
        text = env.get(variable, "")
        if not text:
            continue
        try:
            values[name] = read(text)
        except InvalidInputError as error:
            raise ConfigurationError(f"{variable} cannot be used: {error}", target=variable) from None
    return values


def _from_file(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The settings, and the names of those within tables, as "recovery.scratch_dir"."""
    import tomllib  # only where there is a file: it costs start-up time

    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))  # some editors put a byte order mark first
    except UnicodeDecodeError as error:
        said = f"{path} is not in UTF-8 (at byte {error.start}): save it in that encoding"
        raise ConfigurationError(said, target=str(path)) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}", target=str(path)) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}", target=str(path)) from None
    directory = path.resolve().parent
    readers: dict[str, Callable[[Any], Any]] = {
        "storage_path": lambda value: _path(_text(value, "storage_path"), directory, "storage_path"),
        "graphs": lambda value: _graphs_table(value, directory),
        "retention_days": check_retention_days,
        "retention": _policy,
        **{one.name: partial(_section_table, one, directory) for one in _SECTIONS},
        "threads": lambda value: _count(value, "threads", MAX_THREADS),
        "jobs": lambda value: _count(value, "jobs", MAX_JOBS),
        "passphrase_file": lambda value: _path(_text(value, "passphrase_file"), directory, "passphrase_file"),
        "key_file": lambda value: _path(_text(value, "key_file"), directory, "key_file"),
    }
    _refuse_unknown(table, readers, str(path))
    try:
        values = {name: readers[name](value) for name, value in table.items()}
    except InvalidInputError as error:
        raise ConfigurationError(f"{path}: {error}", target=str(path)) from None
    within = [f"{name}.{member}" for name, value in table.items() if isinstance(value, dict) for member in value]
    secret = named(None, values.pop("passphrase_file", None), values.pop("key_file", None))
    return (values if secret is None else {**values, "secret": secret}), within


def _graphs_table(value: Any, directory: Path) -> tuple[GraphSettings, ...]:
    if not isinstance(value, dict):
        raise InvalidInputError("graphs must be tables such as [graphs.name]")
    return tuple(_graph(name, keys, directory) for name, keys in value.items())


def _graph(name: str, keys: Any, directory: Path) -> GraphSettings:
    check_graph_id(name)
    where = f"[graphs.{name}]"
    if not isinstance(keys, dict):
        raise InvalidInputError(f"{where} must be a table")
    _refuse_unknown(keys, {f.name for f in fields(GraphSettings)} - {"graph_id"}, where)
    texts = {key: _text(value, f"{where} {key}") for key, value in keys.items()}
    if not texts.get("source_dir"):
        raise InvalidInputError(f"{where} needs source_dir, the working directory of the graph")
    return GraphSettings(
        graph_id=name,
        source_dir=_path(texts["source_dir"], directory, f"{where} source_dir"),
        workspace=check_workspace(texts.get("workspace", "")),
        input_dir=_path(texts["input_dir"], directory, f"{where} input_dir") if "input_dir" in texts else None,
        server_url=check_server_url(texts["server_url"], f"{where} server_url") if "server_url" in texts else None,
    )


def _policy(value: Any) -> RetentionPolicy:
    if not isinstance(value, dict):
        raise InvalidInputError("retention must be a table")
    _refuse_unknown(value, {f.name for f in fields(RetentionPolicy)}, "[retention]")
    try:
        return RetentionPolicy(**value)
    except InvalidInputError as error:
        raise InvalidInputError(f"[retention] {error}") from None


def _section_table(section: _Section, directory: Path, value: Any) -> Any:
    if not isinstance(value, dict):
        raise InvalidInputError(f"{section.name} must be a table")
    _refuse_unknown(value, {f.name for f in fields(section.made)}, f"[{section.name}]")  # type: ignore[arg-type]
    try:
        places = {one: _path(_text(value[one], one), directory, one) for one in section.paths if one in value}
        return section.made(**value | places)
    except InvalidInputError as error:
        raise InvalidInputError(f"[{section.name}] {error}") from None


def _refuse_unknown(table: Mapping[str, Any], known: Any, where: str) -> None:
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigurationError(f"{where} holds the unknown key {unknown[0]!r}: known are {', '.join(sorted(known))}")


def _path(text: str, directory: Path, name: str) -> str:
    """An empty path would mean the current directory, which nobody asked for."""
    if not text.strip() or "\0" in text:
        raise InvalidInputError(f"{name} is {text!r}: name a place ('.' is the current directory), or leave it out")
    refuse_url(text, name)
    try:
        return os.path.abspath(directory / Path(text).expanduser())
    except RuntimeError:
        raise InvalidInputError(f"{name} is {text!r}, and there is no such home directory: write it out") from None


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be a text")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInputError(f"{text!r} is no number") from None


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise InvalidInputError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _whole(text: str) -> int:
    try:
        return int(text, 10)
    except ValueError:
        raise InvalidInputError(f"{text!r} is no whole number") from None


def _count(value: Any, name: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidInputError(f"{name} {value!r} must be a whole number from 1 to {most}")
    return value


_VARIABLES = {
    "storage_path": STORAGE_VARIABLE,
    "graphs": GRAPHS_VARIABLE,
    "retention_days": RETENTION_VARIABLE,
    "threads": THREADS_VARIABLE,
    "jobs": JOBS_VARIABLE,
}
