"""What a restore replaces, kept as a safety snapshot of the same graph."""

import json

from .. import _bridge, capture
from ..models import BackupSnapshot, Consistency
from ..repository import GraphRepository
from ..threads import in_thread
from .target import Target, add_present


async def keep_present(
    repository: GraphRepository, replaced_by: BackupSnapshot, target: Target, consistency: Consistency
) -> str | None:
    """Stores what the target holds of this graph; returns the snapshot's id, None when it holds nothing."""
    source = _bridge.Source()
    await in_thread(add_present, source, target)
    await in_thread(source.seal)
    if len(source) == 0:
        return None
    facts = await in_thread(capture.layout_facts, target.layout)
    with repository.advising_on_space():
        kept = await capture.store(
            repository,
            source,
            label=target.layout.label,
            safety=True,
            consistency=str(Consistency.PLAIN if target.plain else consistency),
            facts=facts | ({"inputs": True} if target.inputs else {}),
            metadata_json=json.dumps({"replaced_by": replaced_by.backup_id}),
            retention_days=replaced_by.retention_days,
        )
    return kept.backup_id
