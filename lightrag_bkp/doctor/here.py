"""What is on this host: the place of the snapshots, what opens them, the graphs, and their servers."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from .. import _bridge, place, presence, state_place
from ..backup import BackupManager
from ..config import GraphSettings, Settings
from ..errors import LightragBkpError, refusals_named
from ..graph import GraphBackup
from ..recovering.health import interrupted
from ..repository import stored_graphs
from ..secret import Secret
from ..sources import files
from ..sources.server_status import KEY_VARIABLE, Server
from .findings import Finding, State

_LITTLE = 0.05
"""Free room below which there is little, in parts of the device."""
CLOCK_S = 60.0
"""What clocks may differ by, in seconds."""


def look(manager: BackupManager, settings: Settings, chosen: Secret | None) -> list[Finding]:
    """All of it but the servers; `chosen` is what opens sealed snapshots."""
    found = [*_storage(manager.storage_path)]
    usable = not any(one.state is State.FAILED for one in found)
    stored = stored_graphs(manager.storage_path) if usable else []
    graphs = [manager.require_graph(name) for name in sorted({*stored, *(one.graph_id for one in settings.graphs)})]
    sources = {None, *(graph.source_dir for graph in graphs)}
    concerns = {one.sentence for source in sources for one in place.concerns(manager.storage_path, source)}
    found += [Finding("storage", State.WARNING, sentence) for sentence in sorted(concerns)]
    opened = _secret(manager, chosen, stored)
    found += [opened, *_target_key(manager)]
    for graph in graphs:
        found.append(_source(graph))
        if graph.graph_id in stored and opened.state is not State.FAILED:
            found += _repository(graph)
    if not graphs:
        said = "none is configured and none is stored: `lightrag-bkp discover` finds those of a working directory"
        found.append(Finding("graphs", State.WARNING, said))
    return found


async def ask_servers(graphs: Iterable[GraphSettings]) -> list[Finding]:
    """Whether the LightRAG servers that are named answer, and for the directories they are named for."""
    return list(await asyncio.gather(*(_ask(graph) for graph in graphs if graph.server_url is not None)))


async def _ask(graph: GraphSettings) -> Finding:
    assert graph.server_url is not None
    area = f"server of {graph.graph_id}"
    try:
        server = Server(graph.server_url, os.environ.get(KEY_VARIABLE))
        facts = await server.facts(graph.source_dir, graph.workspace)
        await server.occupied()
    except LightragBkpError as error:
        return Finding(area, State.FAILED, str(error))
    said = f"LightRAG {facts.get('lightrag_version', 'of unknown version')} answers at {graph.server_url}"
    if facts.get("server_unverified"):
        return Finding(area, State.WARNING, f"{said}, and does not say that it serves {graph.source_dir!r}")
    return Finding(area, State.OK, f"{said} and serves {graph.source_dir!r}")


def _storage(path: str) -> Iterator[Finding]:
    try:
        presence.require(path)
    except LightragBkpError as error:
        yield Finding("storage", State.FAILED, str(error))
        return
    if not os.path.isdir(path):
        yield Finding("storage", *_not_there(path))
    else:
        try:
            with refusals_named(path, "look"):
                stored = len(stored_graphs(path))
                place.try_writing(path)
            yield Finding("storage", State.OK, f"{path!r} can be read and written; graphs stored there: {stored}")
            yield _room(path)
        except LightragBkpError as error:
            yield Finding("storage", State.FAILED, str(error))


def _not_there(path: str) -> tuple[State, str]:
    if os.path.lexists(path):
        return State.FAILED, f"the storage path {path!r} is no directory: correct it, or remove what is there"
    above = os.path.dirname(path)
    while not os.path.exists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above) or not os.access(above, os.W_OK | os.X_OK):
        return State.FAILED, f"the storage path {path!r} is not there, and {above!r} does not let it be made"
    return State.WARNING, f"nothing was backed up yet: {path!r} is not there, and is made by the first snapshot"


def _room(path: str) -> Finding:
    free, found = _bridge.free_bytes(path), os.statvfs(path)
    share = free / max(1, found.f_blocks * found.f_frsize)
    said = f"{free / 1e9:.1f} GB are free on the storage's device, {share:.0%} of it"
    if free == 0:
        return Finding("storage", State.FAILED, "no room is left on the storage's device: make some")
    return Finding("storage", State.WARNING if share < _LITTLE else State.OK, said)


def _secret(manager: BackupManager, chosen: Secret | None, stored: list[str]) -> Finding:
    """Whether what was named can be read, and opens what is stored."""
    if chosen is None:
        return Finding("keys", State.OK, "no passphrase and no key file is named: nothing is sealed")
    try:
        chosen.read()
        for graph_id in stored:
            manager.keyring.key_now(graph_id)
    except (LightragBkpError, OSError) as error:
        return Finding("keys", State.FAILED, str(error))
    concern = chosen.concern()
    if concern is not None:
        return Finding("keys", State.WARNING, concern)
    return Finding("keys", State.OK, "what is named can be read" + (", and opens what is stored" if stored else ""))


def _target_key(manager: BackupManager) -> Iterator[Finding]:
    """The file that seals the API keys of targets, once it is there."""
    path = state_place.find(storage_path=manager.storage_path).key_file
    if not os.path.lexists(path):
        return
    try:
        Secret.key_file(path, "of the replication targets").read()
        yield Finding("keys", State.OK, f"the key file of the replication targets {path!r} is its owner's alone")
    except LightragBkpError as error:
        yield Finding("keys", State.FAILED, str(error))


def _source(graph: GraphBackup) -> Finding:
    """Whether the graph's directory is there, and ready to be taken."""
    area = f"graph {graph.graph_id}"
    if graph.source_dir is None:
        return Finding(area, State.WARNING, "it is stored, and where it lives is not configured")
    waiting = interrupted(graph)
    if waiting is not None:
        return Finding(area, State.FAILED, waiting)
    try:
        with refusals_named(graph.source_dir, "look"):
            layout = files.detect(graph.source_dir, graph.workspace)
            if layout.kind is files.Kind.PLAIN:
                os.listdir(layout.root)
            else:
                files.pin(layout).close()
    except LightragBkpError as error:
        return Finding(area, State.FAILED, str(error))
    return Finding(area, State.OK, f"its files in {graph.source_dir!r} can be read")


def _repository(graph: GraphBackup) -> Iterator[Finding]:
    """Whether what is stored of it can be read, and was taken in the past."""
    area = f"snapshots of {graph.graph_id}"
    try:
        snapshots = graph.list_snapshots()
        trouble = graph.log_damage() or graph.log_alarm()
    except (LightragBkpError, OSError) as error:
        yield Finding(area, State.FAILED, str(error))
        return
    if trouble:
        yield Finding(area, State.FAILED, trouble)
    elif not snapshots:
        yield Finding(area, State.WARNING, "there are none")
    else:
        newest = snapshots[-1]
        said = f"{len(snapshots)} can be listed, the newest of {newest.created_at:%Y-%m-%d %H:%M} UTC"
        yield Finding(area, State.OK, said)
        if (newest.created_at - datetime.now(UTC)).total_seconds() > CLOCK_S:
            said = f"snapshot {newest.backup_id} is of a time yet to come: the clock is wrong, or was"
            yield Finding("clock", State.WARNING, said)
