"""Settings: which source wins, what is refused, and by which name."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightrag_bkp import config, secret
from lightrag_bkp.config import GraphSettings, Settings, load, parse_graphs
from lightrag_bkp.errors import ConfigurationError, InvalidInputError
from lightrag_bkp.limits import RECOVERY_VARIABLES, RecoverySettings, ReplicationSettings, ServerSettings
from lightrag_bkp.models import RetentionPolicy
from lightrag_bkp.settings import every, table


def write_config(directory: Path, text: str) -> Path:
    path = directory / "lightrag-bkp.toml"
    path.write_text(text)
    return path


def test_nothing_set_gives_the_defaults(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    assert (settings.storage_path, settings.graphs, settings.retention_days) == (None, (), 30)
    assert settings.origin == {}


def test_everything_from_the_environment(tmp_path: Path) -> None:
    settings = load(
        {
            "LIGHTRAG_BACKUP_STORAGE_PATH": "store",
            "LIGHTRAG_BACKUP_GRAPHS": "one=/data/one, two=two:ws",
            "LIGHTRAG_BACKUP_RETENTION_DAYS": "7",
            "LIGHTRAG_BACKUP_THREADS": "2",
            "LIGHTRAG_BACKUP_JOBS": "5",
        },
        tmp_path,
    )
    assert settings.storage_path == str(tmp_path / "store")
    assert settings.graphs == (GraphSettings("one", "/data/one"), GraphSettings("two", str(tmp_path / "two"), "ws"))
    assert (settings.retention_days, settings.threads, settings.jobs) == (7, 2, 5)
    assert settings.origin["storage_path"] == "environment LIGHTRAG_BACKUP_STORAGE_PATH"


def test_recovery_from_file_and_environment(tmp_path: Path) -> None:
    write_config(tmp_path, '[recovery]\nmax_backup_age_hours = 2\nmax_drill_age_days = 7\nscratch_dir = "scratch"')
    settings = load({"LIGHTRAG_RECOVERY_MAX_DRILL_AGE_DAYS": "0.5"}, tmp_path)
    assert settings.recovery == RecoverySettings(2, 0.5, str(tmp_path / "scratch"))
    assert settings.origin["recovery"] == "environment LIGHTRAG_RECOVERY_MAX_DRILL_AGE_DAYS"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[recovery]\nmax_backup_age_hours = 0", "max_backup_age_hours 0"),
        ("[recovery]\nmax_drill_age_days = true", "max_drill_age_days True"),
        ("[recovery]\nmax_age = 1", "unknown key 'max_age'"),
        ("recovery = 1", "recovery must be a table"),
        ("[recovery]\nscratch_dir = 1", "scratch_dir must be a text"),
    ],
)
def test_what_recovery_cannot_be(tmp_path: Path, text: str, said: str) -> None:
    write_config(tmp_path, text)
    with pytest.raises(ConfigurationError, match=said):
        load({}, tmp_path)


def test_recovery_from_the_environment_must_be_numbers(tmp_path: Path) -> None:
    for text in ("soon", "nan", "-1"):
        with pytest.raises(ConfigurationError, match="LIGHTRAG_RECOVERY_MAX_BACKUP_AGE_HOURS cannot be used"):
            load({"LIGHTRAG_RECOVERY_MAX_BACKUP_AGE_HOURS": text}, tmp_path)


def test_everything_from_the_file(tmp_path: Path) -> None:
    path = write_config(
        tmp_path,
        """
        storage_path = "store"
        retention_days = 0
        threads = 3
        jobs = 1
        [retention]
        keep_daily = 7
        [graphs.support]
        source_dir = "rag"
        workspace = "support"
        input_dir = "/srv/inputs"
        server_url = "http://127.0.0.1:9621"
        """,
    )
    settings = load({}, tmp_path)
    assert settings.storage_path == str(tmp_path / "store")
    assert settings.graphs == (
        GraphSettings("support", str(tmp_path / "rag"), "support", "/srv/inputs", "http://127.0.0.1:9621"),
    )
    assert (settings.retention_days, settings.threads, settings.jobs) == (0, 3, 1)
    assert settings.retention.keep_daily == 7
    assert settings.origin == dict.fromkeys(settings.origin, f"file {path}")


def test_threads_and_jobs_follow_the_machine_unless_set() -> None:
    machine = min(len(os.sched_getaffinity(0)), 4)
    found = [
        (settings.effective_threads, settings.effective_jobs)
        for settings in (Settings(), Settings(threads=7), Settings(jobs=1), Settings(threads=2, jobs=9))
    ]
    assert found == [(machine, machine), (7, 7), (machine, 1), (2, 9)]


def test_environment_beats_the_file_setting_by_setting(tmp_path: Path) -> None:
    write_config(tmp_path, 'storage_path = "/from/file"\nretention_days = 5\n')
    settings = load({"LIGHTRAG_BACKUP_STORAGE_PATH": "/from/env"}, tmp_path)
    assert (settings.storage_path, settings.retention_days) == ("/from/env", 5)
    assert settings.origin["storage_path"].startswith("environment")
    assert settings.origin["retention_days"].startswith("file")


def test_named_file_is_read_and_paths_start_beside_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "backup.toml").write_text('storage_path = "../store"')
    settings = load({"LIGHTRAG_BACKUP_CONFIG": "etc/backup.toml"}, tmp_path)
    assert settings.storage_path == str(tmp_path / "store")


def test_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="LIGHTRAG_BACKUP_CONFIG"):
        load({"LIGHTRAG_BACKUP_CONFIG": "nowhere.toml"}, tmp_path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("storage = 'x'", "'storage'"),
        ("[retention]\nkeep_weeks = 1", "'keep_weeks'"),
        ("[graphs.g]\nsource_dir = '/d'\ndir = 'x'", "'dir'"),
        ("[graphs.g]\nworkspace = 'x'", "source_dir"),
        ("[graphs.'a/b']\nsource_dir = '/d'", "a/b"),
        ("[graphs.g]\nsource_dir = '/d'\nworkspace = '../x'", "../x"),
        ("retention_days = 'month'", "retention_days"),
        ("retention_days = true", "retention_days"),
        ("threads = 0", "threads"),
        ("jobs = 65", "jobs"),
        ("[retention]\nkeep_last = -1", "keep_last"),
        ("graphs = 3", "graphs"),
        ("retention = 3", "retention"),
        ("storage_path = 3", "storage_path"),
        ("storage_path = ", "lightrag-bkp.toml"),
        ("storage_path = ''", "storage_path is ''"),
        ("storage_path = ' '", "storage_path is ' '"),
        (r'storage_path = "a\u0000b"', "storage_path is 'a"),
        ("storage_path = '~nobody-of-this-name/x'", "no such home directory"),
        ("passphrase_file = ''", "passphrase_file is ''"),
        ("key_file = ''", "key_file is ''"),
        ("[recovery]\nscratch_dir = ''", "scratch_dir is ''"),
        ("[graphs.g]\nsource_dir = ''", "source_dir"),
        ("[graphs.g]\nsource_dir = '/d'\ninput_dir = ''", "[graphs.g] input_dir is ''"),
        ("[graphs.g]\nsource_dir = '/d'\nserver_url = ''", "[graphs.g] server_url"),
        ("[graphs.g]\nsource_dir = '/d'\nserver_url = 'ftp://x'", "[graphs.g] server_url"),
        ("[retention]\nkeep_within = '30d'", "'keep_within'"),
        ("[retention]\nkeep_within_s = '30d'", "keep_within_s"),
        ("[retention]\nkeep_within_s = nan", "keep_within_s nan"),
        ("x = " + "[" * 100_000, "is no TOML"),
    ],
)
def test_file_is_refused_naming_what_is_wrong(tmp_path: Path, text: str, named: str) -> None:
    path = write_config(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load({}, tmp_path)
    assert named in str(caught.value)
    assert str(path) in str(caught.value) or "[" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("LIGHTRAG_BACKUP_RETENTION_DAYS", "soon"),
        ("LIGHTRAG_BACKUP_RETENTION_DAYS", "-1"),
        ("LIGHTRAG_BACKUP_THREADS", "0"),
        ("LIGHTRAG_BACKUP_GRAPHS", "justname"),
        ("LIGHTRAG_BACKUP_GRAPHS", "g=/a,g=/b"),
        ("LIGHTRAG_BACKUP_GRAPHS", "../g=/a"),
    ],
)
def test_variable_is_named_when_its_value_cannot_be_used(tmp_path: Path, variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        load({variable: text}, tmp_path)


def make(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_bytes(b'storage_path = "\xff"')


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("kind", "said"), [("pipe", "is no file"), ("directory", "is no file"), ("latin-1", "is not in UTF-8")]
)
def test_what_is_no_text_file_is_refused_and_not_waited_for(tmp_path: Path, kind: str, said: str, named: bool) -> None:
    make(tmp_path / "lightrag-bkp.toml", kind)
    with pytest.raises(ConfigurationError, match=said):
        load({"LIGHTRAG_BACKUP_CONFIG": "lightrag-bkp.toml"} if named else {}, tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "lightrag-bkp.toml").write_text('storage_path = "/x"', "utf-8-sig")
    assert load({}, tmp_path).storage_path == "/x"


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    write_config(tmp_path, 'storage_path = "/from/file"')
    names = ("STORAGE_PATH", "GRAPHS", "CONFIG", "RETENTION_DAYS", "THREADS", "JOBS", "PASSPHRASE", "PASSPHRASE_FILE")
    empty = dict.fromkeys(f"LIGHTRAG_BACKUP_{name}" for name in (*names, "KEY_FILE")) | dict.fromkeys(
        RECOVERY_VARIABLES.values()
    )
    assert load(dict.fromkeys(empty, ""), tmp_path) == load({}, tmp_path)
    with pytest.raises(ConfigurationError, match="LIGHTRAG_BACKUP_STORAGE_PATH cannot be used"):
        load({"LIGHTRAG_BACKUP_STORAGE_PATH": " "}, tmp_path)


def test_colon_before_a_slash_belongs_to_the_directory(tmp_path: Path) -> None:
    assert parse_graphs("g=/mnt/a:b/rag", tmp_path) == (GraphSettings("g", "/mnt/a:b/rag"),)
    assert parse_graphs("g=/mnt/a:b/rag:ws", tmp_path) == (GraphSettings("g", "/mnt/a:b/rag", "ws"),)


def test_spaces_around_the_equals_sign_are_nobodys(tmp_path: Path) -> None:
    assert parse_graphs(" g = /mnt/a:ws , h= /b", tmp_path) == (
        GraphSettings("g", "/mnt/a", "ws"),
        GraphSettings("h", "/b"),
    )


def test_same_graph_twice_the_same_way_is_one(tmp_path: Path) -> None:
    assert len(parse_graphs("g=/a,g=/a,", tmp_path)) == 1
    with pytest.raises(InvalidInputError, match="twice"):
        parse_graphs("g=/a,g=/a:w", tmp_path)


def test_importing_the_package_loads_neither_core_nor_event_loop_nor_logging() -> None:
    heavy = ("asyncio", "logging", "lightrag_bkp._core")
    code = f"import lightrag_bkp.cli, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"


def test_the_page_of_settings_is_current() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
    assert page.read_text("utf-8").endswith("\n\n" + table()), "run scripts/settings"


def test_every_setting_that_is_read_is_told_of() -> None:
    told = every()
    read = {*config._VARIABLES.values(), *(variable for one in config._SECTIONS for variable in one.variables.values())}
    secrets = (secret.PASSPHRASE_VARIABLE, secret.PASSPHRASE_FILE_VARIABLE, secret.KEY_FILE_VARIABLE)
    assert {one.variable for one in told} - {""} == {*read, config.CONFIG_VARIABLE, config.REMOTE_VARIABLE, *secrets}
    members = {
        "server": ServerSettings,
        "retention": RetentionPolicy,
        "recovery": RecoverySettings,
        "replication": ReplicationSettings,
    }
    for section, made in members.items():
        assert [one.key for one in told if one.key.startswith(f"{section}.")] == [
            f"{section}.{field.name}" for field in dataclasses.fields(made)
        ]


def test_the_server_is_set_by_file_and_environment(tmp_path: Path) -> None:
    write_config(tmp_path, "[server]\nenabled = false\nuploads = true")
    found = load({"LIGHTRAG_BACKUP_ENABLED": "true", "LIGHTRAG_BACKUP_ALLOW_OPEN": "true"}, tmp_path).server
    assert found == ServerSettings(enabled=True, allow_open=True, uploads=True)
    with pytest.raises(ConfigurationError, match="LIGHTRAG_BACKUP_UPLOADS cannot be used: 'yes' is neither"):
        load({"LIGHTRAG_BACKUP_UPLOADS": "yes"}, tmp_path)
