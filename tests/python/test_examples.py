"""The three short examples: each ends in the calls it is there to show, and runs as it is, on directories of one's own
or on what it makes for itself.
"""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import check

from lightrag_bkp import sync

EXAMPLES = Path(__file__).parents[2] / "examples"
CALLS = {
    "keep_a_graph.py": """
graph_backup = BackupManager(storage_path=path, retention_days=30).register_graph("my_graph")
snapshot = await graph_backup.create_snapshot(source, metadata={"version": "1.0"})
print(snapshot.backup_id)
""",
    "register_a_target.py": """
mgr = ReplicationManager()
target = ReplicationTarget(name="Backup Server", base_url=url, api_key=key)
mgr.register_target(target)
rep = mgr.get_graph_replicator("my_graph")
rep.add_target(target)
print(asyncio.run(rep.check_target_health(target.target_id)))
""",
    "bring_graphs_back.py": """
dr = DisasterRecoveryManager()
cp = await dr.create_recovery_point(graph_ids=["graph_a", "graph_b"], description="Pre-maintenance backup")
if await dr.validate_recovery_point(cp.checkpoint_id):
    await dr.initiate_failover(cp.checkpoint_id)
""",
}


def ran(name: str, scratch: Path, *words: object) -> str:
    """What an example prints; all it leaves behind would be in `scratch`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTRAG_")}
    command = [sys.executable, str(EXAMPLES / name), *map(str, words)]
    done = subprocess.run(
        command, cwd=scratch, env=kept | {"TMPDIR": str(scratch)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", CALLS)
def test_an_example_is_short_and_ends_in_its_calls(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert len(text.splitlines()) <= 40
    wanted = [ast.unparse(one) for one in ast.parse(CALLS[name]).body]
    functions = [one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert wanted in [[ast.unparse(one) for one in function.body] for function in functions]


def test_a_graph_is_kept(tmp_path: Path, built_graph: Path) -> None:
    backup_id = ran("keep_a_graph.py", tmp_path, built_graph, tmp_path / "backups").strip()
    graph = sync.BackupManager(tmp_path / "backups").require_graph("my_graph")
    (snapshot,) = graph.list_snapshots()
    assert (snapshot.backup_id, snapshot.metadata, snapshot.verdict) == (backup_id, {"version": "1.0"}, "usable")


def test_a_target_is_healthy(tmp_path: Path) -> None:
    assert ran("register_a_target.py", tmp_path) == "TargetStatus.HEALTHY\n"


def test_a_target_somewhere_else_is_kept(tmp_path: Path) -> None:
    said = ran("register_a_target.py", tmp_path, "http://127.0.0.1:1", tmp_path / "backups")
    assert said == "TargetStatus.UNREACHABLE\n"
    (target,) = sync.ReplicationManager(storage_path=tmp_path / "backups").list_targets()
    assert (target.name, target.base_url) == ("Backup Server", "http://127.0.0.1:1")


def test_two_graphs_are_brought_back(tmp_path: Path, built_graph: Path) -> None:
    places = [tmp_path / "sales", tmp_path / "support"]
    for place in places:
        shutil.copytree(built_graph, place)
    said = ran("bring_graphs_back.py", tmp_path, *places, tmp_path / "backups")
    assert "event=recovery_point" in said and " ok=True undo=False " in said
    assert [check.findings(place) for place in places] == [[], []]


@pytest.mark.parametrize("name", ["keep_a_graph.py", "bring_graphs_back.py"])
def test_by_default_it_makes_its_own_graphs_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    assert ran(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
