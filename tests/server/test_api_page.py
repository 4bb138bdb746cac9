"""docs/api.md at its word: its commands, top to bottom, against LightRAG's own server with the routes."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import server

from lightrag_bkp.receiving.here import open_keys

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
CURL = """#!/bin/sh
exec "$REAL_CURL" --write-out '%{stderr}status %{http_code}\\n' "$@"
"""


@pytest.mark.skipif(not (shutil.which("curl") or os.environ.get("CI")), reason="curl is not installed")
def test_every_command_is_answered_as_the_page_says(tmp_path: Path, built_graph: Path) -> None:
    script = "".join(re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S))
    said = re.findall(r"  # (\d{3})$", script, re.M)
    assert len(said) == script.count("curl ") > 30, "a command does not say its status"
    shutil.copytree(built_graph, tmp_path / "rag_storage")
    (tmp_path / "bin").mkdir()
    curl = tmp_path / "bin" / "curl"
    curl.write_text(CURL)
    curl.chmod(0o755)
    storage = tmp_path / "backups"
    settings = {"LIGHTRAG_BACKUP_STORAGE_PATH": str(storage)}
    settings["LIGHTRAG_BACKUP_GRAPHS"] = f"support={tmp_path / 'rag_storage'}"
    with server.running(tmp_path, program="lightrag-bkp-server", **settings) as running:
        environment = {
            "PATH": f"{curl.parent}:{os.environ['PATH']}",
            "REAL_CURL": str(shutil.which("curl")),
            "BASE": running.url + server.ROUTES,
            "KEY": running.api_key,
            "THERE": running.url,  # it may as well receive what it sends
            "THERE_KEY": open_keys(storage).add("here")[1],
            "no_proxy": "127.0.0.1",
        }
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=os.environ | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=180,
        )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    commands = re.split(r"(?<=  # \d{3})\n", script)
    answered = re.findall(r"^status (\d{3})$", ran.stderr, re.M)
    assert [one for one in zip(said, answered, commands, strict=False) if one[0] != one[1]] == []
    assert len(answered) == len(said)
