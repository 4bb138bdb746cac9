"""Restores: plain directories to the last bit, what is kept, what is refused, and what an interruption leaves."""

import asyncio
import mmap
import os
import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path

import pytest
from support.folders import fingerprint, write_odd_tree

from lightrag_bkp import BackupManager, GraphBackup
from lightrag_bkp.errors import ConflictError, DamagedError, NotFoundError, RestoreUnfinishedError, StorageError
from lightrag_bkp.models import RestoreAction
from lightrag_bkp.sources import files

pytestmark = pytest.mark.usefixtures("short_rest")

STORES = (
    "kv_store_text_chunks.json",
    "vdb_entities.json",
    "vdb_relationships.json",
    "vdb_chunks.json",
    "graph_chunk_entity_relation.graphml",
)


@pytest.fixture
def plain(manager: BackupManager, tmp_path: Path) -> GraphBackup:
    return manager.register_graph("plain", write_odd_tree(tmp_path / "source"))


@pytest.fixture
def graph(manager: BackupManager, tmp_path: Path) -> GraphBackup:
    """Files with the names of a graph's: what they hold does not matter here, and none of it could be used."""
    (tmp_path / "rag").mkdir()
    for name in STORES:
        (tmp_path / "rag" / name).write_text(f"{name} as it was")
    return manager.register_graph("graph", tmp_path / "rag")


def actions(outcome_items: object) -> dict[str, RestoreAction]:
    return {item.name: item.action for item in outcome_items}  # type: ignore[attr-defined]


async def test_plain_directory_comes_back_to_the_last_bit(plain: GraphBackup, tmp_path: Path) -> None:
    snapshot = await plain.create_snapshot()
    assert (snapshot.consistency, snapshot.facts["layout"]) == ("plain", "plain")
    for target in ("one", "two"):
        outcome = await plain.restore(snapshot.backup_id, tmp_path / target)
        assert not outcome.restart_required
        assert fingerprint(tmp_path / target) == fingerprint(tmp_path / "source")


async def test_what_readme_says_does_not_come_back_does_not(plain: GraphBackup, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    os.link(source / "big", source / "big again")
    os.setxattr(source / "empty", "user.note", b"mine")
    os.utime(source, ns=(1, 10**18))
    source.chmod(0o751)
    snapshot = await plain.create_snapshot()
    await plain.restore(snapshot.backup_id, target)
    assert fingerprint(target) == fingerprint(source)
    assert not os.path.samefile(target / "big", target / "big again")
    assert os.listxattr(target / "empty") == []
    assert (target.stat().st_mtime_ns != 10**18, target.stat().st_mode & 0o7777) == (True, 0o751)
    target.chmod(0o700)
    assert not (await plain.restore(snapshot.backup_id, target)).changed
    assert target.stat().st_mode & 0o7777 == 0o700


async def test_what_is_stored_through_a_mapping_is_missed_until_the_time_moves(manager: BackupManager) -> None:
    """On tmpfs, where the kernel writes no page back that could become clean meanwhile."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        path = Path(directory) / "mapped"
        path.write_bytes(bytes(8192))
        graph = manager.register_graph("mapped", directory)
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            mapped[0] = 1
            await asyncio.sleep(2.1)  # the margin within which an equal time is not believed
            first = await graph.create_snapshot()
            mapped[0] = 2
            mapped.flush()
            assert (await graph.create_snapshot()).data_hash == first.data_hash
            os.utime(path)
            assert (await graph.create_snapshot()).data_hash != first.data_hash


async def test_special_files_are_listed_as_skipped(plain: GraphBackup, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "source" / "pipe")
    snapshot = await plain.create_snapshot()
    assert [skip.name for skip in snapshot.skipped] == ["pipe"]


async def test_links_are_never_followed(plain: GraphBackup) -> None:
    items = {item.name: item for item in (await plain.create_snapshot()).items}
    assert items["link out"].link_target == "/etc/passwd"
    assert items["link out"].size_bytes == len("/etc/passwd")
    assert not any(name.startswith("link to directory/") for name in items)


async def test_plain_target_becomes_equal_and_its_former_state_is_kept(plain: GraphBackup, tmp_path: Path) -> None:
    snapshot = await plain.create_snapshot()
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").write_text("was here")
    outcome = await plain.restore(snapshot.backup_id, target)
    assert fingerprint(target) == fingerprint(tmp_path / "source")
    assert actions(outcome.items)["mine"] is RestoreAction.REMOVE
    assert outcome.safety_snapshot is not None
    await plain.restore(outcome.safety_snapshot, target)
    assert {path.name for path in target.iterdir()} == {"mine"}
    assert (target / "mine").read_text() == "was here"


async def test_what_is_equal_in_a_plain_target_is_not_written_anew(plain: GraphBackup, tmp_path: Path) -> None:
    snapshot = await plain.create_snapshot()
    source, target = tmp_path / "source", tmp_path / "target"
    await plain.restore(snapshot.backup_id, target)
    files = [path.relative_to(target) for path in target.rglob("*") if path.is_file() and not path.is_symlink()]
    changed = files[0]
    before = {name: (target / name).stat().st_ino for name in files}
    (target / changed).write_bytes(b"something else")
    outcome = await plain.restore(snapshot.backup_id, target)
    assert [item.name for item in outcome.changed] == [os.fsdecode(changed)]
    assert 0 < outcome.needed_bytes < snapshot.size_bytes
    assert fingerprint(target) == fingerprint(source)
    after = {name: (target / name).stat() for name in files}
    assert [name for name in files if after[name].st_ino != before[name]] == [changed]
    assert {status.st_nlink for status in after.values()} == {1}, "nothing of the old directory is left"


async def test_only_times_differ_and_a_plain_target_is_made_equal(plain: GraphBackup, tmp_path: Path) -> None:
    snapshot = await plain.create_snapshot()
    target = tmp_path / "target"
    await plain.restore(snapshot.backup_id, target)
    os.utime(target, ns=(1, 1))
    assert (await plain.restore(snapshot.backup_id, target)).safety_snapshot is None, "the root itself is no item"
    touched = next(path for path in target.rglob("*") if path.is_file() and not path.is_symlink())
    os.utime(touched, ns=(1, 1))
    outcome = await plain.restore(snapshot.backup_id, target, dry_run=True)
    assert (outcome.changed, outcome.needed_bytes > 0) == ((), True)
    outcome = await plain.restore(snapshot.backup_id, target)
    assert outcome.safety_snapshot is not None
    assert fingerprint(target) == fingerprint(tmp_path / "source")


async def test_latest_passes_over_safety_snapshots(graph: GraphBackup, tmp_path: Path) -> None:
    first = await graph.create_snapshot()
    (tmp_path / "rag" / STORES[0]).write_text("spoilt")
    outcome = await graph.restore("latest", tmp_path / "rag", allow_unusable=True)
    safety = graph.list_snapshots()[-1]
    assert (safety.backup_id, safety.safety) == (outcome.safety_snapshot, True)
    assert safety.metadata == {"replaced_by": first.backup_id}
    latest = graph.get_snapshot("latest")
    assert latest is not None and latest.backup_id == first.backup_id
    assert outcome.restart_required


async def test_restoring_what_is_there_already_changes_nothing(graph: GraphBackup, tmp_path: Path) -> None:
    snapshot = await graph.create_snapshot()
    before = {path.name: path.stat().st_ino for path in (tmp_path / "rag").iterdir()}
    outcome = await graph.restore(snapshot.backup_id, tmp_path / "rag", allow_unusable=True)
    assert (outcome.changed, outcome.safety_snapshot) == ((), None)
    assert {path.name: path.stat().st_ino for path in (tmp_path / "rag").iterdir()} == before
    assert len(graph.list_snapshots()) == 1


async def test_items_the_snapshot_lacks_go_and_other_files_stay(graph: GraphBackup, tmp_path: Path) -> None:
    rag = tmp_path / "rag"
    snapshot = await graph.create_snapshot()
    (rag / "kv_store_full_docs.json").write_text("newer")
    (rag / "notes.txt").write_text("mine")
    (rag / "other").mkdir()
    (rag / "other" / "vdb_chunks.json").write_text("another workspace")
    await graph.restore(snapshot.backup_id, rag, allow_unusable=True)
    assert {path.name for path in rag.iterdir()} == {*STORES, "notes.txt", "other"}
    assert (rag / "other" / "vdb_chunks.json").read_text() == "another workspace"


async def test_dry_run_names_what_would_change_and_changes_nothing(graph: GraphBackup, tmp_path: Path) -> None:
    rag = tmp_path / "rag"
    snapshot = await graph.create_snapshot()
    (rag / STORES[0]).write_text("spoilt")
    (rag / STORES[1]).unlink()
    (rag / "kv_store_full_docs.json").write_text("newer")
    before = fingerprint(rag)
    outcome = await graph.restore(snapshot.backup_id, rag, dry_run=True)
    assert {item.name: item.action for item in outcome.changed} == {
        STORES[0]: RestoreAction.REPLACE,
        STORES[1]: RestoreAction.CREATE,
        "kv_store_full_docs.json": RestoreAction.REMOVE,
    }
    assert fingerprint(rag) == before
    assert len(graph.list_snapshots()) == 1
    assert set(os.listdir(tmp_path)) == {"rag", "storage"}


async def test_one_item_is_brought_back_alone(graph: GraphBackup, tmp_path: Path) -> None:
    rag = tmp_path / "rag"
    snapshot = await graph.create_snapshot()
    for name in STORES[:2]:
        (rag / name).write_text("spoilt")
    (rag / "kv_store_full_docs.json").write_text("newer")
    outcome = await graph.restore(snapshot.backup_id, rag, items=[STORES[0]])
    assert [item.name for item in outcome.items] == [STORES[0]]
    assert (rag / STORES[0]).read_text() == f"{STORES[0]} as it was"
    assert (rag / STORES[1]).read_text() == "spoilt"
    assert (rag / "kv_store_full_docs.json").read_text() == "newer"
    with pytest.raises(NotFoundError, match=r"unknown\.json"):
        await graph.restore(snapshot.backup_id, rag, items=["unknown.json"])


async def test_a_directorys_name_takes_all_below_it(plain: GraphBackup, tmp_path: Path) -> None:
    snapshot = await plain.create_snapshot()
    await plain.restore(snapshot.backup_id, tmp_path / "some", items=["sub"])
    assert set(os.listdir(tmp_path / "some")) == {"sub"}
    assert fingerprint(tmp_path / "some" / "sub") == fingerprint(tmp_path / "source" / "sub")


async def test_plain_snapshot_never_replaces_a_graph(plain: GraphBackup, graph: GraphBackup, tmp_path: Path) -> None:
    snapshot = await plain.create_snapshot()
    for target in (tmp_path / "rag", tmp_path):
        with pytest.raises(ConflictError):
            await plain.restore(snapshot.backup_id, target)
    assert (tmp_path / "rag" / STORES[0]).read_text() == f"{STORES[0]} as it was"


@pytest.mark.parametrize("target", ["storage", "storage/graphs/new", "."])
async def test_target_and_storage_must_be_apart(plain: GraphBackup, tmp_path: Path, target: str) -> None:
    snapshot = await plain.create_snapshot()
    with pytest.raises(ConflictError, match="keep them apart"):
        await plain.restore(snapshot.backup_id, tmp_path / target)


async def test_a_file_in_the_targets_place_is_refused(plain: GraphBackup, tmp_path: Path) -> None:
    snapshot = await plain.create_snapshot()
    (tmp_path / "target").write_text("a file")
    with pytest.raises(ConflictError, match="no directory"):
        await plain.restore(snapshot.backup_id, tmp_path / "target")


async def test_damage_leaves_the_target_as_it_was(graph: GraphBackup, tmp_path: Path) -> None:
    snapshot = await graph.create_snapshot()
    for pack in (tmp_path / "storage" / "graphs" / "graph" / "packs").iterdir():
        content = bytearray(pack.read_bytes())
        content[60:200] = bytes(140)
        pack.chmod(0o640)
        pack.write_bytes(content)
    (tmp_path / "rag" / STORES[0]).write_text("newer")
    before = fingerprint(tmp_path / "rag")
    with pytest.raises(DamagedError):
        await graph.restore(snapshot.backup_id, tmp_path / "rag", allow_unusable=True)
    assert fingerprint(tmp_path / "rag") == before
    assert set(os.listdir(tmp_path)) == {"rag", "storage"}, "no staging directory is left"


async def test_source_label_follows_links_to_the_same_directory(graph: GraphBackup, tmp_path: Path) -> None:
    await graph.create_snapshot()
    (tmp_path / "link").symlink_to(tmp_path / "rag")
    again = await graph.create_snapshot(tmp_path / "link")
    assert again.facts["source_dir"] == str(tmp_path / "rag")
    assert again.stored_bytes <= 4096


async def test_a_workspace_that_is_a_link_is_taken_restored_and_stays_one(
    manager: BackupManager, graph: GraphBackup, tmp_path: Path
) -> None:
    """LightRAG follows it, too."""
    data, base = tmp_path / "disk" / "data", tmp_path / "base"
    data.parent.mkdir()
    base.mkdir()
    (tmp_path / "rag").rename(data)
    (base / "team").symlink_to(data)
    assert files.workspaces(str(base)) == ["team"]
    team = manager.register_graph("team", base, workspace="team")
    snapshot = await team.create_snapshot(partial=True, validate="off")
    (data / STORES[0]).write_text("spoilt")
    assert (await team.restore(snapshot.backup_id, base, dry_run=True)).changed
    outcome = await team.restore(snapshot.backup_id, base, allow_unusable=True)
    assert (base / "team").is_symlink() and outcome.target_dir == str(base / "team")
    assert (data / STORES[0]).read_text() == f"{STORES[0]} as it was"
    assert os.listdir(data.parent) == ["data"] and os.listdir(base) == ["team"], "nothing of the restore is left"


async def test_restore_through_a_link_keeps_the_link(graph: GraphBackup, tmp_path: Path) -> None:
    snapshot = await graph.create_snapshot()
    (tmp_path / "link").symlink_to(tmp_path / "rag")
    (tmp_path / "rag" / STORES[0]).write_text("spoilt")
    await graph.restore(snapshot.backup_id, tmp_path / "link", allow_unusable=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "rag" / STORES[0]).read_text() == f"{STORES[0]} as it was"


async def test_deleted_directory_is_made_again(graph: GraphBackup, tmp_path: Path) -> None:
    snapshot = await graph.create_snapshot()
    shutil.rmtree(tmp_path / "rag")
    outcome = await graph.restore(snapshot.backup_id, tmp_path / "a" / "b" / "rag", allow_unusable=True)
    assert outcome.safety_snapshot is None
    assert set(os.listdir(tmp_path / "a" / "b" / "rag")) == set(STORES)


async def test_configuration_store_is_brought_back_but_never_taken_away(graph: GraphBackup, tmp_path: Path) -> None:
    config = tmp_path / "rag" / "_lightrag_config"
    without = await graph.create_snapshot()
    config.mkdir()
    (config / "storage_anchor.json").write_text("anchor")
    (config / ".lightrag_storage.lock").touch()
    snapshot = await graph.create_snapshot()
    assert "_lightrag_config/storage_anchor.json" in {item.name for item in snapshot.items}
    (tmp_path / "rag" / STORES[0]).write_text("spoilt")
    await graph.restore(without.backup_id, tmp_path / "rag", allow_unusable=True)
    assert (config / "storage_anchor.json").read_text() == "anchor"
    await graph.restore(snapshot.backup_id, tmp_path / "target", allow_unusable=True)
    assert (tmp_path / "target" / "_lightrag_config" / "storage_anchor.json").read_text() == "anchor"
    assert not (tmp_path / "target" / "_lightrag_config" / ".lightrag_storage.lock").exists()


async def test_modes_and_times_of_a_plain_directory_come_back_alone(plain: GraphBackup, tmp_path: Path) -> None:
    snapshot = await plain.create_snapshot()
    before = fingerprint(tmp_path / "source")
    (tmp_path / "source" / "big").chmod(0o600)
    os.utime(tmp_path / "source" / "zeros", (0, 0))
    await plain.restore(snapshot.backup_id, tmp_path / "source")
    assert fingerprint(tmp_path / "source") == before


def restore_and_die(graph: GraphBackup, snapshot_id: str, target: Path, after_s: float) -> None:
    """A child restores and is killed so long after it made its first file."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(graph.restore(snapshot_id, target, allow_unusable=True))
        finally:
            os._exit(0)
    beside, inside = set(os.listdir(target.parent)), set(os.listdir(target))
    for _ in range(2000):
        if set(os.listdir(target.parent)) != beside or set(os.listdir(target)) != inside:
            break
        time.sleep(0.0005)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def write_stores(directory: Path, content: bytes) -> None:
    for name in STORES:
        (directory / name).write_bytes(content)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1])
async def test_a_killed_restore_leaves_old_or_new_once_finished(
    graph: GraphBackup, tmp_path: Path, share: float, shared: bool
) -> None:
    rag = tmp_path / "rag"
    new, old = (os.urandom(1) * 2_000_000 for _ in range(2))
    write_stores(rag, new)
    if shared:
        (rag / "other").mkdir()
    snapshot = await graph.create_snapshot()
    write_stores(rag, old)
    whole_s = (await graph.restore(snapshot.backup_id, rag, allow_unusable=True)).seconds
    write_stores(rag, old)
    restore_and_die(graph, snapshot.backup_id, rag, share * whole_s)
    try:
        await graph.create_snapshot(on_busy="crash")
    except RestoreUnfinishedError:
        assert await graph.finish_restore() is True
    await graph.finish_restore()
    assert await graph.finish_restore() is False
    assert {(rag / name).read_bytes() for name in STORES} in ({old}, {new}), "never a mix"
    assert set(os.listdir(rag)) == {*STORES, *(["other"] if shared else [])}
    assert set(os.listdir(tmp_path)) == {"rag", "storage"}
    await graph.restore(snapshot.backup_id, rag, allow_unusable=True)
    assert {(rag / name).read_bytes() for name in STORES} == {new}


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o2775])
async def test_the_directory_itself_comes_back_with_its_mode(plain: GraphBackup, tmp_path: Path, mode: int) -> None:
    (tmp_path / "source").chmod(mode)
    snapshot = await plain.create_snapshot()
    present = tmp_path / "present"
    present.mkdir()
    (present / "mine").write_text("was here")
    present.chmod(0o711)
    kept = (await plain.restore(snapshot.backup_id, present)).safety_snapshot
    await plain.restore(snapshot.backup_id, tmp_path / "new" / "target")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (present, tmp_path / "new" / "target")} == {mode}
    assert kept is not None
    await plain.restore(kept, present)
    assert stat.S_IMODE(present.stat().st_mode) == 0o711


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("items", [None, []])
async def test_what_changes_nothing_needs_no_restart(
    graph: GraphBackup, tmp_path: Path, items: list[str] | None, dry_run: bool
) -> None:
    await graph.create_snapshot()
    outcome = await graph.restore("latest", tmp_path / "rag", items=items, dry_run=dry_run, allow_unusable=True)
    assert (outcome.changed, outcome.restart_required) == ((), False)


async def test_a_dry_run_where_nothing_would_change_writes_nothing(graph: GraphBackup, tmp_path: Path) -> None:
    snapshot = await graph.create_snapshot()
    outcome = await graph.restore(snapshot.backup_id, tmp_path / "rag", dry_run=True)
    assert (outcome.changed, outcome.needed_bytes) == ((), 0)


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("beside", [(), ("vdb_entities.json",)], ids=["alone", "beside a file"])
@pytest.mark.parametrize("items", [None, ["vdb_chunks.json"]], ids=["all", "one item"])
@pytest.mark.parametrize("kind", ["directory", "symlink", "special file"])
async def test_what_only_has_the_name_of_a_store_is_refused_and_stays(
    graph: GraphBackup, tmp_path: Path, kind: str, items: list[str] | None, beside: tuple[str, ...], dry_run: bool
) -> None:
    snapshot = await graph.create_snapshot(partial=True, validate="off")
    target = tmp_path / "target"
    target.mkdir()
    for name in beside:
        (target / name).write_text("there before")
    disguised = target / "vdb_chunks.json"
    if kind == "directory":
        disguised.mkdir()
        (disguised / "letter").write_text("of somebody")
    elif kind == "symlink":
        disguised.symlink_to(tmp_path / "rag" / "vdb_chunks.json")
    else:
        os.mkfifo(disguised)
    before = sorted(path.name for path in target.rglob("*"))
    with pytest.raises(ConflictError, match=f"vdb_chunks.json' is a {kind} with the name of a file of LightRAG's"):
        await graph.restore(snapshot.backup_id, target, items=items, dry_run=dry_run, allow_unusable=True)
    assert sorted(path.name for path in target.rglob("*")) == before


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("target", ["link", "link/below", "loop"])
async def test_a_symlink_that_leads_nowhere_is_no_target(
    plain: GraphBackup, graph: GraphBackup, tmp_path: Path, target: str, dry_run: bool
) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "named").symlink_to(tmp_path / "nowhere")
    for one in (plain, graph):
        snapshot = await one.create_snapshot(partial=True, validate="off")
        with pytest.raises(ConflictError, match="where nothing is"):
            await one.restore(snapshot.backup_id, tmp_path / target, dry_run=dry_run)
    with pytest.raises(ConflictError, match="where nothing is"):
        await graph.restore("latest", tmp_path / "base", workspace="named", dry_run=dry_run)
    with pytest.raises(ConflictError, match="where nothing is"):
        await graph.unpack("latest", tmp_path / target)
    assert not (tmp_path / "nowhere").exists()


async def test_where_nothing_can_be_written_is_said(manager: BackupManager, folder: Path) -> None:
    graph = manager.register_graph("g", folder)
    snapshot = await graph.create_snapshot()
    with pytest.raises(StorageError, match=r"nothing can be written beside '/proc/x'.*name a directory"):
        await graph.restore(snapshot.backup_id, "/proc/x")


async def test_a_damaged_snapshot_names_itself_and_what_to_do(
    manager: BackupManager, folder: Path, tmp_path: Path
) -> None:
    graph = manager.register_graph("g", folder)
    snapshot = await graph.create_snapshot()
    for pack in (Path(manager.storage_path) / "graphs" / "g" / "packs").iterdir():
        pack.unlink()
    with pytest.raises(DamagedError, match=rf"snapshot {snapshot.backup_id} of graph g .* verify names all damage"):
        await graph.restore(snapshot.backup_id, tmp_path / "target")
    assert not (tmp_path / "target").exists()
