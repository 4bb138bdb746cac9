"""Random histories of one repository against a model in a few lines: which snapshots there are, who holds them, and
what each must bring back. Handles are closed, and caches lost, damaged or set back, at any moment.
"""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lightrag_bkp.errors import ConflictError
from lightrag_bkp.sync import BackupManager, GraphBackup

NAMES = st.sampled_from(["a", "b", "c/d"])
HOLDERS = st.sampled_from(["one", "another"])
CACHES = st.sampled_from(["index", "head", "sources-*", "*"])
INDEXED = 16
"""Packs before the core writes its first cache/index (repo_chunks.c)."""


class Repository(RuleBasedStateMachine):
    """The model: snapshot id -> (content, holders), in the order of the log."""

    @initialize()
    def begin(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.source = self.place / "source"
        self.source.mkdir()
        self.content: dict[str, bytes] = {}
        self.model: dict[str, tuple[dict[str, bytes], set[str]]] = {}
        self.older: dict[str, bytes] = {}
        self.write("a", 1, 0)
        self.open()
        for seed in range(INDEXED + 1):
            self.write("b", 1000, seed)
            self.snapshot()
        assert (self.cache / "index").exists() and (self.cache / "head").exists()

    @property
    def cache(self) -> Path:
        return self.place / "storage" / "graphs" / "g" / "cache"

    def open(self) -> None:
        self.manager = BackupManager(self.place / "storage")
        self.graph: GraphBackup = self.manager.register_graph("g", self.source)

    def teardown(self) -> None:
        """In the end every snapshot restores, and nothing that is relied on is anything the log does not name: verify
        reads every digest with the caches gone."""
        if not hasattr(self, "place"):
            return
        try:
            for snapshot_id in self.model:
                self.restores(snapshot_id)
            self.forget("everything")
            outcome = self.graph.verify_snapshot()
            assert not outcome.findings, outcome
        finally:
            self.manager.close()
            shutil.rmtree(self.place)

    def chosen(self, at: int) -> str:
        return list(self.model)[at % len(self.model)]

    @rule(name=NAMES, size=st.sampled_from([0, 1, 70_000]), seed=st.integers(0, 3))
    def write(self, name: str, size: int, seed: int) -> None:
        path = self.source / name
        path.parent.mkdir(exist_ok=True)
        self.content[name] = bytes([seed]) * size
        path.write_bytes(self.content[name])

    @rule()
    def snapshot(self) -> None:
        self.model[self.graph.create_snapshot().backup_id] = dict(self.content), set()

    @precondition(lambda self: self.model)
    @rule(at=st.integers(0, 50), holder=HOLDERS)
    def hold(self, at: int, holder: str) -> None:
        self.graph.hold(self.chosen(at), holder)
        self.model[self.chosen(at)][1].add(holder)

    @precondition(lambda self: self.model)
    @rule(at=st.integers(0, 50), holder=HOLDERS)
    def release(self, at: int, holder: str) -> None:
        self.graph.release(self.chosen(at), holder)
        self.model[self.chosen(at)][1].discard(holder)

    @precondition(lambda self: self.model)
    @rule(at=st.integers(0, 50))
    def delete(self, at: int) -> None:
        snapshot_id = self.chosen(at)
        try:
            assert self.graph.delete_snapshot(snapshot_id)
        except ConflictError:
            assert self.model[snapshot_id][1]
            return
        assert not self.model.pop(snapshot_id)[1]

    @precondition(lambda self: self.model)
    @rule()
    def prune(self) -> None:
        assert not self.graph.prune(wait_s=0).dropped

    @rule(cache=st.sampled_from(["nothing", "index", "everything"]))
    def forget(self, cache: str) -> None:
        self.manager.close()
        for path in self.cache.glob({"nothing": "", "index": "index", "everything": "*"}[cache] or "nothing"):
            path.unlink()
        self.open()

    @rule(cache=CACHES, at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def flip(self, cache: str, at: float, bit: int) -> None:
        """One bit of a cache is another."""
        self.manager.close()
        for path in self.cache.glob(cache):
            content = bytearray(path.read_bytes())
            if content:
                content[int(at * len(content))] ^= 1 << bit
            path.write_bytes(content)
        self.open()

    @rule(cache=CACHES, share=st.floats(0, 1))
    def truncate(self, cache: str, share: float) -> None:
        self.manager.close()
        for path in self.cache.glob(cache):
            os.truncate(path, int(path.stat().st_size * share))
        self.open()

    @rule()
    def keep_caches(self) -> None:
        self.older = {path.name: path.read_bytes() for path in self.cache.iterdir()}

    @precondition(lambda self: self.older)
    @rule()
    def set_caches_back(self) -> None:
        """Whole and valid, but of an earlier moment: they may name packs that were swept since."""
        self.manager.close()
        for name, content in self.older.items():
            (self.cache / name).write_bytes(content)
        self.open()

    @precondition(lambda self: self.model)
    @rule(at=st.integers(0, 50))
    def restore(self, at: int) -> None:
        self.restores(self.chosen(at))

    def restores(self, snapshot_id: str) -> None:
        target = self.place / "target"
        self.graph.restore_snapshot(snapshot_id, target)
        paths = [Path(parent, name) for parent, _, names in os.walk(target) for name in names]
        assert {str(path.relative_to(target)): path.read_bytes() for path in paths} == self.model[snapshot_id][0]
        shutil.rmtree(target)

    @invariant()
    def lists_what_the_model_has(self) -> None:
        if hasattr(self, "graph"):
            found = {one.backup_id: set(one.holders) for one in self.graph.list_snapshots()}
            assert list(found) == list(self.model)
            assert found == {name: holders for name, (_, holders) in self.model.items()}


def test_random_histories_agree_with_the_model() -> None:
    examples = int(os.environ.get("LRB_MODEL_EXAMPLES", "12"))
    checks = list(HealthCheck)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Repository,
        settings=settings(max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=checks),
    )
