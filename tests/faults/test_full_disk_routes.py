"""The routes on a disk without one byte left: what it is called, and that room can be made over HTTP."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.trouble import ON_A_SMALL_DISK, environment, mounting

SCRIPT = (
    ON_A_SMALL_DISK
    + """
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lightrag_bkp import BackupManager as Manager
from lightrag_bkp.api import create_backup_routes

manager = Manager(disk / "storage")
manager.register_graph("g", source)
app = FastAPI()
app.include_router(create_backup_routes(manager, api_key="key of ours"))
B = "/api/v1/backup-replication"
with TestClient(app, headers={"X-API-Key": "key of ours", "Prefer": "wait=60"}) as web:
    snapshots = f"{B}/backup/graphs/g/snapshots"
    ids = []
    for _ in range(3):
        change()
        made = web.post(snapshots)
        assert made.status_code == 201, made.text
        ids.append(made.json()["backup_id"])
    assert web.get(f"{B}/health/ready").json() == {"ready": True, "reasons": []}
    fill()
    refused = web.post(snapshots)
    assert refused.status_code == 507 and refused.json()["type"].endswith("no-room"), refused.text
    assert "Retry-After" not in refused.headers
    ready = web.get(f"{B}/health/ready")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["the storage is full"]), ready.text
    # Nothing can be freed yet, and that cannot be noted either.
    assert web.post(f"{B}/backup/cleanup", json={"graph_id": "g", "now": True}).status_code == 507
    for snapshot_id in ids[:-1]:
        assert web.delete(f"{snapshots}/{snapshot_id}").status_code == 200
    freed = web.post(f"{B}/backup/cleanup", json={"graph_id": "g", "now": True})
    assert freed.status_code == 200 and freed.json()["graphs"]["g"]["bytes_freed"] > 1_000_000, freed.text
    noted = web.get(freed.headers["Operation-Location"]).json()
    assert (noted["kind"], noted["state"]) == ("cleanup", "succeeded"), noted
    assert web.post(snapshots).status_code == 201
    assert web.get(f"{B}/health/ready").status_code == 200
"""
)


@pytest.mark.usefixtures("secret")
def test_room_can_be_made_over_http_when_none_is_left(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "source").mkdir()
    words = [*mounting(), sys.executable, "-c", SCRIPT, tmp_path / "disk", tmp_path / "source"]
    ended = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
