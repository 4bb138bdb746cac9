"""Storage paths that are not what a local disk is: no hard links, locks that lie, network file systems, another one's
disk that is full."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.trouble import ON_A_SMALL_DISK, Trouble, contents, end, environment, mounting, stopped

from lightrag_bkp.sync import BackupManager

BACK_UP = """
import logging
logging.basicConfig(format="%(message)s", stream=sys.stdout, level=logging.WARNING)
storage, source = sys.argv[1:]
try:
    print("made", BackupManager(storage).register_graph("g", source).create_snapshot().backup_id)
except errors.LightragBkpError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("refused", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links_is_refused_by_name(
    tmp_path: Path, source: Path, trouble: Trouble, refused: int
) -> None:
    storage = tmp_path / "storage"
    said = trouble.run(BACK_UP, storage, source, root=storage, at="link::0", do=f"refuse={refused}", always=1)
    assert "UnsupportedError" in said
    assert f"the file system refused a hard link; use one with them for {storage}" in said
    graph = BackupManager(storage).register_graph("g", source)
    assert graph.list_snapshots() == []
    graph.restore_snapshot(graph.create_snapshot().backup_id, tmp_path / "target")
    assert contents(tmp_path / "target") == contents(source)


@pytest.mark.parametrize(
    ("magic", "name"), [("6969", "NFS"), ("517b", "SMB"), ("ff534d42", "SMB"), ("65735546", "FUSE"), ("1021997", "9P")]
)
def test_a_remote_file_system_is_warned_about_by_name(
    tmp_path: Path, source: Path, trouble: Trouble, magic: str, name: str
) -> None:
    said = trouble.run(BACK_UP, tmp_path / "storage", source, root=tmp_path, fs=magic)
    assert f"event=remote_storage storage={tmp_path}/storage" in said and f"the storage is on {name}," in said
    assert "made" in said


def test_locks_that_lie_are_warned_about(tmp_path: Path, source: Path, trouble: Trouble) -> None:
    said = trouble.run(BACK_UP, tmp_path / "storage", source, root=tmp_path, locks="lie")
    assert "event=no_locks" in said and "one process at a time" in said


def test_doctor_warns_about_locks_that_lie_whether_or_not_a_graph_is_configured(
    tmp_path: Path, source: Path, trouble: Trouble
) -> None:
    storage = tmp_path / "storage"
    BackupManager(storage).register_graph("g", source).create_snapshot()
    ask = "from lightrag_bkp.cli import main; sys.argv = ['lightrag-bkp', *sys.argv[1:]]; sys.exit(main())"
    said = trouble.run(ask, "--storage", storage, "doctor", root=tmp_path, locks="lie")
    assert "one process at a time" in said
    assert "one process at a time" not in trouble.run(ask, "--storage", storage, "doctor", root=tmp_path)


@pytest.mark.usefixtures("secret")
def test_safety_rests_on_no_lock(tmp_path: Path, source: Path, trouble: Trouble) -> None:
    """Without any locks, prune takes no pack that a backup beside it is writing: only age decides."""
    storage = tmp_path / "storage"
    graph = BackupManager(storage).register_graph("g", source)
    graph.create_snapshot()
    (source / "small").write_text("there")
    work = trouble.start(BACK_UP, storage, source, root=storage, locks="lie", at="sync:.pack:0", do="stop")
    with stopped(work):
        prune = 'print(BackupManager(sys.argv[1]).register_graph("g").prune(wait_s=0).litter_removed)'
        assert trouble.run(prune, storage, root=storage, locks="lie").strip() == "0"
    snapshot_id = end(work).split()[-1]
    graph.restore_snapshot(snapshot_id, tmp_path / "target")
    assert contents(tmp_path / "target") == contents(source)


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("refused", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_a_storage_without_locks_works(tmp_path: Path, source: Path, trouble: Trouble, refused: int) -> None:
    storage = tmp_path / "storage"
    said = trouble.run(BACK_UP, storage, source, root=tmp_path, at="lock::0", do=f"refuse={refused}", always=1)
    graph = BackupManager(storage).register_graph("g", source)
    graph.restore_snapshot(said.split()[-1], tmp_path / "target")
    assert contents(tmp_path / "target") == contents(source)


RESTORE = """
storage, target, *items = sys.argv[1:]
try:
    BackupManager(storage).register_graph("g").restore("latest", target, items=items or None)
except errors.LightragBkpError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("refused", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
@pytest.mark.parametrize(("items", "below"), [([], ""), (["small"], "/target/.lrb_restore")], ids=["whole", "items"])
def test_a_restore_where_no_locks_are_is_refused_with_a_way_that_goes(
    tmp_path: Path, source: Path, trouble: Trouble, items: list[str], below: str, refused: int
) -> None:
    """Beside its target, or within; it leaves nothing."""
    storage, elsewhere = tmp_path / "storage", tmp_path / "elsewhere"
    BackupManager(storage).register_graph("g", source).create_snapshot()
    (elsewhere / "target").mkdir(parents=True)
    (elsewhere / "target" / "mine").write_text("old")
    plan = {"at": f"lock:{below[1:]}:0", "do": f"refuse={refused}", "always": 1}
    said = trouble.run(RESTORE, storage, elsewhere / "target", *items, root=elsewhere, **plan)
    assert said.startswith(f"StorageError {elsewhere}{below}: its file system has no locks ({os.strerror(refused)})")
    assert "restore to a directory of another one, and copy that here" in said
    assert sorted(elsewhere.rglob("*")) == [elsewhere / "target", elsewhere / "target" / "mine"]
    assert trouble.run(RESTORE, storage, elsewhere / "target", *items) == ""
    assert (elsewhere / "target" / "small").read_text() == "here"


CLAIM = """
from lightrag_bkp.shipping.claim import claimed
with claimed(sys.argv[1], "g", "t") as other:
    assert other is None, other
"""
SERVES = """
import logging
from lightrag_bkp.sources import serving
logging.basicConfig(format="%(message)s", stream=sys.stdout)
serving.enter(sys.argv[1])
with serving.alone(sys.argv[1]):  # nor is a restore kept out
    pass
"""
FAILOVER = """
from lightrag_bkp.sync import DisasterRecoveryManager
storage, source = map(Path, sys.argv[1:])
manager = BackupManager(storage)
manager.register_graph("g", source)
recovery = DisasterRecoveryManager(manager)
point = recovery.create_recovery_point(["g"]).checkpoint_id
(source / "small").write_text("lost")
recovery.failover(point)
assert (source / "small").read_text() == "here"
"""


@pytest.mark.parametrize("refused", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_a_storage_without_locks_keeps_nobody_out(tmp_path: Path, source: Path, trouble: Trouble, refused: int) -> None:
    """Neither from sending nor from a failover."""
    storage, plan = tmp_path / "storage", {"at": "lock::0", "do": f"refuse={refused}", "always": 1}
    trouble.run(FAILOVER, storage, source, root=storage, **plan)
    trouble.run(CLAIM, storage, root=storage, **plan)


def test_a_graph_without_locks_is_served_and_that_is_said(tmp_path: Path, trouble: Trouble) -> None:
    plan = {"at": "lock::0", "do": f"refuse={errno.ENOLCK}", "always": 1}
    said = trouble.run(SERVES, tmp_path, root=tmp_path, **plan)
    assert "event=serving_unseen" in said and "No locks available" in said


# ---- a small disk ----

FILLED = """
graph = BackupManager(disk / "storage").register_graph("g", source)
ids = [graph.create_snapshot().backup_id]

# Backups until the disk is full: the last one says so and leaves nothing.
for _ in range(20):
    change()
    try:
        ids.append(graph.create_snapshot().backup_id)
    except errors.NoSpaceError as error:
        assert "free space, or delete snapshots and prune" in str(error), error
        break
else:
    raise AssertionError("the disk did not fill up")
assert [kept.backup_id for kept in graph.list_snapshots()] == ids
assert graph.verify_snapshot().ok
fill()
# Not one byte is left: dropping and pruning work all the same, and there is room again.
for snapshot_id in ids[:-1]:
    assert graph.delete_snapshot(snapshot_id)
graph.prune(wait_s=0)
assert [kept.backup_id for kept in graph.list_snapshots()] == ids[-1:]
(disk / "filler").unlink()
made = graph.create_snapshot().backup_id
graph.restore_snapshot(made, disk / "target")
assert (disk / "target" / "big").read_bytes() == (source / "big").read_bytes()
assert graph.verify_snapshot().ok
"""


def test_what_needs_a_mount_is_skipped_by_name_and_fails_where_nothing_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever says why: the program is missing, or it is refused."""
    for refuse, said in ((False, "no program unshare"), (True, "not permitted")):
        if refuse:
            (tmp_path / "unshare").write_text("#!/bin/sh\necho not permitted >&2\nexit 1\n")
            (tmp_path / "unshare").chmod(0o700)
        monkeypatch.setenv("PATH", str(tmp_path))
        for ci, outcome in (("", pytest.skip.Exception), ("true", pytest.fail.Exception)):
            monkeypatch.setenv("CI", ci)
            with pytest.raises(outcome, match=said):
                mounting()


@pytest.mark.usefixtures("secret")
def test_a_disk_that_fills_up_loses_nothing_and_can_be_cleared(tmp_path: Path, source: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = ON_A_SMALL_DISK + FILLED
    command = [*mounting(), sys.executable, "-c", script, str(disk), str(source)]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
