"""Standard streams that are closed, or whose encoding lacks a character: the work is done and the answer given."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.program import Program

from lightrag_bkp.sync import BackupManager, GraphBackup

CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


def closing(program: Program, streams: str) -> Program:
    return replace(program, before=["sh", "-c", f'exec "$@" {streams}', "sh"])


@pytest.mark.parametrize("streams", CLOSED)
def test_closed_streams_stop_no_work(program: Program, folder: Path, streams: str) -> None:
    bound = closing(program, streams)
    assert bound("snapshot", "g", folder).err == ""
    assert bound("list").err == ""
    assert bound("show", "absent", "latest", code=1).out == ""
    assert len(BackupManager(program.storage).register_graph("g").list_snapshots()) == 1


@pytest.mark.parametrize("environ", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}], ids=str)
def test_what_the_encoding_lacks_is_escaped(program: Program, kept: GraphBackup, environ: dict[str, str]) -> None:
    program("snapshot", "kept", "--tag", "ort=Köln")
    bound = replace(program, environ=environ)
    assert r"ort=K\xf6ln" in bound("list").out
    assert r"K\xf6ln" in bound("show", "kept", "latest").out
