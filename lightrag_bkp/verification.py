"""Whether snapshots can be brought back: what is stored looked at, or one of them restored for trial."""

import logging
import os
import re
import time
from dataclasses import replace

from . import _bridge
from .errors import DamagedError, InvalidInputError, NotFoundError, UnsupportedError, refusals_named
from .models import BackupSnapshot, Finding, ProgressCallback, VerifyLevel, VerifyOutcome
from .repository import GraphRepository, read_facts
from .threads import in_thread

logger = logging.getLogger("lightrag_bkp")

_PHASES = {1: "log", 2: "needed", 3: "packs", 4: "items", 5: "enter", 6: "done"}
_PACK_NAME = re.compile("[0-9a-f]{64}")
_STRAY = "it is no pack, and nothing of the graph is in it: move it away"
_BEFORE = "this was found before, and what snapshots lack by it is said for itself"
_MAX_NOTES = 1000
_CORE_LEVELS = {VerifyLevel.CATALOGUE: 1, VerifyLevel.DIGESTS: 2}


async def verify(
    repository: GraphRepository,
    snapshot: BackupSnapshot | None,
    level: VerifyLevel,
    scratch_dir: str | None,
    progress: ProgressCallback | None,
) -> VerifyOutcome:
    """As `GraphBackup.verify_snapshot`."""
    started = time.monotonic()
    if level is VerifyLevel.DRILL:
        outcome = await _drill(repository, snapshot, scratch_dir, progress)
    else:
        outcome = await _look(repository, snapshot, level, progress)
    outcome = replace(outcome, seconds=time.monotonic() - started)
    logger.info(
        "event=verify graph=%s id=%s level=%s findings=%d objects=%d bytes=%d seconds=%.3f",
        repository.graph_id,
        snapshot.backup_id if snapshot else "all",
        level,
        outcome.finding_count,
        outcome.objects,
        outcome.bytes_read,
        outcome.seconds,
    )
    return outcome


async def _look(
    repository: GraphRepository,
    snapshot: BackupSnapshot | None,
    level: VerifyLevel,
    progress: ProgressCallback | None,
) -> VerifyOutcome:
    core = await repository.require()
    job = _bridge.verify_job(core, snapshot.backup_id if snapshot else None, _CORE_LEVELS[level], True)
    found, count, objects, chunks, bytes_read, before = await _bridge.run(job, progress, phases=_PHASES)
    findings, strays = tuple(Finding(*pair) for pair in found), await in_thread(_strays, core.path)
    notes = (*(Finding(pack, f"{said}; {_BEFORE}") for pack, said in before), *strays)
    nowhere: tuple[Finding, ...] = ()
    if level is VerifyLevel.DIGESTS:  # 0.1 ms for each snapshot, as much as a catalogue takes for all of it
        nowhere = await in_thread(_nowhere, core, snapshot, findings)
    return VerifyOutcome(level, findings + nowhere, count + len(nowhere), objects, chunks, bytes_read, 0.0, notes=notes)


def _nowhere(
    core: _bridge.Repository, snapshot: BackupSnapshot | None, findings: tuple[Finding, ...]
) -> tuple[Finding, ...]:
    """Snapshots that are whole, and do not say what they are of: no restore would know what to do with them."""
    ids = [snapshot.backup_id] if snapshot else [row[0] for row in core.snapshots()]
    broken = {finding.object for finding in findings}
    return tuple(finding for one in ids if f"snapshot {one}" not in broken and (finding := _goes_nowhere(core, one)))


def _goes_nowhere(core: _bridge.Repository, backup_id: str) -> Finding | None:
    from .restoring.target import stored_layout  # loaded with what restores, see _drill

    try:
        stored_layout(read_facts(core, backup_id))
    except NotFoundError:  # dropped meanwhile
        return None
    except (DamagedError, InvalidInputError, UnsupportedError) as error:
        return Finding(f"snapshot {backup_id}", f"cannot be restored: {error}")
    return None


def _strays(repository_path: str) -> tuple[Finding, ...]:
    """What lies among the packs and is none by its name. Nothing removes it: it may be somebody's."""
    packs = os.path.join(repository_path, "packs")
    with refusals_named(packs):
        names = (name for name in os.listdir(packs) if not _PACK_NAME.fullmatch(name))
        return tuple(Finding(f"packs/{name}", _STRAY) for name in sorted(names, key=os.fsencode)[:_MAX_NOTES])


async def _drill(
    repository: GraphRepository,
    snapshot: BackupSnapshot | None,
    scratch_dir: str | None,
    progress: ProgressCallback | None,
) -> VerifyOutcome:
    """What does not come back is looked at once more, object by object: that names all the damage, and notes it."""
    if snapshot is None:
        raise InvalidInputError("a drill is of one snapshot: name it, or 'latest'", op="verify")
    from .restoring import trial  # only for drills: what restores takes a tenth of a start

    try:
        done = await trial.bring_back(repository, snapshot, scratch_dir, progress)
    except DamagedError as error:
        outcome = await _look(repository, snapshot, VerifyLevel.DIGESTS, progress)
        found = outcome.findings or (Finding(error.target or snapshot.backup_id, str(error)),)
        return replace(outcome, level=VerifyLevel.DRILL, findings=found, finding_count=max(outcome.finding_count, 1))
    findings = tuple(Finding(snapshot.backup_id, problem) for problem in done.problems)
    return VerifyOutcome(
        VerifyLevel.DRILL,
        findings,
        len(findings),
        objects=done.items,
        chunks=0,
        bytes_read=done.size_bytes,
        seconds=0.0,
        verdict=done.verdict,
        restore_s=done.restore_s,
        judge_s=done.judge_s,
    )
