"""A storage path whose disk is full, over HTTP: in a process that sees a small one there, mounted for it alone."""

import os
from pathlib import Path

from support.application import started
from support.serving import Kept, ended, taken
from support.trouble import mounting
from support.web import Web

GRAPH = "filling"


def test_what_has_no_room_says_so_and_leaves_what_was_there(tmp_path: Path) -> None:
    kept, disk = Kept(GRAPH, tmp_path / "source"), tmp_path / "disk"
    kept.directory.mkdir()
    disk.mkdir()
    small = [*mounting(), "sh", "-c", f'mount -t tmpfs -o size=12m none {disk} && exec "$@"', "sh"]
    (kept.directory / "big").write_bytes(os.urandom(2 << 20))
    with started(disk / "storage", {GRAPH: kept.directory}, small) as (url, _):
        web = Web(url)
        first = taken(web, kept)["backup_id"]
        (kept.directory / "big").write_bytes(os.urandom(16 << 20))
        waited = web.waited("POST", kept.path, {})
        assert (waited.status, waited.slug, waited.document["code"]) == (507, "no-room", "NO_SPACE")
        begun = web.ask("POST", kept.path, {})
        assert begun.status == 202
        error = ended(web, begun.document["operation_id"])["error"]
        assert error == waited.document, "who asks later hears the same"
        assert [one["backup_id"] for one in web.ask("GET", kept.path).document["snapshots"]] == [first]
        (kept.directory / "big").write_bytes(b"small")
        taken(web, kept)
