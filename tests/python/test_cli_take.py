"""`snapshot` and `discover`: what is taken, when a graph is busy, and what an interrupt leaves."""

import os
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import Popen

import pytest
from support.beside import beside
from support.program import Program, without_override

_MUCH = 50_000_000


@pytest.fixture
def endless_folder(tmp_path: Path) -> Path:
    """A plain directory whose one file no test reads to its end."""
    directory = tmp_path / "endless"
    directory.mkdir()
    (directory / "file").touch()
    os.truncate(directory / "file", 1 << 42)
    return directory


@contextmanager
def rewritten(path: Path) -> Iterator[None]:
    """Replaces a file over and over, as LightRAG does when it works."""
    content = path.read_bytes()

    def work(stop: threading.Event) -> None:
        while not stop.wait(0.05):
            spare = path.with_name(path.name + ".tmp")
            spare.write_bytes(content)
            spare.replace(path)

    with beside(work):
        yield


def wait_until(reached: Callable[[], object], process: Popen[str]) -> None:
    """Returns when a started program has come so far."""
    while not reached():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def bytes_read(process: Popen[str]) -> int:
    return int(Path(f"/proc/{process.pid}/io").read_text().split()[1])


def left_over(storage: Path) -> list[str]:
    return [path.name for path in storage.glob("graphs/g/tmp/*")]


def test_snapshot_of_a_plain_directory(program: Program, folder: Path) -> None:
    taken = program.json("snapshot", "g", folder, "--tag", "why=upgrade", "--tag", "by=me")["snapshot"]
    assert (taken["graph_id"], taken["status"], taken["consistency"]) == ("g", "completed", "plain")
    assert taken["metadata"] == {"why": "upgrade", "by": "me"}
    assert [item["name"] for item in taken["items"]] == ["deep", "deep/letter", "notes"]
    told = program("snapshot", "g", folder).out
    assert "3 items, 16 B, " in told
    assert "on one device" in told
    tagged = program.json("snapshot", "g", folder, "--tag", "before-upgrade")["snapshot"]
    assert tagged["metadata"] == {"before-upgrade": ""}
    assert program("list", "g").out.splitlines()[-1].endswith("  before-upgrade")


def test_snapshot_of_a_lightrag_graph_says_what_it_left_out(program: Program, graph_dir: Path) -> None:
    (graph_dir / "diary.txt").write_text("mine")
    ran = program("snapshot", "g", graph_dir)
    assert ", unfenced, usable\n1 name left out: see lightrag-bkp show g " in ran.out
    taken = program.json("snapshot", "g", graph_dir)["snapshot"]
    assert [left_out["name"] for left_out in taken["skipped"]] == ["diary.txt"]
    assert taken["size_bytes"] == sum(path.stat().st_size for path in graph_dir.glob("*.*") if path.suffix != ".txt")


def test_snapshot_of_a_workspace_with_uploads(program: Program, graph_dir: Path) -> None:
    os.renames(graph_dir, program.directory / "data" / "team")
    uploads = program.directory / "uploads" / "team"
    uploads.mkdir(parents=True)
    (uploads / "report.txt").write_text("text")
    words = ("snapshot", "g", "data", "--workspace", "team", "--input-dir", "uploads")
    taken = program.json(*words)["snapshot"]
    assert taken["facts"]["workspace"] == "team"
    assert "inputs/report.txt" in [item["name"] for item in taken["items"]]
    assert "of workspace 'team', not ''" in program.sentence("snapshot", "g", "data", code=1)
    assert "workspaces there: team" in program.sentence("snapshot", "h", "data", code=1)
    assert program.json("snapshot", "g")["snapshot"]["facts"]["workspace"] == "team"


def test_snapshot_of_part_of_a_graph_only_when_asked(program: Program, graph_dir: Path) -> None:
    (graph_dir / "vdb_chunks.json").unlink()
    assert "vdb_chunks.json" in program.sentence("snapshot", "g", graph_dir, code=1)
    assert program.json("snapshot", "g", graph_dir, "--partial")["snapshot"]["facts"]["missing"] == ["vdb_chunks.json"]


@pytest.mark.parametrize("words", [("--on-busy", "fail"), ("--deadline", "0.5")])
def test_a_busy_graph_is_exit_code_4(program: Program, graph_dir: Path, words: tuple[str, ...]) -> None:
    with rewritten(graph_dir / "vdb_chunks.json"):
        said = program.sentence("snapshot", "g", graph_dir, *words, code=4)
    assert "vdb_chunks.json" in said
    with rewritten(graph_dir / "vdb_chunks.json"):
        assert program.json("snapshot", "g", graph_dir, *words, code=4)["error"]["code"] == "BUSY"


def test_a_busy_graph_is_taken_at_any_moment_when_asked(program: Program, graph_dir: Path) -> None:
    with rewritten(graph_dir / "vdb_chunks.json"):
        taken = program.json("snapshot", "g", graph_dir, "--on-busy", "crash")["snapshot"]
    assert taken["consistency"] == "crash"


def test_a_server_that_does_not_answer_is_no_reason_to_go_on_without_it(program: Program, graph_dir: Path) -> None:
    said = program.sentence("snapshot", "g", graph_dir, "--server-url", "http://127.0.0.1:9", code=1)
    assert "127.0.0.1:9" in said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_snapshot_leaves_nothing(
    program: Program, endless_folder: Path, folder: Path, number: signal.Signals, code: int
) -> None:
    with program.started("--storage", program.storage, "snapshot", "g", endless_folder) as process:
        wait_until(lambda: bytes_read(process) > _MUCH, process)
        process.send_signal(number)
        ran = program.ended(process, code)
    assert (ran.out, ran.err) == ("", "lightrag-bkp: interrupted\n")
    assert left_over(program.storage) == []
    assert program.json("list", "g")["snapshots"] == []
    program("snapshot", "g", folder)


def test_a_snapshot_interrupted_while_it_writes_is_as_if_it_never_began(program: Program, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(5):
        (source / f"file {number}").write_bytes(os.urandom(_MUCH))
    packs = program.storage / "graphs" / "g" / "packs"
    with program.started("--storage", program.storage, "snapshot", "g", source) as process:
        wait_until(lambda: packs.is_dir() and list(packs.iterdir()), process)
        process.send_signal(signal.SIGINT)
        program.ended(process, 130)
    assert left_over(program.storage) == []
    assert program.json("list", "g")["snapshots"] == []
    program("snapshot", "g", source)
    program("verify", "g")


def test_an_interrupt_is_a_document_too(program: Program, endless_folder: Path) -> None:
    with program.started("--storage", program.storage, "--json", "snapshot", "g", endless_folder) as process:
        wait_until(lambda: bytes_read(process) > _MUCH, process)
        process.send_signal(signal.SIGINT)
        error = program.ended(process, 130).document["error"]
    assert (error["code"], error["exit_code"]) == ("CANCELLED", 130)


def test_progress_is_drawn_on_a_terminal_unless_quiet(program: Program, tmp_path: Path) -> None:
    long_work = tmp_path / "long"
    long_work.mkdir()
    (long_work / "file").touch()
    os.truncate(long_work / "file", 1 << 30)
    assert "1.1 GB" in program.shown_on_terminal("snapshot", "g", long_work)
    assert program.shown_on_terminal("--quiet", "verify", "g") == ""


def test_discover_names_every_workspace_with_a_command_that_works(program: Program, graph_dir: Path) -> None:
    team = graph_dir / "team 1"
    team.mkdir()
    for path in graph_dir.glob("*.*"):
        (team / path.name).write_bytes(path.read_bytes())
    (graph_dir / "photos").mkdir()
    unnamed, named = program.json("discover", graph_dir)["workspaces"]
    assert (unnamed["workspace"], unnamed["graph_id"]) == ("", "default")
    assert (named["workspace"], named["graph_id"]) == ("team 1", "team-1")
    assert named["files"] == len(list(team.iterdir()))
    assert named["size_bytes"] == sum(path.stat().st_size for path in team.iterdir())
    name, *words = shlex.split(named["command"])
    assert name == "lightrag-bkp"
    taken = program.bare(*words, "--json").document["snapshot"]
    assert taken["facts"]["workspace"] == "team 1"
    assert taken["size_bytes"] == named["size_bytes"]


def test_discover_in_text_and_where_nothing_of_lightrag_is(program: Program, graph_dir: Path, folder: Path) -> None:
    told = program("discover", graph_dir).out
    assert "(unnamed)" in told
    assert f"snapshot default {graph_dir}" in told
    assert program.json("discover", folder) == {"workspaces": []}
    assert "no files of LightRAG" in program("discover", folder).out


def test_where_a_graph_is_read_that_nobody_configured_is_said(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("a")
    said = f"read from {folder}, as the snapshot before it says"
    assert said not in program("snapshot", "g", folder).out
    assert said in program("snapshot", "g").out


def test_discover_names_workspaces_it_may_not_look_into(program: Program, graph_dir: Path) -> None:
    shut = graph_dir / "shut"
    shutil.copytree(graph_dir, shut)
    shut.chmod(0)
    bound = replace(program, before=without_override())
    try:
        ran = bound("discover", graph_dir, code=1)
        assert f"{str(shut)!r}: Permission denied: check owner and mode" in ran.err and "(unnamed)" in ran.out
        (error,) = bound.json("discover", graph_dir, code=1)["errors"]
        assert error["graph_id"] == "shut"
    finally:
        shut.chmod(0o750)


def test_another_directory_under_the_same_graph_is_said(program: Program, folder: Path) -> None:
    program("snapshot", "g", folder)
    assert program("snapshot", "g", folder).err == ""
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    (line,) = program("snapshot", "g", other).err.splitlines()
    assert line == (
        f"lightrag-bkp: graph g: warning: taken from {os.path.realpath(other)!r}, and the snapshot before from"
        f" {os.path.realpath(folder)!r}: give another graph an id of its own"
    )


def test_uploads_inside_the_working_directory_are_not_said_to_be_left_out(program: Program, graph_dir: Path) -> None:
    inputs = graph_dir / "inputs"
    inputs.mkdir()
    (inputs / "letter.txt").write_text("dear reader")
    taken = program.json("snapshot", "g", graph_dir, "--input-dir", inputs)["snapshot"]
    assert "inputs/letter.txt" in [item["name"] for item in taken["items"]]
    assert [one for one in taken["skipped"] if one["name"].startswith("inputs")] == []


def test_the_storage_is_no_input_directory(program: Program, graph_dir: Path) -> None:
    program("snapshot", "g", graph_dir)
    said = program.sentence("snapshot", "g", graph_dir, "--input-dir", program.storage, code=1)
    assert said.startswith("the input directory") and "lie inside one another: keep them apart" in said


def test_a_source_whose_name_is_no_utf8_is_not_said_to_be_gone(program: Program, folder: Path) -> None:
    odd = os.fsdecode(os.fsencode(folder.with_name("odd")) + b"\xff")
    shutil.copytree(folder, odd)
    program("snapshot", "g", odd)
    assert "whose name is no UTF-8 and is not kept whole: pass the source_dir" in program.sentence(
        "snapshot", "g", code=1
    )


def test_a_directory_that_is_gone_is_said_to_be(program: Program, folder: Path) -> None:
    gone = program.directory / "gone"
    gone.mkdir()
    leaving = replace(program, before=["sh", "-c", f'cd {gone} && rmdir {gone} && exec "$@"', "sh"])
    said = leaving.bare("--storage", "here", "list", code=1).err
    assert said == "lightrag-bkp: the current directory is gone: change to one that is there\n"
