"""Files are not replaced under a LightRAG server: how one is seen, and what is said then."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.answering import answer, answering
from support.program import Program

import lightrag_bkp
from lightrag_bkp.errors import RefusedError
from lightrag_bkp.sources import serving
from lightrag_bkp.sync import BackupManager, GraphBackup

pytestmark = pytest.mark.usefixtures("short_rest")

SERVE = """
import sys
from lightrag_bkp.sources import serving
serving.enter(*sys.argv[1:])
print(1, flush=True)
input()
"""


@contextmanager
def served(directory: Path, workspace: str = "") -> Iterator["subprocess.Popen[str]"]:
    """Another process that serves a graph of this directory, and dies in the end as in an accident."""
    parent = str(Path(lightrag_bkp.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(directory), workspace],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": parent},
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "1\n"
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def graph(graph_dir: Path, program: Program) -> GraphBackup:
    """The graph "kept" of `graph_dir`, with one snapshot, and something lost since."""
    graph = BackupManager(program.storage).register_graph("kept", graph_dir)
    graph.create_snapshot()
    (graph_dir / "kv_store_llm_response_cache.json").write_text("{}")
    return graph


def test_a_restore_is_refused_while_a_server_is_up_there(program: Program, graph: GraphBackup, graph_dir: Path) -> None:
    words = ("restore", "kept", "latest", graph_dir, "--yes")
    with served(graph_dir):
        said = program.sentence(*words, code=1)
        assert said.startswith(f"nothing is restored into '{graph_dir}', for a LightRAG server has it open")
        assert "--server URL" in said and program.json(*words, code=1)["error"]["code"] == "REFUSED"
        assert "1 to replace" in program(*words, "--dry-run").out
        program("restore", "kept", "latest", program.directory / "elsewhere")
    assert "1 replaced" in program(*words).out  # a lock that is left says nothing


def test_a_server_of_another_workspace_is_in_nobodys_way(program: Program, graph: GraphBackup, graph_dir: Path) -> None:
    with served(graph_dir, "team"):
        program("restore", "kept", "latest", graph_dir, "--yes")
        said = program.sentence("restore", "kept", "latest", graph_dir, "--workspace", "team", "--yes", code=1)
    assert f"into '{graph_dir}/team'" in said


def test_what_a_server_leaves_in_its_directory_is_no_part_of_the_graph(graph: GraphBackup, graph_dir: Path) -> None:
    with served(graph_dir):
        assert graph.create_snapshot().skipped == ()
    graph.restore("latest", graph_dir)
    assert (graph_dir / ".lightrag_bkp" / "server.lock").exists()


def test_a_server_that_starts_waits_for_a_restore(graph_dir: Path) -> None:
    up: list[bool] = []

    def serve() -> None:
        with served(graph_dir):
            up.append(True)

    os.close(serving.enter(str(graph_dir)))
    starting = threading.Thread(target=serve)
    with serving.alone(str(graph_dir)):
        starting.start()
        starting.join(0.5)
        assert not up
        with serving.alone(str(graph_dir)):  # another restore says itself that there is one
            pass
    starting.join(30)
    assert up


def test_a_failover_is_refused_before_anything_is_replaced(
    program: Program, graph: GraphBackup, graph_dir: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(graph_dir, tmp_path / "other"))
    (program.directory / "lightrag-bkp.toml").write_text(
        f'[graphs.kept]\nsource_dir = "{graph_dir}"\n[graphs.another]\nsource_dir = "{other}"\n'
    )
    point = program.json("recovery", "create")["recovery_point"]["checkpoint_id"]
    (other / "kv_store_llm_response_cache.json").unlink()
    with served(graph_dir):
        said = program.sentence("recovery", "failover", point, "--yes", code=1)
    assert f"into '{graph_dir}'" in said and not (other / "kv_store_llm_response_cache.json").exists()
    assert program.json("recovery", "show", point)["failovers"] == []
    assert "all graphs are back" in program("recovery", "failover", point, "--yes").out


@pytest.mark.parametrize(("workspace", "refused"), [("", True), ("team", False)])
def test_a_server_that_is_named_is_asked(
    program: Program, graph: GraphBackup, graph_dir: Path, workspace: str, refused: bool
) -> None:
    health = {"working_directory": str(graph_dir), "configuration": {"workspace": workspace}}
    with answering(answer(health)) as url:
        known = BackupManager(program.storage).register_graph("kept", graph_dir, server_url=url)
        if refused:
            with pytest.raises(RefusedError, match=f"for the LightRAG server at {url} has it open"):
                known.restore("latest", graph_dir)
        else:
            known.restore("latest", graph_dir)
    known.restore("latest", graph_dir)  # nobody answers any more
