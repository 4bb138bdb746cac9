"""Random histories of one repository against a model in a few lines: which snapshots there are, who holds them, and
what each must bring back. Handles are closed and caches lost at any moment.
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


class Repository(RuleBasedStateMachine):
    """The model: snapshot id -> (content, holders), in the order of the log."""

    @initialize()
    def begin(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.source = self.place / "source"
        self.source.mkdir()
        self.content: dict[str, bytes] = {}
        self.model: dict[str, tuple[dict[str, bytes], set[str]]] = {}
        self.write("a", 1, 0)
        self.open()

    def open(self) -> None:
        self.manager = BackupManager(self.place / "storage")
        self.graph: GraphBackup = self.manager.register_graph("g", self.source)

    def teardown(self) -> None:
        if hasattr(self, "place"):
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
        directory = self.place / "storage" / "graphs" / "g" / "cache"
        for path in directory.glob({"nothing": "", "index": "index", "everything": "*"}[cache] or "nothing"):
            path.unlink()
        self.open()

    @precondition(lambda self: self.model)
    @rule(at=st.integers(0, 50))
    def restore(self, at: int) -> None:
        snapshot_id = self.chosen(at)
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
