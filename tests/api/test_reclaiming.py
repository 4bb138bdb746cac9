"""What killed runs left is reclaimed when the application starts, whatever else is wrong, and nothing else is."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from support.serving import Kept, taken, until
from support.web import Web, application, asking

from lightrag_bkp import BackupManager
from lightrag_bkp.api import reclaiming

OLD_S = 3600


@pytest.fixture
def manager(tmp_path: Path) -> BackupManager:
    """Graphs with a snapshot each: "a", "b", and one without any."""
    manager = BackupManager(tmp_path / "storage")
    for graph_id in ("a", "b", "never"):
        source = tmp_path / graph_id
        source.mkdir()
        (source / "notes").write_text(graph_id)
        manager.register_graph(graph_id, source)
    with asking(application(manager)) as web:
        for graph_id in ("a", "b"):
            taken(web, Kept(graph_id, tmp_path / graph_id))
    manager.close()
    return manager


def litter(manager: BackupManager, graph_id: str, name: str, age_s: float = OLD_S) -> Path:
    path = Path(manager.storage_path, "graphs", graph_id, "tmp", name)
    path.write_bytes(b"half a pack")
    grow_old(path, age_s)
    return path


def grow_old(path: Path, age_s: float = OLD_S) -> None:
    os.utime(path, (path.stat().st_mtime - age_s,) * 2)


def reclaimed(web: Web, graph_id: str) -> list[str]:
    """Waits until it is said of a graph."""
    path = f"/events?graph_id={graph_id}"
    kinds = until(lambda: web.ask("GET", path), lambda said: said.document["events"][0]["kind"] == "reclaim").document
    return [one["detail"] for one in kinds["events"] if one["kind"] == "reclaim"]


def test_what_died_is_reclaimed_and_what_lives_is_not(manager: BackupManager) -> None:
    aside = Path(manager.storage_path, "graphs", f".sealing.{'0' * 32}")
    aside.write_text("clear\n")
    grow_old(aside)
    dead, young = litter(manager, "b", "dead.pack"), litter(manager, "b", "young.pack", age_s=0)
    written = litter(manager, "b", "written.pack")
    with open(written, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with asking(application(manager)) as web:
            said = reclaimed(web, "b")
    assert said == ["half-written files of runs that died, removed: 1, of 11 bytes"]
    assert (dead.exists(), young.exists(), written.exists()) == (False, True, True)
    assert not aside.exists()


def test_no_graph_keeps_the_server_or_another_graph_from_anything(manager: BackupManager) -> None:
    """One whose log is damaged gives back its space as well; of one that is no directory the log tells."""
    dead, beside = litter(manager, "a", "dead.pack"), litter(manager, "b", "dead.pack")
    shutil.rmtree(Path(manager.storage_path, "graphs", "a", "packs"))
    Path(manager.storage_path, "graphs", "never").write_text("no directory")
    with asking(application(manager)) as web:
        assert web.ask("GET", "/health/live").status == 200
        assert len(reclaimed(web, "a")) == len(reclaimed(web, "b")) == 1
    assert not dead.exists() and not beside.exists()


def test_what_is_too_young_at_the_start_goes_later(manager: BackupManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reclaiming, "AGE_S", 2)
    young = litter(manager, "a", "young.pack", age_s=0)
    litter(manager, "b", "dead.pack")
    with asking(application(manager)) as web:
        reclaimed(web, "b")  # the first look is over
        assert young.exists()
        grow_old(young)
        reclaimed(web, "a")
    assert not young.exists()
