"""The oracle notices: what really happens to copies of real repositories, and histories that must not be."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.folders import write_odd_tree

from lightrag_bkp.sync import GraphBackup

from . import oracle, trail
from .field import Field
from .inspector import HARMS, packs_of
from .plan import chance
from .trail import Operation, Trail
from .worker import Hands

PLACE = "open/folder"


class Kept:
    """A real repository of two snapshots, and the trail of how it came to be."""

    def __init__(self, directory: Path) -> None:
        self.field = Field(directory)
        self.field.make()
        self.trail = Trail(self.field.trail, "test")
        self.hands = Hands(self.field, self.trail)
        self.source = write_odd_tree(self.field.source(0, PLACE))
        self.graph = self.open(self.field.ground)
        for text in ("first", "second"):
            (self.source / "text").write_text(text)
            self.hands.create(self.graph, PLACE, self.source)
        self.ids = [row[0] for row in self.hands.listed(self.graph, PLACE)]

    def open(self, below: Path) -> GraphBackup:
        return self.field.manager("open", below).register_graph("folder", self.source)

    def copy(self) -> Path:
        """The directory of the repository's copy."""
        shutil.copytree(self.field.storage(PLACE), self.field.copies / "open")
        return self.field.copies / "open" / "graphs" / "folder"

    def unpack(self, graph: GraphBackup, snapshot: str, **facts: Any) -> dict[str, Any]:
        return self.hands.unpack(graph, PLACE, snapshot, self.field.copies / "unpacked", **facts)

    def judged(self) -> list[str]:
        return oracle.judge(trail.read(self.field.trail), {})


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    yield Kept(tmp_path / "field")


def test_nothing_is_said_of_what_is_right(kept: Kept) -> None:
    for snapshot in kept.ids:
        kept.unpack(kept.graph, snapshot)
        kept.hands.restore(kept.graph, PLACE, snapshot, kept.field.target(0, PLACE, 0))
    kept.hands.verify(kept.graph, PLACE, None)
    assert kept.judged() == []
    compared = [one for one in trail.read(kept.field.trail) if one.kind in ("unpack", "restore") and one.done]
    assert len(compared) == 4


def test_a_lost_snapshot_is_missed(kept: Kept) -> None:
    """The last entry and the caches of a copy are gone: the program cannot know."""
    repository = kept.copy()
    shutil.rmtree(repository / "cache")
    (repository / "cache").mkdir()
    max((repository / "log").iterdir()).unlink()
    kept.hands.listed(kept.open(kept.field.copies), PLACE)
    (said,) = kept.judged()
    assert f"misses {kept.ids[-1]}, which nobody dropped" in said


def test_a_wrong_byte_is_seen(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack = GraphBackup.unpack

    def unpack_wrongly(self: GraphBackup, snapshot_id: str, directory: Path) -> None:
        unpack(self, snapshot_id, directory)
        with (directory / "big").open("r+b") as file:
            byte = file.read(1)[0]
            file.seek(0)
            file.write(bytes([byte ^ 1]))

    monkeypatch.setattr(GraphBackup, "unpack", unpack_wrongly)
    kept.unpack(kept.graph, kept.ids[0])
    (said,) = kept.judged()
    assert "WRONG BYTES" in said and kept.ids[0] in said


def test_another_snapshot_in_place_of_one_is_seen(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack = GraphBackup.unpack
    monkeypatch.setattr(GraphBackup, "unpack", lambda self, _, directory: unpack(self, kept.ids[1], directory))
    kept.unpack(kept.graph, kept.ids[0])
    assert "WRONG BYTES" in kept.judged()[0]


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_copy_is_found_by_verify_and_expected(kept: Kept, harm: Any) -> None:
    """And an error that would have no reason otherwise has one."""
    repository = kept.copy()
    (pack, *_) = packs_of(repository, kept.ids[0], None)
    harm(pack, chance("seed", harm.__name__))
    damaged = kept.open(kept.field.copies)
    kept.hands.verify(damaged, PLACE, None, damaged="it is")
    kept.unpack(damaged, kept.ids[0], damaged="it is")
    assert kept.judged() == []
    kept.hands.verify(kept.open(kept.field.copies), PLACE, None)
    assert "found what is not so" in kept.judged()[0]


# ---- histories ----


def history(*told: tuple[Any, ...], first: int = 0) -> list[Operation]:
    """(kind, facts, result) one after the other; a process that is killed gives no result."""
    made = []
    for number, (kind, facts, result, *trouble) in enumerate(told, first):
        over = trail.NEVER if result is None else 10 * number + 5
        made.append(Operation(f"w.{number}", kind, PLACE, 10 * number, facts, over, result, *trouble))
    return made


def shows(*names: str, by: tuple[str, ...] = ()) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """A listing."""
    takers = {"s": "w.0", "t": "w.1"}
    return "list", {}, {"snapshots": [[name, takers.get(name), False, list(by)] for name in names]}


TAKEN = ("create", {"content": "c"}, {"id": "s"})
ANOTHER = ("create", {"content": "d"}, {"id": "t"})
ONE = {"snapshot": "s"}
HELD = ("hold", {**ONE, "holder": "one"}, {"new": True})
FREED = ("release", {**ONE, "holder": "one"}, {"was": True})
DELETED = ("delete", ONE, {"deleted": True})
KILLED = ("delete", ONE, None)
PRUNED = ("prune", {"keep": 2, "aged": False, "wait_s": 3600}, {"dropped": ["s"]})
RESTORED = ("restore", {**ONE, "target": "x", "before": "nothing"}, {"content": "c", "safety": None})
STUCK = ("restore", {**ONE, "target": "x", "before": "nothing"}, {"error": "RestoreUnfinishedError"})
CUT_SHORT = ("restore", {**ONE, "target": "x", "before": "nothing"}, None)


def found(content: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """What is in a target."""
    return "found", {"target": "x"}, {"content": content}


@pytest.mark.parametrize(
    "told",
    [
        (TAKEN, shows("s")),
        (("create", {"content": "c"}, None), shows("s")),
        (("create", {"content": "c"}, None), shows()),
        (TAKEN, KILLED, shows()),
        (TAKEN, KILLED, shows("s")),
        (TAKEN, ANOTHER, ANOTHER, PRUNED, shows("t")),
        (TAKEN, HELD, shows("s", by=("one",)), FREED, DELETED, shows()),
        (TAKEN, HELD, ("delete", ONE, {"error": "ConflictError"})),
        (TAKEN, CUT_SHORT, found("nothing")),
        (TAKEN, CUT_SHORT, found("c")),
        (TAKEN, DELETED, ("unpack", ONE, {"error": "NotFoundError"})),
        (TAKEN, ("unpack", ONE, {"error": "StorageError"}, "calls")),
        (TAKEN, (*STUCK, "calls"), found("nothing")),
        (TAKEN, (*STUCK, "disk"), ("found", {"target": "x"}, {"error": "RestoreUnfinishedError"}, "disk"), found("c")),
    ],
)
def test_what_may_be_is_no_violation(told: tuple[Any, ...]) -> None:
    assert oracle.judge(history(*told), {}) == []


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ((TAKEN, shows()), "misses s, which nobody dropped"),
        ((TAKEN, shows("s", "u")), "shows u, which nobody took"),
        ((TAKEN, DELETED, shows("s")), "dropped before"),
        ((TAKEN, HELD, KILLED, shows()), "misses s, which ['one'] holds"),
        ((TAKEN, HELD, DELETED), "deleted s, which is held"),
        ((TAKEN, HELD, shows("s")), "['one'] must hold it"),
        ((TAKEN, ANOTHER, PRUNED, shows("t")), "misses s, which nobody dropped"),
        ((TAKEN, ("delete", ONE, {"deleted": False})), "says that s is gone"),
        ((TAKEN, ("delete", ONE, {"error": "ConflictError"})), "an error without a reason"),
        ((TAKEN, ("unpack", ONE, {"error": "StorageError"})), "an error without a reason"),
        ((TAKEN, ("unpack", ONE, {"error": "DamagedError"}, "calls")), "an error without a reason"),
        ((TAKEN, STUCK), "an error without a reason"),
        ((TAKEN, (*STUCK, "calls"), found("half")), "A MIX"),
        ((TAKEN, ("reader", ONE, {"content": "d"})), "WRONG BYTES"),
        ((TAKEN, CUT_SHORT, found("half")), "A MIX"),
        ((TAKEN, RESTORED, found("nothing")), "A MIX"),
        ((TAKEN, ("verify", ONE, {"findings": ["packs/1: no"]})), "found what is not so"),
        ((TAKEN, ("verify", {**ONE, "damaged": "it was", "must": True}, {"findings": []})), "did not find that it was"),
        ((TAKEN, ("litter", {}, {"left": ["1.pack"]})), "left behind"),
        ((("process", {"process": "w", "ends": [0, -9]}, {"code": -11, "said": "Fatal"}),), "ended with -11"),
    ],
)
def test_what_must_not_be_is_said(told: tuple[Any, ...], said: str) -> None:
    assert any(said in one for one in oracle.judge(history(*told), {}))


def test_what_was_settled_is_missed_later() -> None:
    settled: dict[str, oracle.Settled] = {}
    gone = "delete", {"snapshot": "t"}, None
    assert oracle.judge(history(TAKEN, ANOTHER, HELD, gone, shows("s", by=("one",))), settled) == []
    for later, said in (
        (shows(), "misses s, which ['one'] holds"),
        (shows("s"), "['one'] must hold it"),
        (shows("s", "t", by=("one",)), "shows t, which was dropped before"),
    ):
        assert any(said in one for one in oracle.judge(history(later, first=10), dict(settled)))
    assert oracle.judge(history(FREED, DELETED, shows(), first=10), dict(settled)) == []


def test_a_line_cut_short_counts_as_not_written(tmp_path: Path) -> None:
    written = Trail(tmp_path, "w1")
    written.end(written.begin("list", PLACE), snapshots=[])
    written.begin("prune", PLACE)
    whole = (tmp_path / "w1.jsonl").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "w1.jsonl").write_bytes(whole[:length])
        assert len(trail.read(tmp_path)) <= 1 or length == len(whole)
    (tmp_path / "w1.jsonl").write_bytes(whole)
    assert [one.result for one in trail.read(tmp_path)] == [{"snapshots": []}, None]
