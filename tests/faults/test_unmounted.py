"""A storage path whose disk is not mounted any more, and leaves an empty directory behind, or none: whoever has seen it
says so, and begins nothing below the mount point.

Everything happens in a mount namespace of a process of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.trouble import PRELUDE, environment, mounting

TESTS = Path(__file__).parents[1]
ON_A_DISK_THAT_GOES_AWAY = (
    PRELUDE
    + """
import os, subprocess

root, below = Path(sys.argv[1]), sys.argv[2]
disk, kept, source = root / "disk", root / "kept", root / "source"
storage = disk / below
for made in (disk, kept, source):
    made.mkdir()
(source / "notes").write_text("dear reader")

def run(*words):
    subprocess.run([*map(str, words)], check=True)

def mount():
    run("mount", "--bind", kept, disk)

LOOK = "import sys; from lightrag_bkp import presence; presence.require(sys.argv[1])"

def unmount():
    run("umount", "--lazy", disk)

def fails(work, *words):
    try:
        work(*words)
    except errors.StorageError as error:
        assert "on another device, and it" in str(error) and "is its disk not mounted?" in str(error), error
    else:
        raise AssertionError(work)
    assert list(disk.iterdir()) == [], "something was begun below the mount point"

run("mount", "-t", "tmpfs", "none", kept)
mount()
"""
)


def script_in_a_namespace(script: str, tmp_path: Path, below: str, **more: str) -> None:
    """What is temporary lies elsewhere there: of that nothing is remembered."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "root").mkdir()
    said = {"TMPDIR": str(tmp_path / "tmp"), "XDG_STATE_HOME": str(tmp_path / "state"), **more}
    path = os.pathsep.join([environment()["PYTHONPATH"], str(TESTS)])
    command = [*mounting(), sys.executable, "-c", ON_A_DISK_THAT_GOES_AWAY + script, str(tmp_path / "root"), below]
    ran = subprocess.run(command, env=environment(**said, PYTHONPATH=path), capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr


BELOW = pytest.mark.parametrize("below", ["", "storage"], ids=["empty", "gone"])


# ---- one process after the other ----

COMMANDS = """
from support.program import Program

program = Program(root)
def cli(*words, code=0):
    return program.bare("--storage", storage, *words, code=code)

take = ("snapshot", "notes", source)
cli(*take)
unmount()
for words in (take, ("list",), ("stats",), ("prune",), ("recovery", "list"), ("target", "list"),
              ("key", "add", "tokyo"), ("passphrase", "list"), ("doctor",)):
    ran = cli(*words, code=1)
    assert "is its disk not mounted?" in ran.out + ran.err, (words, ran)
    assert list(disk.iterdir()) == [], words
mount()
cli(*take)
assert len(cli("--json", "list").document["snapshots"]) == 2

# Begun anew on purpose: what is remembered is removed, as the sentence says.
unmount()
said = cli(*take, code=1).err
os.remove(said.rsplit("remove '", 1)[1].rstrip().rstrip("'"))
cli(*take)
assert len(cli("--json", "list").document["snapshots"]) == 1

# What is emptied, or removed, with its disk in its place is simply new.
import shutil
shutil.rmtree(disk / "graphs" if storage == disk else storage)
cli(*take)
"""


@BELOW
def test_the_next_command_begins_nothing_below_the_mount_point(tmp_path: Path, below: str) -> None:
    script_in_a_namespace(COMMANDS, tmp_path, below)


LOOKS = """
from lightrag_bkp import presence

def look(*unprivileged):
    run(*unprivileged, sys.executable, "-c", LOOK, storage)

(storage / "graphs" / "notes").mkdir(parents=True)
look()
# As of a file server that answers no more: neither what is there can be read, nor which device it is on.
root.chmod(0)
look("setpriv", "--bounding-set=-dac_override,-dac_read_search")
root.chmod(0o755)
unmount()
fails(presence.require, str(storage))
"""


@BELOW
def test_nothing_is_learnt_from_a_place_that_cannot_be_read(tmp_path: Path, below: str) -> None:
    script_in_a_namespace(LOOKS, tmp_path, below)


WRITES_NOTHING = """
import resource
BackupManager(storage).register_graph("notes", source).create_snapshot()
os.environ["XDG_STATE_HOME"] = str(root / "another")
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
run(sys.executable, "-c", LOOK, storage)
"""


def test_where_nothing_can_be_written_what_is_there_is_found(tmp_path: Path) -> None:
    """Not even a file in a directory for temporary ones, which is looked for to leave out what lies there."""
    script_in_a_namespace(WRITES_NOTHING, tmp_path, "storage")


# ---- one process, for days ----

MANAGER = """
from lightrag_bkp.sync import DisasterRecoveryManager, ReplicationManager

def everything():
    manager = BackupManager(storage)
    graph = manager.register_graph("notes", source)
    recovery, replication = DisasterRecoveryManager(manager), ReplicationManager(storage_path=storage)
    return [
        (graph.create_snapshot,), (graph.list_snapshots,), (graph.stats,), (graph.prune,),
        (manager.graph_ids,), (manager.require_graph, "other"), (manager.get_total_stats,),
        (recovery.list_recovery_points,), (recovery.create_recovery_point, ["notes"]),
        (replication.list_targets,), (replication.get_target, "there"),
    ]

before = everything()
taken = before[0][0]().backup_id
replaced = before[1][0]
assert [one.backup_id for one in replaced()] == [taken]
unmount()
for work in (*before, *everything()):
    fails(*work)
mount()
assert [one.backup_id for one in replaced()] == [taken]
before[0][0]()
"""


@pytest.mark.parametrize(("below", "more"), [("", {}), ("storage", {"XDG_STATE_HOME": "/dev/null/state"})])
def test_a_manager_says_so_until_it_is_back(tmp_path: Path, below: str, more: dict[str, str]) -> None:
    """Also where nothing can be written down: then this process alone knows it."""
    script_in_a_namespace(MANAGER, tmp_path, below, **more)


# ---- a server ----

ROUTES = """
from fastapi.testclient import TestClient
from lightrag_bkp import BackupManager as Manager
from lightrag_bkp.recovery import DisasterRecoveryManager
from support.web import KEY, PREFIX, application

def served():
    manager = Manager(storage)
    manager.register_graph("notes", source)
    app = application(manager, None, DisasterRecoveryManager(manager))
    return TestClient(app, headers={"X-API-Key": KEY, "Prefer": "wait=60"})

snapshots, ready = f"{PREFIX}/backup/graphs/notes/snapshots", f"{PREFIX}/health/ready"

def must_say_so(web):
    for method, path in (("GET", snapshots), ("POST", snapshots), ("GET", f"{snapshots}/latest"),
                         ("GET", f"{PREFIX}/backup/graphs"), ("GET", f"{PREFIX}/recovery/checkpoints")):
        answer = web.request(method, path)
        assert answer.status_code == 502 and answer.json()["type"].endswith(":storage"), (path, answer.text)
        assert "is its disk not mounted?" in answer.json()["detail"], answer.text
    answer = web.get(ready)
    assert answer.status_code == 503 and "the storage is not mounted" in answer.json()["reasons"], answer.text
    assert list(disk.iterdir()) == []

with served() as web:
    assert web.post(snapshots).status_code == 201
    unmount()
    must_say_so(web)
with served() as web:  # one that was started meanwhile
    must_say_so(web)
    mount()
    assert web.get(ready).status_code == 200
    assert len(web.get(snapshots).json()["snapshots"]) == 1
    assert web.post(snapshots).status_code == 201
"""


@pytest.mark.parametrize(("below", "database"), [("storage", "beside"), ("", "elsewhere")])
def test_a_server_is_not_ready_and_answers_nothing_empty(tmp_path: Path, below: str, database: str) -> None:
    elsewhere = {} if database == "beside" else {
        "LIGHTRAG_REPLICATION_DATABASE_URL": f"sqlite:///{tmp_path}/elsewhere/state.db",
        "LIGHTRAG_REPLICATION_KEY_FILE": f"{tmp_path}/elsewhere/state.key",
    }  # fmt: skip
    script_in_a_namespace(ROUTES, tmp_path, below, **elsewhere)


# ---- a receiver ----

RECEIVER = """
from support.program import Program
from support.receiving import Sender, new_key, opened, receiving

class OnDisk(Program):
    @property
    def storage(self):
        return storage

# The keys of senders lie elsewhere, so that they are known all the time.
os.environ["LIGHTRAG_REPLICATION_DATABASE_URL"] = f"sqlite:///{root}/elsewhere/state.db"
program = OnDisk(root, {"LIGHTRAG_REPLICATION_DATABASE_URL": os.environ["LIGHTRAG_REPLICATION_DATABASE_URL"]})
key = new_key(program)
graph = BackupManager(root / "here").register_graph("alpha", source)
graph.create_snapshot()

def newest():
    return graph.list_snapshots()[-1].backup_id

with receiving(program) as there:
    sender = Sender(there, key, "alpha", opened(root / "here", "alpha"))
    sender.ship(newest())
    (source / "notes").write_text("more of it")
    graph.create_snapshot()
    entries, packs = sender.needed(newest())
    unmount()
    asked = b'{"objects": []}'
    for method, path, body in (("GET", "/capabilities", b""), ("GET", "/graphs/alpha", b""),
                               ("POST", "/graphs/alpha/missing", asked), ("GET", "/graphs/unknown", b"")):
        status, said = sender.ask(method, path, body)
        assert (status, said["code"], said["retryable"]) == (503, "NOT_READY", True), (path, said)
    assert sender.append(range(1))[0] == 503, "it began anew"
    assert list(disk.iterdir()) == []
ran = program("receive", "--listen", "127.0.0.1:0", code=1)
assert "replicas were kept in" in ran.err and "is its disk not mounted?" in ran.err, ran
assert "is its disk not mounted?" in program("replica", "list", code=1).err
assert list(disk.iterdir()) == []
mount()
with receiving(program) as there:
    sender = Sender(there, key, "alpha", opened(root / "here", "alpha"))
    sender.ship(newest())
    unmount()
    mount()
    assert sender.ask("GET", "/graphs/alpha")[0] == 200, "the same replicas: it goes on"
"""


@BELOW
def test_a_receiver_says_it_is_not_ready_and_not_that_everything_is_missing(tmp_path: Path, below: str) -> None:
    script_in_a_namespace(RECEIVER, tmp_path, below)
