"""What keeps a graph of a recovery point from being brought back, as its stored objects tell."""

from collections.abc import Callable

from ..errors import InvalidInputError, LightragBkpError
from ..graph import GraphBackup
from ..models import BackupSnapshot, Consistency, VerifyLevel
from ..threads import in_thread
from ..verdicts import Verdict
from .points import RecoveryPoint


async def problems(
    find: Callable[[str], GraphBackup], point: RecoveryPoint, graph_id: str, level: VerifyLevel | str
) -> list[str]:
    """What keeps one graph from being brought back; nothing that is wrong with it is an exception.

    Raises:
        InvalidInputError: an unknown level.
    """
    named = point.snapshots[graph_id]
    try:
        graph = await in_thread(find, graph_id)
        snapshot = await in_thread(graph.get_snapshot, named.id)
        if snapshot is None:
            return [f"snapshot {named.id} is gone"]
        found = [] if snapshot.data_hash == named.digest else [f"snapshot {named.id} is another one now"]
        if point.holder not in snapshot.holders:
            found.append(f"snapshot {named.id} is not held, so a clean-up may take it")
        outcome = await graph.verify_snapshot(named.id, level)
        found += [f"{one.object}: {one.message}" for one in outcome.findings]
        return found + ([] if found else await _unusable(graph, snapshot, level))
    except InvalidInputError:
        raise
    except LightragBkpError as error:
        return [str(error)]


def unusable(snapshot: BackupSnapshot) -> str:
    """That a graph is unusable, and what to do."""
    return (
        f"the graph of snapshot {snapshot.backup_id} is unusable: lightrag-bkp show {snapshot.graph_id}"
        f" {snapshot.backup_id} says why; mend the graph and make another point, or fall back on an older one"
    )


async def _unusable(graph: GraphBackup, snapshot: BackupSnapshot, level: VerifyLevel | str) -> list[str]:
    """One that was never judged is judged now, unless the catalogue is enough."""
    verdict = snapshot.verdict
    if verdict is None and level != VerifyLevel.CATALOGUE and snapshot.consistency != Consistency.PLAIN:
        verdict = (await graph.validate_snapshot(snapshot.backup_id)).verdict
    return [unusable(snapshot)] if verdict == Verdict.UNUSABLE else []
