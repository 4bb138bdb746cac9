"""The core among processes: forks at any moment, interrupts, and the interpreter's end in the middle of work."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from support.jobs import backup, work_a_little

from lightrag_bkp import _bridge, _core, errors


def in_child(check: Callable[[], None]) -> int:
    """Runs `check` in a forked child; its exit code is 0 when it returned."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            check()
            code = 0
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_works_with_threads_of_its_own(tmp_path: Path, repo: _bridge.Repository) -> None:
    assert asyncio.run(work_a_little(tmp_path)) == 0

    def check() -> None:
        assert asyncio.run(work_a_little(tmp_path)) == 0
        assert uvloop.run(work_a_little(tmp_path)) == 0
        with pytest.raises(errors.InvalidInputError, match="forked"):
            repo.refresh()

    assert in_child(check) == 0
    repo.refresh()


async def test_forking_in_the_middle_of_work_harms_neither(
    tmp_path: Path, repo: _bridge.Repository, endless_file: Path
) -> None:
    job = backup(repo, endless_file)
    task = asyncio.create_task(_bridge.run(job))
    await asyncio.sleep(0.1)

    def check() -> None:
        job.cancel()  # another process's job: nothing happens
        with pytest.raises(errors.InvalidInputError):
            job.submit(_core.Pool(1, 1), _core.Mailbox())
        assert _bridge.run_blocking(_bridge.open_job(str(tmp_path), "graph", False)).snapshots() == []

    assert await asyncio.to_thread(in_child, check) == 0
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def run_script(script: str, *args: object) -> "subprocess.Popen[str]":
    root = str(Path(_bridge.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(script), *map(str, args)],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


START_BACKUP = """
    import os, sys, threading, time
    from lightrag_bkp import _bridge
    repo = _bridge.run_blocking(_bridge.open_job(sys.argv[1], "graph", True))
    source = _bridge.Source()
    source.pin("endless", os.open(sys.argv[2], os.O_RDONLY))
    source.seal()
    job = _bridge.backup_job(repo, source, consistency="plain", metadata="{}", facts="{}", retention_days=1)
"""


def test_the_interpreter_ends_in_the_middle_of_work(tmp_path: Path, endless_file: Path) -> None:
    script = """
    threading.Thread(target=_bridge.run_blocking, args=(job,), daemon=True).start()
    while job.progress()[0] == 0:
        time.sleep(0.01)
    print("working")
    """
    process = run_script(START_BACKUP + script, tmp_path, endless_file)
    output, complaints = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "working\n"), complaints
    assert "Fatal" not in complaints


def test_an_interrupt_stops_a_blocking_call(tmp_path: Path, endless_file: Path) -> None:
    script = """
    print("ready", flush=True)
    try:
        _bridge.run_blocking(job)
    except KeyboardInterrupt:
        try:
            job.result()
        except Exception as error:
            print(type(error).__name__)
    """
    process = run_script(START_BACKUP + script, tmp_path, endless_file)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    output, complaints = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "OperationCancelled\n"), complaints


def test_no_work_is_started_once_the_interpreter_ends(tmp_path: Path) -> None:
    script = """
    import atexit, sys
    def late():
        try:
            _bridge.run_blocking(_bridge.open_job(sys.argv[1], "graph", True))
        except Exception as error:
            print(error)
    atexit.register(late)
    from lightrag_bkp import _bridge
    _bridge.run_blocking(_bridge.open_job(sys.argv[1], "graph", True))
    """
    output, complaints = run_script(script, tmp_path).communicate(timeout=30)
    assert "shutting down" in output, complaints


def test_importing_starts_nothing() -> None:
    script = """
    import os
    from lightrag_bkp import _bridge
    print(len(os.listdir("/proc/self/task")))
    """
    output, complaints = run_script(script).communicate(timeout=30)
    assert output == "1\n", complaints


def test_the_number_of_threads_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTRAG_BACKUP_THREADS", "3")
    script = """
    import os, sys
    from lightrag_bkp import _bridge
    _bridge.run_blocking(_bridge.open_job(sys.argv[1], "graph", True))
    names = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
    print(names.count("lrb-worker\\n"))
    """
    output, complaints = run_script(script, tmp_path).communicate(timeout=30)
    assert output == "3\n", complaints


def test_another_interpreter_has_a_core_of_its_own() -> None:
    interpreters = pytest.importorskip("_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters")
    other = interpreters.create()
    root = str(Path(_bridge.__file__).parents[1])
    interpreters.run_string(
        other, f"import sys; sys.path.insert(0, {root!r}); from lightrag_bkp import _core; _core.ERROR_TABLE"
    )
    interpreters.destroy(other)
    assert _bridge.RETENTION_REASONS
