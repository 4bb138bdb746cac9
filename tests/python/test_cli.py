"""The program's frame: options, settings, errors and exit codes, completion, and what starting it costs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.program import Program

import lightrag_bkp
from lightrag_bkp.sync import GraphBackup

COMMANDS = ["snapshot", "list", "show", "stats", "status", "doctor", "discover", "validate", "verify", "restore"]
COMMANDS += ["delete", "hold", "release", "prune", "replicate", "receive"]
COMMANDS += ["recovery", "target", "key", "replica", "passphrase"]
GROUPS = {
    "recovery": ["create", "list", "show", "validate", "drill", "failover", "delete"],
    "target": ["add", "list", "health", "remove"],
    "key": ["add", "list", "revoke"],
    "replica": ["list", "verify", "restore", "prune"],
    "passphrase": ["add", "remove", "list", "export"],
}


def test_help_names_every_command_and_the_exit_codes(program: Program) -> None:
    told = program.bare("--help").out
    assert [line.split()[0] for line in told.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()] == COMMANDS
    assert "Exit codes: 0 done, 1 failed" in told
    assert "..." not in told.partition("Commands:")[2]


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_names_its_commands(program: Program, group: str) -> None:
    told = program.bare(group, "--help").out.partition("Commands:\n")[2]
    assert [line.split()[0] for line in told.partition("\n\n")[0].splitlines()] == GROUPS[group]
    assert "..." not in told


@pytest.mark.parametrize(
    "command",
    [
        *(one for one in COMMANDS if one not in GROUPS),
        *(f"{group} {verb}" for group, verbs in GROUPS.items() for verb in verbs),
    ],
)
def test_every_command_has_help(program: Program, command: str) -> None:
    told = program.bare(*command.split(), "-h").out
    assert told.startswith(f"Usage: lightrag-bkp {command} ")
    assert "--storage DIR" in told


def test_version(program: Program) -> None:
    assert program.bare("--version").out.strip() == lightrag_bkp.__version__


@pytest.mark.parametrize(
    ("loaded", "heavy"),
    [
        ("lightrag_bkp.cli.app", ("asyncio", "rich", "lightrag", "lightrag_bkp._core", "lightrag_bkp.backup")),
        ("lightrag_bkp.backup", ("hashlib", "tempfile", "lightrag_bkp.restoring.restore", "lightrag_bkp.recovering")),
    ],
    ids=["help", "graphs"],
)
def test_a_start_loads_nothing_heavy_that_it_does_not_need(loaded: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {loaded}; sys.exit([m for m in {heavy} if m in sys.modules] or 0)"
    parent = str(Path(lightrag_bkp.__file__).parents[1])
    ran = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": parent}, capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing command: see lightrag-bkp --help"),
        (("fly",), "No such command 'fly': see lightrag-bkp --help"),
        (("show",), "Missing argument 'GRAPH': see lightrag-bkp show --help"),
        (("list", "--fly"), "No such option: --fly: see lightrag-bkp list --help"),
        (("snapshot", "kept", ".", "--tag", "=x"), "tag '=x' is neither a word nor of the form key=value"),
        (("snapshot", "kept", ".", "--tag", "x=1", "--tag", "x=2"), "tag 'x' is given twice with different values"),
        (("snapshot", "new"), "graph 'new' is not configured: name its SOURCE_DIR, or set LIGHTRAG_BACKUP_GRAPHS"),
        (("prune", "--keep-within", "3"), "--keep-within: '3' is no age: write hours, days, weeks or years as 12h"),
        (("restore", "kept", "latest", ""), "target_dir '' cannot be used: name a directory"),
        (("restore", "kept", "latest", "", "--yes"), "target_dir '' cannot be used: name a directory"),
        (("snapshot", "kept", ""), "source_dir '' cannot be used: name a directory"),
        (("snapshot", "kept", ".", "--input-dir", ""), "input_dir '' cannot be used: name a directory"),
        (("discover", ""), "working_dir '' cannot be used: name a directory"),
        (("list", "--storage", ""), "--storage '' cannot be used: name a directory"),
        (("snapshot", "../kept", "."), "graph id '../kept' cannot be used"),
        (("snapshot", "kept", "--server-url", "http://a b"), "server_url is no http:// or https:// address"),
        (("snapshot", "kept", "--server-url", "here:9621"), "server_url is no http:// or https:// address"),
        (("snapshot", "kept", "--server-url", ""), "server_url is no http:// or https:// address"),
        (
            ("snapshot", "kept", ".", "--server-url", "http://me:word@here"),
            "server_url holds a user, a password or what",
        ),
    ],
)
def test_words_that_cannot_be_used_are_a_usage_error(
    program: Program, kept: GraphBackup, words: tuple[str, ...], said: str
) -> None:
    assert program.sentence(*words, code=2).startswith(said)


@pytest.mark.parametrize(
    "words", [("verify", "kept", "--level", "deep"), ("snapshot", "kept", ".", "--deadline", "-1")]
)
def test_values_that_cannot_be_used_are_named(program: Program, kept: GraphBackup, words: tuple[str, ...]) -> None:
    assert words[-2] in program.sentence(*words, code=2)


def test_what_is_not_there_is_a_failure(program: Program, kept: GraphBackup) -> None:
    assert program.sentence("show", "other", "latest", code=1).endswith("graphs there are kept")
    assert "has no snapshot '1999'" in program.sentence("show", "kept", "1999", code=1)
    assert "is not a directory" in program.sentence("snapshot", "kept2", "/nowhere", code=1)
    assert "is not a directory" in program.sentence("discover", "/nowhere", code=1)
    assert "nothing was backed up yet" in program.bare("--storage", "/nowhere", "list", code=1).err


def test_what_the_system_refuses_is_a_sentence(program: Program, folder: Path) -> None:
    program.storage.write_text("")
    assert "storage" in program.sentence("snapshot", "g", folder, code=2)
    assert "'/proc' cannot be made" in program.bare("--storage", "/proc", "snapshot", "g", folder, code=1).err


def test_errors_are_documents_too(program: Program, kept: GraphBackup) -> None:
    error = program.json("show", "kept", "1999", code=1)["error"]
    assert (error["code"], error["exit_code"], error["target"]) == ("NOT_FOUND", 1, "1999")
    assert "has no snapshot" in error["message"]
    assert program.json("show", code=2)["error"]["code"] == "USAGE"


def test_options_stand_before_or_after_the_command(program: Program, kept: GraphBackup) -> None:
    before = program.bare("--storage", program.storage, "--json", "list").document
    after = program.bare("list", "--json", "--storage", program.storage).document
    assert before == after


def test_quiet_leaves_out_closing_words_and_nothing_that_was_asked_for(program: Program, folder: Path) -> None:
    assert program("--quiet", "snapshot", "g", folder).out == ""
    assert "g" in program("--quiet", "list").out


def test_verbose_logs_to_stderr(program: Program, folder: Path) -> None:
    program.environ["LIGHTRAG_API_KEY"] = "secret"
    ran = program("-v", "snapshot", "g", folder)
    assert "event=snapshot graph=g" in ran.err
    assert "secret" not in ran.err


def test_storage_by_option_beats_environment_beats_file(program: Program, kept: GraphBackup) -> None:
    for name in ("environment", "file"):
        (program.directory / name).mkdir()
    config = program.directory / "lightrag-bkp.toml"
    config.write_text('storage_path = "file"\n')
    assert program.bare("stats", "--json").document["storage_path"] == str(program.directory / "file")
    program.environ["LIGHTRAG_BACKUP_STORAGE_PATH"] = str(program.directory / "environment")
    assert program.bare("stats", "--json").document["storage_path"] == str(program.directory / "environment")
    assert program.json("stats")["storage_path"] == str(program.storage)


def test_other_settings_hold_whatever_names_the_storage(program: Program, folder: Path) -> None:
    (program.directory / "elsewhere.toml").write_text(
        'retention_days = 7\n[graphs.g]\nsource_dir = "folder"\n[graphs.h]\nsource_dir = "nowhere"\n'
    )
    program.environ["LIGHTRAG_BACKUP_CONFIG"] = "elsewhere.toml"
    assert program.json("snapshot", "g")["snapshot"]["retention_days"] == 7
    program.environ["LIGHTRAG_BACKUP_RETENTION_DAYS"] = "0"
    assert program.json("snapshot", "g")["snapshot"]["retention_until"] is None
    assert "another source_dir" in program.sentence("snapshot", "g", program.directory, code=1)


def test_settings_that_cannot_be_used_are_named(program: Program) -> None:
    (program.directory / "lightrag-bkp.toml").write_text("colour = 1\n")
    assert "unknown key 'colour'" in program.sentence("list", code=2)
    (program.directory / "lightrag-bkp.toml").unlink()
    assert "LIGHTRAG_BACKUP_STORAGE_PATH" in program.bare("list", code=2).err


def test_a_reader_that_goes_away_is_no_error(program: Program, kept: GraphBackup) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with program.started("--storage", program.storage, "list", stdout=writing) as process:
        os.close(writing)
        assert program.ended(process, 141).err == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list",), "standard output: No space left on device: the answer is lost"),
        (("list", "--json"), "standard output: No space left on device: the answer is lost"),
        (("show", "kept", "1999", "--json"), "graph 'kept' has no snapshot '1999': a listing names all"),
    ],
)
def test_an_answer_that_cannot_be_written_is_a_sentence(
    program: Program, kept: GraphBackup, words: tuple[str, ...], said: str
) -> None:
    with open("/dev/full", "w") as full, program.started("--storage", program.storage, *words, stdout=full) as process:
        assert program.ended(process, 1).err == f"lightrag-bkp: {said}\n"


def hooked(program: Program, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with `code` in place of the installed script."""
    environ = {**os.environ, "PYTHONPATH": str(Path(lightrag_bkp.__file__).parents[1])}
    command = [sys.executable, "-c", code, "--storage", str(program.storage), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environ, cwd=program.directory)


STRUCK_OUTSIDE = """
import atexit, importlib.abc, os, sys

def struck():
    os.kill(os.getpid(), {number})

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {when!r}:
            struck()

sys.meta_path.insert(0, Finder())
from lightrag_bkp.cli import main
if {when!r} == "at exit":
    atexit.register(struck)
sys.argv[0] = "lightrag-bkp"
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "when", ["lightrag_bkp.cli.session", "typer", "lightrag_bkp.backup", "lightrag_bkp._core", "asyncio", "at exit"]
)
def test_a_signal_before_or_after_the_work_ends_the_program_quietly(
    program: Program, kept: GraphBackup, when: str, number: signal.Signals
) -> None:
    ran = hooked(program, STRUCK_OUTSIDE.format(when=when, number=int(number)), "verify", "kept")
    assert (ran.returncode, ran.stderr) == (-number, "")  # what a shell calls 128 and the number
    assert [one.backup_id for one in kept.list_snapshots()] and kept.verify_snapshot().ok


STRUCK_AT_WORK = """
import os, sys
from lightrag_bkp.cli import main
from lightrag_bkp import _bridge
run = _bridge.run

async def struck(job, *words, **options):
    import asyncio
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), {number})
    return await run(job, *words, **options)

_bridge.run = struck
sys.argv[0] = "lightrag-bkp"
sys.exit(main())
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_verification_that_is_interrupted_ends_quietly(
    program: Program, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    big = tmp_path / "big"
    big.mkdir()
    (big / "file").write_bytes(os.urandom(1 << 20) * 64)
    program("snapshot", "big", big)
    ran = hooked(program, STRUCK_AT_WORK.format(number=int(number)), "verify", "big")
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "", "lightrag-bkp: interrupted\n")


def complete(program: Program, line: str) -> list[str]:
    """What bash is offered for the last word of `line`."""
    words = ["lightrag-bkp", "--storage", str(program.storage), *line.split(" ")]
    program.environ |= {
        "_LIGHTRAG_BKP_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    return program.bare().out.split()


def test_the_shell_is_offered_graphs_and_snapshots(program: Program, kept: GraphBackup) -> None:
    ids = [one.backup_id for one in kept.list_snapshots()]
    assert complete(program, "show k") == ["kept"]
    assert complete(program, "show kept ") == ["latest", *reversed(ids)]
    assert complete(program, f"restore kept {ids[0][:-1]}") == [ids[0]]
    assert complete(program, "show x") == []
    program.storage.rename(program.directory / "gone")
    assert complete(program, "show kept ") == []


def test_a_document_is_ascii_whatever_names_are_in_it(program: Program, tmp_path: Path) -> None:
    source = tmp_path / "odd"
    source.mkdir()
    name = os.fsdecode(b"not utf-8 \xff\nline")
    (source / name).write_text("")
    told = program("--json", "snapshot", "g", source)
    assert told.out.isascii()
    assert [item["name"] for item in json.loads(told.out)["snapshot"]["items"]] == [name]
    shown = program("show", "g", "latest").out
    assert r"not utf-8 \udcff\nline" in shown
