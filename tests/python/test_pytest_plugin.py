"""The pytest plugin, in runs of pytest of their own."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "test_with_a_graph.py"
WRITTEN = ROOT / "tests" / "compat" / "directories" / "1.5.7"

SUITE = f"""
import shutil, pytest
from pathlib import Path

HERE = Path(__file__).parent

def build(directory):
    (HERE / "built").open("a").write("x")
    shutil.copytree({str(WRITTEN)!r}, directory, dirs_exist_ok=True)

async def build_elsewhere(directory):
    shutil.copytree({str(WRITTEN)!r}, directory / "named")

@pytest.mark.parametrize("number", range(6))
def test_each_has_its_own(graph_snapshot, number):
    directory = graph_snapshot(build)
    assert len(list(directory.iterdir())) == {len(list(WRITTEN.iterdir()))}
    for path in directory.iterdir():
        path.write_text("mine")

def test_two_in_one(graph_snapshot):
    one, two = graph_snapshot(build), graph_snapshot(build)
    assert one != two and sorted(p.name for p in one.iterdir()) == sorted(p.name for p in two.iterdir())

def test_a_named_workspace_and_a_coroutine(graph_snapshot, assert_graph_usable):
    directory = graph_snapshot(build_elsewhere, workspace="named")
    assert_graph_usable(directory, "named")
"""


def run(directory: Path, suite: str, *words: object, passed: int, failed: int = 0) -> str:
    """Runs a suite; returns what pytest says."""
    (directory / "test_suite.py").write_text(suite)
    (directory / "pytest.ini").touch()
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp", directory / "temp", *map(str, words)],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = {how: int(count) for count, how in re.findall(r"(\d+) (passed|failed|error)", ran.stdout.splitlines()[-1])}
    assert found == {how: n for how, n in (("passed", passed), ("failed", failed)) if n}, ran.stdout + ran.stderr
    return ran.stdout


def builds(directory: Path) -> int:
    return len((directory / "built").read_text())


def test_a_graph_is_built_once_and_every_test_has_its_own(tmp_path: Path) -> None:
    run(tmp_path, SUITE, passed=8)
    assert builds(tmp_path) == 1


def test_workers_share_what_one_of_them_built(tmp_path: Path) -> None:
    run(tmp_path, SUITE, "-n", "2", passed=8)
    assert builds(tmp_path) == 1


def test_a_cache_keeps_it_for_later_runs_until_the_source_changes(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for _ in range(2):
        run(tmp_path, SUITE, "--graph-cache", cache, passed=8)
    assert builds(tmp_path) == 1
    run(tmp_path, SUITE.replace('write("x")', 'write("y")'), "--graph-cache", cache, passed=8)
    assert builds(tmp_path) == 2
    assert not list(cache.glob("building-*"))


def test_sets_in_the_source_are_the_same_to_every_process(tmp_path: Path) -> None:
    """Their order is not: strings hash differently in each."""
    words = str({f"word {i}" for i in range(9)})
    suite = f"""
from pathlib import Path
import pytest

def build(directory):
    (Path(__file__).parent / "built").open("a").write("x")
    for word in {words}:
        if word in {words}: (directory / word).touch()
    for word in (lambda: {{("a", {words!r}), ("b", None)}})(): (directory / word[0]).touch()

@pytest.mark.parametrize("number", range(6))
def test_it(graph_snapshot, number):
    assert len(list(graph_snapshot(build).iterdir())) == 11
"""
    for _ in range(2):
        run(tmp_path, suite, "-n", "3", "--graph-cache", tmp_path / "cache", passed=6)
    assert builds(tmp_path) == 1
    run(tmp_path, suite.replace("word 8", "word nine"), "--graph-cache", tmp_path / "cache", passed=6)
    assert builds(tmp_path) == 2


def test_a_build_that_fails_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    suite = """
    def build(directory):
        (directory / "half").write_text("half")
        raise RuntimeError("no model")

    def test_one(graph_snapshot): graph_snapshot(build)
    def test_two(graph_snapshot): graph_snapshot(build)
    """
    said = run(tmp_path, textwrap.dedent(suite), passed=0, failed=2)
    assert said.count("RuntimeError: no model") >= 2


def test_builds_that_depend_on_values_are_told_apart(tmp_path: Path) -> None:
    suite = """
    import functools, pytest

    def build(directory, text="default"): (directory / "file").write_text(text)
    def made_of(value): return lambda directory: (directory / "file").write_text(str(value))
    def content(directory): return (directory / "file").read_text()

    @pytest.mark.parametrize("text", ["one", "two", "one"])
    def test_values(graph_snapshot, text):
        assert content(graph_snapshot(functools.partial(build, text=text))) == text
        assert content(graph_snapshot(made_of(text))) == text

    @pytest.mark.parametrize("text, build", [
        ("a", lambda d: (d / "file").write_text("a")), ("b", lambda d: (d / "file").write_text("b")),
    ])
    def test_lambdas_of_one_shape(graph_snapshot, text, build):
        assert content(graph_snapshot(build)) == text

    SAME_LINE = [lambda d: (d / "file").write_text("c"), lambda d: (d / "file").write_text("d")]

    def test_lambdas_of_one_line(graph_snapshot):
        assert [content(graph_snapshot(build)) for build in SAME_LINE] == ["c", "d"]

    class Maker:
        def build(self, directory): (directory / "file").write_text("of an object")
        @classmethod
        def of_class(cls, directory): (directory / "file").write_text(cls.__name__)

    def test_methods_of_objects_need_a_key(graph_snapshot):
        assert content(graph_snapshot(Maker.of_class)) == "Maker"
        with pytest.raises(pytest.UsageError, match="name a key="):
            graph_snapshot(Maker().build)
        assert content(graph_snapshot(Maker().build, key="this one")) == "of an object"

    def test_objects_need_a_key(graph_snapshot):
        with pytest.raises(pytest.UsageError, match="name a key="):
            graph_snapshot(made_of(object()))
        assert "object" in content(graph_snapshot(made_of(object()), key="an object"))
    """
    run(tmp_path, textwrap.dedent(suite), passed=8)


def test_a_graph_that_is_not_usable_fails_with_what_is_wrong(tmp_path: Path) -> None:
    suite = f"""
import shutil

def test_it(tmp_path, assert_graph_usable):
    shutil.copytree({str(WRITTEN)!r}, tmp_path / "rag")
    assert_graph_usable(tmp_path / "rag")
    (tmp_path / "rag" / "graph_chunk_entity_relation.graphml").write_text("<graphml/>")
    assert_graph_usable(tmp_path / "rag")
"""
    said = run(tmp_path, suite, passed=0, failed=1)
    assert "cannot be used as it is" in said and "verdict: " in said and "invariant" in said


def test_the_example_runs(tmp_path: Path) -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 40
    for _ in range(2):
        run(tmp_path, "", EXAMPLE, "--graph-cache", tmp_path / "cache", passed=2)


def test_nothing_is_loaded_before_a_test_asks() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import lightrag_bkp.pytest_plugin;"
        "new = {m for m in set(sys.modules) - before if m.startswith('lightrag')};"
        "sys.exit(sorted(new - {'lightrag_bkp', 'lightrag_bkp.pytest_plugin'}) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
