"""What must be so, given what the processes wrote down. Knows nothing of the program but what its documentation says.

An operation that was killed, or ended in an error, may have happened or not, so every rule asks for the worst that may
have been: a snapshot is missed only when nobody can have dropped it, and may only be there when nobody is known to.

Now and then nobody works, and a listing says what has become of all that. From there on only what is `Settled` counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .trail import NEVER, Operation

NOTHING = "nothing"
_TAKEN_AWAY = {"NotFoundError", "DamagedError"}
"""What may come of reading while a prune that does not wait takes packs away."""
_QUIET = {"Busy"}
"""Others kept writing."""
_CALLS = _QUIET | {"StorageError", "NoSpaceError", "UnsupportedError"}
_ERRORS = {"": _QUIET, "calls": _CALLS, "disk": _CALLS | {"DamagedError"}}
"""What may come of each trouble. That a disk answers EIO when it is read says something about what is on it."""
_ASKS_FOR_ONE = ("restore", "unpack", "verify", "hold", "release", "reader")
_READS = ("restore", "unpack", "verify", "reader")


@dataclass
class Snapshot:
    """What is known of one: what it may hold, since when it may be there, and since when it must."""

    name: str
    contents: set[str]
    born: float
    known: float = NEVER
    safety: bool = False


@dataclass
class Settled:
    """What is certain of a graph while nobody works."""

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    holders: dict[str, list[str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    targets: dict[str, str] = field(default_factory=dict)


@dataclass
class Graph:
    """All that happened to one graph since then, by kind."""

    place: str
    settled: Settled
    operations: list[Operation] = field(default_factory=list)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    by_kind: dict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))

    def named(self, kind: str, snapshot: str) -> Iterator[Operation]:
        """Operations of a kind on one snapshot."""
        return (one for one in self.by_kind[kind] if one.facts["snapshot"] == snapshot)


def judge(operations: Iterable[Operation], settled: dict[str, Settled]) -> list[str]:
    """All that is not as it must be, each as a sentence. The last look at each graph becomes what is `settled`."""
    graphs: dict[str, Graph] = {}
    wrong = []
    for one in operations:
        if one.kind == "process" and one.result and one.result["code"] not in one.facts["ends"]:
            wrong.append(f"process {one.facts['process']} ended with {one.result['code']}: {one.result['said']}")
        if one.place:
            graph = graphs.setdefault(one.place, Graph(one.place, settled.setdefault(one.place, Settled())))
            graph.operations.append(one)
            graph.by_kind[one.kind].append(one)
    wrong += [f"{graph.place}: {said}" for graph in graphs.values() for said in _judge(graph)]
    settled.update({place: _settle(graph) for place, graph in graphs.items()})
    return wrong


def _judge(graph: Graph) -> Iterator[str]:
    _learn(graph)
    for one in graph.by_kind["list"]:
        if one.done:
            yield from _wrong_listing(graph, one)
    for one in graph.operations:
        yield from _wrong_result(graph, one)
        if one.error:
            yield from _wrong_error(graph, one)
    yield from _wrong_targets(graph)


# ---- which snapshots there are, and what each holds ----


def _learn(graph: Graph) -> None:
    graph.snapshots.update(graph.settled.snapshots)
    for name, keepers in graph.settled.holders.items():
        facts = [{"snapshot": name, "holder": holder} for holder in keepers]
        graph.by_kind["hold"] += [Operation("before", "hold", graph.place, 0, one, over=0, result={}) for one in facts]
    takers = {one.name: one for one in graph.by_kind["create"]}
    replaced = {one.facts["before"] for one in graph.by_kind["restore"]}
    for one in graph.by_kind["create"]:
        if one.done and one.result:
            _meet(graph, Snapshot(one.result["id"], {one.facts["content"]}, one.begun), one.over)
    for one in graph.by_kind["restore"]:
        if one.done and one.result and one.result.get("safety"):
            _meet(graph, Snapshot(one.result["safety"], {one.facts["before"]}, one.begun, safety=True), one.over)
    for one in graph.by_kind["list"]:
        for name, taker, safety, _ in (one.result or {}).get("snapshots", ()):
            if safety:
                _meet(graph, Snapshot(name, set(replaced), 0, safety=True), one.over)
            elif taker in takers:
                _meet(graph, Snapshot(name, {takers[taker].facts["content"]}, takers[taker].begun), one.over)


def _meet(graph: Graph, snapshot: Snapshot, when: float) -> None:
    """It was seen to be there."""
    kept = graph.snapshots.setdefault(snapshot.name, snapshot)
    kept.known = min(kept.known, when)


# ---- who may have dropped one ----


def may_be_gone(graph: Graph, snapshot: Snapshot, by: Operation) -> bool:
    """Whether anything that began before `by` was over can have dropped it."""
    others = (one for one in graph.named("delete", snapshot.name) if one is not by and one.begun < by.over)
    if any(others):
        return True
    return any(_may_drop(graph, snapshot, one) for one in graph.by_kind["prune"] if one.begun < by.over)


def _may_drop(graph: Graph, snapshot: Snapshot, prune: Operation) -> bool:
    """A safety snapshot goes by its age alone; of the others the newest stay."""
    if snapshot.safety:
        return bool(prune.facts["aged"])
    newer = sum(one.begun < prune.over and one.over > snapshot.born for one in graph.by_kind["create"])
    newer += sum(not one.safety and one.known > snapshot.born for one in graph.settled.snapshots.values())
    return bool(newer - 1 >= prune.facts["keep"])


def holders(graph: Graph, snapshot: str, by: Operation) -> set[str]:
    """Who certainly holds it all the time from the begin of an operation to its end."""
    releases = list(graph.named("release", snapshot))
    return {
        hold.facts["holder"]
        for hold in graph.named("hold", snapshot)
        if hold.done
        and hold.over < by.begun
        and not any(
            one.facts["holder"] == hold.facts["holder"] and one.over > hold.begun and one.begun < by.over
            for one in releases
        )
    }


def _may_hold(graph: Graph, snapshot: str, by: Operation) -> set[str]:
    return {one.facts["holder"] for one in graph.named("hold", snapshot) if one.begun < by.over}


# ---- the rules ----


def _wrong_listing(graph: Graph, one: Operation) -> Iterator[str]:
    assert one.result is not None
    shown = {row[0]: set(row[3]) for row in one.result["snapshots"]}
    for snapshot in graph.snapshots.values():
        name, keepers = snapshot.name, holders(graph, snapshot.name, one)
        if name in shown:
            if not keepers <= shown[name] <= _may_hold(graph, name, one):
                yield f"{one.name} shows {name} held by {sorted(shown[name])}, and {sorted(keepers)} must hold it"
            if any(_certainly_dropped(graph, name, one)):
                yield f"{one.name} shows {name}, which was dropped before: {_story(graph, name)}"
        elif snapshot.known < one.begun:
            if keepers:
                yield f"{one.name} misses {name}, which {sorted(keepers)} holds: {_story(graph, name)}"
            elif not may_be_gone(graph, snapshot, one):
                yield f"{one.name} misses {name}, which nobody dropped: {_story(graph, name)}"
    for name in shown.keys() - graph.snapshots.keys():
        why = "was dropped before" if name in graph.settled.gone else "nobody took"
        yield f"{one.name} shows {name}, which {why}"


def _certainly_dropped(graph: Graph, snapshot: str, by: Operation) -> Iterator[bool]:
    for one in graph.named("delete", snapshot):
        yield bool(one.done and one.result and one.result["deleted"] and one.over < by.begun)
    for one in graph.by_kind["prune"]:
        yield bool(one.done and one.result and snapshot in one.result["dropped"] and one.over < by.begun)


def _wrong_result(graph: Graph, one: Operation) -> Iterator[str]:
    result = one.result or {}
    if not one.done:
        return
    if one.kind in ("restore", "unpack", "reader"):
        known = graph.snapshots.get(one.facts["snapshot"])
        if known is None:
            yield f"{one.name} brought back {one.facts['snapshot']}, which nobody took"
        elif result["content"] not in known.contents:
            yield f"WRONG BYTES: {one.name} {one.kind} of {known.name} is {result['content']}, not {known.contents}"
    if one.kind == "verify" and not one.facts.get("damaged") and one.trouble != "disk" and result["findings"]:
        yield f"{one.name} found what is not so: {result['findings'][:3]}"
    if one.kind == "verify" and one.facts.get("must") and not result["findings"]:
        yield f"{one.name} did not find that {one.facts['damaged']}"
    if one.kind == "litter" and result["left"]:
        yield f"{one.name} left behind {result['left'][:5]}"
    if one.kind == "delete":
        yield from _wrong_delete(graph, one, bool(result["deleted"]))


def _wrong_delete(graph: Graph, one: Operation, deleted: bool) -> Iterator[str]:
    known = graph.snapshots.get(one.facts["snapshot"])
    if deleted and holders(graph, one.facts["snapshot"], one):
        yield f"{one.name} deleted {one.facts['snapshot']}, which is held"
    if not deleted and known and known.known < one.begun and not may_be_gone(graph, known, one):
        yield f"{one.name} says that {known.name} is gone, which nobody dropped: {_story(graph, known.name)}"


def _wrong_error(graph: Graph, one: Operation) -> Iterator[str]:
    """An error needs a reason."""
    allowed = _ERRORS[one.trouble]
    if one.kind in _READS and _pruned_beside(graph, one):
        allowed = allowed | _TAKEN_AWAY
    if one.kind in _ASKS_FOR_ONE:
        known = graph.snapshots.get(one.facts["snapshot"] or "")
        if known is None or may_be_gone(graph, known, one):
            allowed = allowed | {"NotFoundError"}
    if one.kind == "delete" and _may_hold(graph, one.facts["snapshot"], one):
        allowed = allowed | {"ConflictError"}
    if one.facts.get("damaged"):
        allowed = allowed | {"DamagedError"}
    if one.kind in ("restore", "found") and one.trouble:
        allowed = allowed | {"RestoreUnfinishedError"}  # refused after the first change: the next one finishes it
    if one.error not in allowed:
        yield f"an error without a reason: {one}"


def _pruned_beside(graph: Graph, by: Operation) -> bool:
    """Whether a prune may have unlinked packs meanwhile: one that does not wait, or what an earlier one retired."""
    beside = (one for one in graph.by_kind["prune"] if one.begun < by.over and one.over > by.begun)
    return any(one.facts["wait_s"] < 60 for one in beside)


def _wrong_targets(graph: Graph) -> Iterator[str]:
    """A target holds what it held, or what was restored to it; never anything else."""
    possible: dict[str, set[str]] = defaultdict(lambda: {NOTHING})
    possible |= {target: {content} for target, content in graph.settled.targets.items()}
    for one in graph.operations:
        target, result = one.facts.get("target"), one.result or {}
        if target is None:
            continue
        seen = one.facts.get("before") or (result.get("content") if one.kind == "found" else None)
        if seen and seen not in possible[target]:
            yield f"A MIX: {one.name} found {seen} in {target}, not one of {sorted(possible[target])}"
        if seen:
            possible[target] = {seen}
        if one.kind == "clear":
            possible[target] = {NOTHING} if one.done else possible[target] | {NOTHING}
        elif one.kind == "restore" and one.done:
            possible[target] = {result["content"]}
        elif one.kind == "restore" and (one.result is None or one.trouble):
            snapshot = graph.snapshots.get(one.facts["snapshot"])
            possible[target] = possible[target] | (snapshot.contents if snapshot else set())


def _settle(graph: Graph) -> Settled:
    """By what was seen last."""
    listed = [one for one in graph.by_kind["list"] if one.result and one.done][-1:]
    shown = {row[0]: row[3] for one in listed for row in (one.result or {})["snapshots"]}
    targets = {one.facts["target"]: (one.result or {})["content"] for one in graph.by_kind["found"] if one.done}
    return Settled(
        {name: one for name, one in graph.snapshots.items() if name in shown},
        shown,
        graph.settled.gone | (graph.snapshots.keys() - shown.keys()),
        graph.settled.targets | targets,
    )


def _story(graph: Graph, snapshot: str) -> str:
    """All that was done to one snapshot, for who has to find out."""
    told = [one for one in graph.operations if snapshot in (one.facts.get("snapshot"), (one.result or {}).get("id"))]
    return "; ".join(f"{one.name} {one.kind} -> {one.result}" for one in told if one.kind not in ("restore", "unpack"))
