"""The README at its word: its Python, commands and settings are run on a real graph, and what it names exists."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightrag.kg import STORAGE_IMPLEMENTATIONS
from support import check, folders, graphs, server, web

from lightrag_bkp import BackupManager as AsyncManager
from lightrag_bkp.cli.app import command
from lightrag_bkp.recovery import DisasterRecoveryManager
from lightrag_bkp.sources import internals
from lightrag_bkp.sync import BackupManager

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "SECURITY.md", ROOT / "tests" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def section(heading: str) -> str:
    """The text below a second-level heading of the README."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", README.read_text("utf-8"), re.M | re.S)
    assert found, f"the README has no section {heading!r}"
    return found[1]


def blocks(heading: str, language: str) -> list[str]:
    """The fenced blocks of one language in a section."""
    return fenced(section(heading), language)


def fenced(text: str, language: str) -> list[str]:
    """The fenced blocks of one language in a text."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def run_python(block: str) -> dict[str, Any]:
    """Executes a block of Python; returns what it defined."""
    defined: dict[str, Any] = {}
    exec(compile(block, str(README), "exec"), defined)
    return defined


@pytest.fixture
def desk(graph_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the README's reader works: the current directory, with a graph in `rag_storage` and nothing configured."""
    for name in [name for name in os.environ if name.startswith("LIGHTRAG_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(graph_dir.parent)
    return graph_dir.parent


def run_shell(block: str, desk: Path, **environ: str) -> None:
    """Executes a block of commands, each of which must end with exit code 0."""
    program = desk / "bin" / "lightrag-bkp"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lightrag_bkp.cli "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)} | environ
    ran = subprocess.run(
        ["bash", "-exuo", "pipefail", "-c", block],
        cwd=desk,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


async def test_the_python_start_keeps_a_graph_in_the_midst_of_ingesting(desk: Path) -> None:
    keep = run_python(blocks("Python", "python")[0])["keep"]
    async with graphs.opened(desk / "rag_storage", delay_s=0.05) as rag:
        ingestion = asyncio.create_task(graphs.insert_documents(rag, 100, 12))
        await asyncio.sleep(0.3)
        snapshot = await keep(rag)
        await ingestion
    assert snapshot.consistency == "gated"
    assert check.findings(desk / "restored") == []


def test_the_python_without_await_keeps_a_directory(desk: Path) -> None:
    snapshot = run_python(blocks("Python", "python")[1])["snapshot"]
    graph = BackupManager("backups").get_graph("support")
    assert graph is not None and [one.backup_id for one in graph.list_snapshots()] == [snapshot.backup_id]


async def test_the_python_that_brings_a_graph_back_under_a_running_lightrag(desk: Path) -> None:
    keep = run_python(blocks("Python", "python")[0])["keep"]
    (block,) = blocks("Bringing a graph back", "python")
    async with graphs.opened(desk / "rag_storage") as rag:
        await keep(rag)
        await graphs.insert_documents(rag, 100, 1)
        await run_python(block)["go_back"](rag, AsyncManager("backups"))
        assert len(rag.doc_status._data) == 6


def test_the_commands_keep_a_graph_and_bring_it_back(desk: Path) -> None:
    original = folders.fingerprint(desk / "rag_storage")
    first, _, nightly, care = blocks("Command line", "sh")
    run_shell(first, desk)
    assert folders.fingerprint(desk / "restored") == original

    (settings,) = blocks("Command line", "toml")
    (desk / "lightrag-bkp.toml").write_text(settings)
    run_shell(nightly, desk)
    run_shell(care, desk)

    damage(desk / "rag_storage")
    bring_back, clone = blocks("Bringing a graph back", "sh")
    run_shell(bring_back, desk)
    assert folders.fingerprint(desk / "rag_storage") == original
    run_shell(clone, desk)
    assert check.findings(desk / "rag_storage", "trial") == check.findings(desk / "elsewhere") == []

    (recover,) = blocks("Several graphs as one", "sh")
    run_shell(recover, desk)
    assert check.findings(desk / "rag_storage") == []


async def test_the_python_that_protects_several_graphs(desk: Path) -> None:
    (block,) = blocks("Several graphs as one", "python")
    async with graphs.opened(desk / "rag_storage") as rag:
        manager = AsyncManager("backups")
        manager.register_graph("support", rag=rag)
        ok, rto_s, rpo_s = await run_python(block)["protect"](manager)
    assert ok and 0 < rto_s < 60 and 0 <= rpo_s < 60


async def test_the_routes_are_one_line(desk: Path) -> None:
    make_app = run_python(blocks("Over HTTP", "python")[0])["make_app"]
    async with graphs.opened(desk / "rag_storage") as rag:
        with web.serving(make_app(rag, web.KEY)) as url:
            answer = await asyncio.to_thread(web.Web(url).ask, "GET", "/backup/graphs")
    assert [one["graph_id"] for one in answer.document["graphs"]] == ["default"]


def test_the_commands_that_seal_work(desk: Path) -> None:
    (block,) = blocks("Sealing", "sh")
    run_shell(block, desk)
    for name in ("unsealed", "again"):
        assert folders.fingerprint(desk / name) == folders.fingerprint(desk / "rag_storage")


def test_the_upgrade_and_the_way_back(desk: Path) -> None:
    (settings,) = blocks("Command line", "toml")
    (desk / "lightrag-bkp.toml").write_text(settings)
    original = folders.fingerprint(desk / "rag_storage")
    before, after, back, done = fenced((ROOT / "docs" / "operations.md").read_text("utf-8"), "sh")
    spoil = "rm rag_storage/graph_chunk_entity_relation.graphml; echo '{}' > rag_storage/vdb_entities.json\n"
    run_shell(before + after + spoil + back + done, desk)
    assert folders.fingerprint(desk / "rag_storage") == original
    graph = BackupManager("backups").get_graph("support")
    assert graph is not None
    tags = [next(iter(one.metadata), None) for one in graph.list_snapshots() if not one.safety]
    assert tags == ["before-upgrade", "after-upgrade"] and not any(one.held for one in graph.list_snapshots())


def damage(directory: Path) -> None:
    (directory / "graph_chunk_entity_relation.graphml").unlink()
    (directory / "vdb_entities.json").write_text("{}")


def test_the_command_for_a_running_server(desk: Path) -> None:
    for package in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(package, reason="lightrag-hku[api] and openai not installed")
    (block,) = (one for one in blocks("Command line", "sh") if "--server-url" in one)
    with server.running(desk) as running:
        command = re.sub(r"http://[\d.:]+", running.url, block)
        run_shell(f"{command.rstrip()} --json > answer", desk, LIGHTRAG_API_KEY=running.api_key)
    assert json.loads((desk / "answer").read_text())["snapshot"]["consistency"] == "settled"


def test_the_commands_through_a_server(desk: Path) -> None:
    (block,) = blocks("Through the server", "sh")
    with AsyncManager(desk / "backups") as manager:
        manager.register_graph("support", desk / "rag_storage")
        with web.serving(web.application(manager, None, DisasterRecoveryManager(manager))) as url:
            run_shell(block.replace("http://127.0.0.1:9621", url), desk, LIGHTRAG_API_KEY=web.KEY)
        assert len(manager.require_graph("support").list_snapshots()) == 2


def test_every_command_is_shown() -> None:
    sections = ("Command line", "Bringing a graph back", "Several graphs as one")
    sections += ("Where copies are to go", "Receiving copies")
    commands = "".join("".join(blocks(heading, "sh")) for heading in sections)
    shown = set(re.findall(r"^lightrag-bkp(?: --storage \S+)? (\w+)", commands, re.M))
    groups = {"recovery", "target", "key", "replica"}
    assert shown - groups == {name for name, one in command.commands.items() if not hasattr(one, "commands")}


def test_the_make_targets_are_there() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    named = set(re.findall(r"\bmake ([a-z]+)\b", "".join(blocks("Two commands", "sh"))))
    assert named == {"demo", "test"} and named <= targets
    pages = "".join(page.read_text("utf-8") for page in PAGES)
    assert set(re.findall(r"`make ([a-z0-9-]+)", pages)) <= targets


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_lists_what_the_readme_names() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert {"demo", "test"} <= {line.split()[0] for line in listed.splitlines()}


def test_the_backends_are_those_of_this_lightrag() -> None:
    rows = [row.split("|")[2:4] for row in section("LightRAG backends").splitlines() if row.startswith("|")][2:]
    answers = {name: answer.strip() for names, answer in rows for name in re.findall(r"`(\w+)`", names)}
    known = {name for kind in STORAGE_IMPLEMENTATIONS.values() for name in kind["implementations"]}
    assert set(answers) == known
    assert {name for name, answer in answers.items() if answer != "no"} == internals._FILE_CLASSES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_tests_that_are_named_exist(page: Path) -> None:
    for file, name in re.findall(r"`(tests/[\w/]+\.(?:py|c))(?:::(\w+))?`", page.read_text("utf-8")):
        assert (ROOT / file).is_file(), f"{file} is not there"
        code = (ROOT / file).read_text("utf-8")
        assert not name or re.search(rf"\b(def {name}\(|TEST\({name}\))", code), f"{file} has no {name}"


TWENTY = [
    *("create_snapshot", "list_snapshots", "restore_snapshot", "snapshot_retention", "cleanup_old_snapshots"),
    *("backup_manager_stats", "register_target", "get_graph_replicator", "add_remove_target", "replication_status"),
    *("check_target_health", "backup_replication_workflow", "create_recovery_point", "list_recovery_points"),
    *("get_recovery_point", "validate_recovery_point", "recovery_status", "failover_simulation", "health_check"),
    "disaster_recovery_workflow",
]


def test_the_twenty_are_in_the_suite_where_the_page_says() -> None:
    """That the file has the test is `test_tests_that_are_named_exist`."""
    page = (ROOT / "tests" / "README.md").read_text("utf-8")
    table = page.partition("## Twenty by name")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `tests/python/test_\w+\.py::(\w+)` \|$", table, re.M)
    assert rows == [(f"test_{name}", f"test_{name}") for name in TWENTY]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{target} is not there"
