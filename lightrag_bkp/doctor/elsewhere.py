"""What is on other hosts: replication targets, and their clocks."""

import asyncio
import os
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .. import state_place
from ..backup import BackupManager
from ..errors import LightragBkpError
from ..probing import TargetStatus
from ..receiving.protocol import BASE_PATH
from ..replication import ReplicationManager, ReplicationTarget
from ..threads import in_thread
from .findings import Finding, State
from .here import CLOCK_S

_ASK_S = 5.0
_FILE = "sqlite:///"
_NONE = Finding("targets", State.OK, "none are registered: there are no copies elsewhere")


async def look(manager: BackupManager) -> list[Finding]:
    """Every target that is enabled is asked, and what time it is there."""
    if not await in_thread(_are_kept, manager):
        return [_NONE]
    try:
        damage = await in_thread(state_place.find(storage_path=manager.storage_path).open().damage)
        if damage is not None:
            said = f"their database is damaged: {damage}: put a copy of it in its place, or register the targets anew"
            return [Finding("targets", State.FAILED, said)]
        async with ReplicationManager(storage_path=manager.storage_path, keyring=manager.keyring) as replication:
            targets = await in_thread(replication.list_targets)
            found = await asyncio.gather(*(_probe(replication, one) for one in targets))
            clocks = await asyncio.gather(*(_clock(one) for one in targets if one.enabled))
    except LightragBkpError as error:
        return [Finding("targets", State.FAILED, str(error))]
    return [*found, *(one for one in clocks if one is not None)] or [_NONE]


def _are_kept(manager: BackupManager) -> bool:
    """Whether there is a database of targets: without replication nothing it needs has to be installed."""
    found = state_place.find(storage_path=manager.storage_path)
    return not found.url.startswith(_FILE) or os.path.exists(found.url.removeprefix(_FILE))


async def _probe(replication: ReplicationManager, target: ReplicationTarget) -> Finding:
    area = f"target {target.name}"
    if not target.enabled:
        return Finding(area, State.OK, "it is disabled: nothing is sent there")
    seen = await replication.check_target_health(target.target_id)
    state = State.OK if seen.status is TargetStatus.HEALTHY else State.FAILED
    return Finding(area, state, f"{seen.status.value}: {seen.reason}" if seen.reason else seen.status.value)


async def _clock(target: ReplicationTarget) -> Finding | None:
    """How far this host's clock is from the target's; None where it does not say."""
    begun = time.time()
    try:
        from ..shipping.peer import Address, Peer  # it loads libcurl

        async with asyncio.timeout(_ASK_S), Peer(Address(target.base_url, target.api_key, target.connection)) as peer:
            answer = await peer.ask("GET", f"{BASE_PATH}/capabilities")
        there = parsedate_to_datetime(answer.date or "")
    except (LightragBkpError, TimeoutError, ValueError):
        return None  # what is wrong with the target the probe says
    here = datetime.fromtimestamp((begun + time.time()) / 2, UTC)
    apart_s = (there.astimezone(UTC) - here).total_seconds()
    if abs(apart_s) <= CLOCK_S:
        return Finding("clock", State.OK, f"it agrees with that of target {target.name}")
    order = "behind" if apart_s > 0 else "ahead of"
    said = f"it is {abs(apart_s):.0f} s {order} that of target {target.name}: set the one that is wrong"
    return Finding("clock", State.FAILED, said)
