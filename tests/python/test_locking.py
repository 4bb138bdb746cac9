"""Locks on files: who has them, and that no child that was forked meanwhile ends one, or keeps it."""

import subprocess
import sys
from pathlib import Path

import pytest

from lightrag_bkp import locking

FORKS = """
import hashlib, os, sys
from contextlib import contextmanager
from lightrag_bkp import _bridge, locking
from lightrag_bkp.sources import serving

@contextmanager
def tried(path):
    with locking.opened(path) as fd, locking.tried(fd) as is_free:
        yield is_free

@contextmanager
def arrived(path):
    taken = _bridge.Arrival().take(path, "", hashlib.sha256(b"all").digest(), 3, 0, b"all", None)
    with locking.released(taken[2]):
        yield

def is_free(path):
    with tried(path) as free:
        return free

way, directory = sys.argv[1:]
path = os.path.join(directory, "lock")
if way == "restoring":
    os.close(serving.enter(directory))
    path = serving._path(directory, "")
held = {"awaited": lambda: locking.alone(path), "tried": lambda: tried(path),
        "arrived": lambda: arrived(path), "restoring": lambda: serving.alone(directory)}[way]
stays, goes = os.pipe()
with held():
    one_that_leaves = os.fork()
    if one_that_leaves:
        os.waitpid(one_that_leaves, 0)
        if not os.fork():
            os.read(stays, 1)
            os._exit(0)
        assert not is_free(path), "the child that left the block ended it"
if not one_that_leaves:
    os._exit(0)
assert is_free(path), "the child that is still there kept it"
os.write(goes, b"!")
"""


@pytest.mark.parametrize("way", ["awaited", "tried", "arrived", "restoring"])
def test_a_lock_is_held_for_its_block_whatever_a_child_does(way: str, tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", FORKS, way, tmp_path], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


def test_what_is_locked_is_not_free(tmp_path: Path) -> None:
    with locking.alone(tmp_path / "lock"), locking.opened(tmp_path / "lock") as fd, locking.tried(fd) as is_free:
        assert not is_free
    with locking.opened(tmp_path / "lock") as fd, locking.tried(fd) as is_free:
        assert is_free


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), locking.alone(tmp_path / "lock"):
        raise AssertionError("not reached")
    assert not (tmp_path / "elsewhere").exists()
