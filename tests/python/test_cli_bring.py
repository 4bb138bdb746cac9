"""`restore` and `verify`."""

import os
from pathlib import Path

import pytest
from support.folders import fingerprint
from support.program import Program

from lightrag_bkp.sync import BackupManager, GraphBackup


def packs(program: Program) -> list[Path]:
    return sorted((program.storage / "graphs" / "kept" / "packs").rglob("*"))


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A directory with something in it."""
    directory = tmp_path / "target"
    directory.mkdir()
    (directory / "notes").write_text("mine")
    (directory / "more").write_text("mine too")
    return directory


def test_restore_into_a_new_directory(program: Program, kept: GraphBackup, folder: Path) -> None:
    ran = program("restore", "kept", "latest", "there")
    assert "3 created" in ran.out
    assert fingerprint(program.directory / "there") == fingerprint(folder)


def test_restore_of_a_lightrag_graph_says_that_it_must_be_restarted(program: Program, graph_dir: Path) -> None:
    program("snapshot", "g", graph_dir)
    assert program.json("restore", "g", "latest", "there", "--dry-run")["restart_required"]
    assert "must be restarted" in program("restore", "g", "latest", "there", "--dry-run").out
    assert "must be restarted" in program("restore", "g", "latest", "there").out
    assert fingerprint(program.directory / "there") == fingerprint(graph_dir)
    outcome = program.json("restore", "g", "latest", "there", "--yes")
    assert (outcome["restart_required"], {item["action"] for item in outcome["items"]}) == (False, {"same"})


def test_restore_into_another_workspace(program: Program, graph_dir: Path) -> None:
    """The directory is not empty, but nothing in it is replaced, so that nobody is asked."""
    program("snapshot", "g", graph_dir)
    (program.directory / "uploads").mkdir()
    ran = program("restore", "g", "latest", graph_dir, "--workspace", "trial", "--input-dir", "uploads")
    assert str(graph_dir / "trial") in ran.out
    assert fingerprint(graph_dir / "trial").keys() < fingerprint(graph_dir).keys()
    refused = ("restore", "g", "latest", graph_dir, "--workspace", "trial", "--yes")
    assert "holds a graph already" in program.sentence(*refused, code=1)
    assert "cannot be used for a clone" in program.sentence(*refused[:-2], "base", code=2)
    assert "say replace (--replace)" in program.sentence(*refused[:-1], code=1), "nobody is asked before"
    assert "[y/N]" not in program.at_terminal("y", *refused[:-1], code=1).err
    assert "[y/N]" in program.at_terminal("y", *refused[:-1], "--replace").err
    program(*refused, "--replace")


def test_restore_asks_before_a_directory_that_is_not_empty(program: Program, kept: GraphBackup, target: Path) -> None:
    before = fingerprint(target)
    declined = program.at_terminal("n", "restore", "kept", "latest", target, code=1)
    assert "is not empty" in declined.err
    assert "nothing was changed" in declined.err
    assert fingerprint(target) == before
    agreed = program.at_terminal("y", "restore", "kept", "latest", target)
    assert "what was there before is kept as snapshot" in agreed.out
    assert (target / "notes").read_text() == "third"


def test_restore_without_a_terminal_needs_yes(program: Program, kept: GraphBackup, target: Path) -> None:
    before = fingerprint(target)
    assert "--yes restores without asking" in program.sentence("restore", "kept", "latest", target, code=2)
    assert program.json("restore", "kept", "latest", target, code=2)["error"]["code"] == "INVALID"
    assert fingerprint(target) == before
    outcome = program.json("restore", "kept", "latest", target, "--yes")
    actions = {item["name"]: item["action"] for item in outcome["items"]}
    assert actions == {"deep": "create", "deep/letter": "create", "notes": "replace", "more": "remove"}
    assert not (target / "more").exists()


def test_what_a_restore_replaced_comes_back_by_its_safety_snapshot(
    program: Program, kept: GraphBackup, target: Path
) -> None:
    before = fingerprint(target)
    safety = program.json("restore", "kept", "latest", target, "--yes")["safety_snapshot"]
    assert "safety" in program("list", "kept").out.splitlines()[-1]
    assert program.json("show", "kept", "latest")["snapshot"]["metadata"] == {"text": "third"}
    program("restore", "kept", safety, target, "--yes")
    assert fingerprint(target) == before


def test_restore_of_an_older_one_by_a_beginning_of_its_id(program: Program, kept: GraphBackup) -> None:
    oldest = kept.list_snapshots()[0].backup_id
    program("restore", "kept", oldest[:-1], "there")
    assert (program.directory / "there" / "notes").read_text() == "first"


def test_restore_of_one_item_leaves_the_rest_alone(program: Program, kept: GraphBackup, target: Path) -> None:
    program("restore", "kept", "latest", target, "--item", "notes", "--yes")
    assert {path.name: path.read_text() for path in target.iterdir()} == {"notes": "third", "more": "mine too"}
    program("restore", "kept", "latest", target, "--item", "deep", "--yes")
    assert (target / "deep" / "letter").read_text() == "dear reader"
    assert "nothing" in program.sentence("restore", "kept", "latest", target, "--item", "nothing", "--yes", code=1)


def test_a_dry_run_names_what_would_change_and_changes_nothing(
    program: Program, kept: GraphBackup, target: Path
) -> None:
    before = fingerprint(target)
    told = program("--quiet", "restore", "kept", "latest", target, "--dry-run").out
    assert "2 to create, 1 to replace, 1 to remove" in told
    assert program.json("restore", "kept", "latest", target, "--dry-run")["dry_run"] is True
    assert fingerprint(target) == before
    assert len(kept.list_snapshots()) == 3
    program("restore", "kept", "latest", "there")
    again = ("restore", "kept", "latest", "there", "--dry-run")
    assert program(*again).out == "nothing would change\n3 unchanged\n"
    os.utime(program.directory / "there" / "deep" / "letter", ns=(1, 1))
    assert program(*again).out == "only times would be set\n3 unchanged\n"


def test_a_target_that_is_a_file_is_refused(program: Program, kept: GraphBackup) -> None:
    (program.directory / "file").write_text("")
    assert "no directory" in program.sentence("restore", "kept", "latest", "file", code=1)


@pytest.mark.parametrize("beneath", ["", "/deeper"])
@pytest.mark.parametrize("place", ["/dev/null", "file"])
def test_a_workspace_goes_to_no_place_that_is_not_a_directory(program: Program, place: str, beneath: str) -> None:
    workspace = program.directory / "rag" / "w"
    workspace.mkdir(parents=True)
    (workspace / "kv_store_full_docs.json").write_text("{}")
    program("snapshot", "g", workspace.parent, "--workspace", "w", "--partial")
    (program.directory / "file").write_text("")
    said = f"{str(program.directory / place)!r} is there and no directory: name another target"
    assert program.sentence("restore", "g", "latest", place + beneath, code=1) == said
    assert program.sentence("restore", "g", "latest", "new", "--input-dir", place + beneath, code=1) == said


def test_verify_of_one_and_of_everything(program: Program, kept: GraphBackup) -> None:
    one = kept.list_snapshots()[0].backup_id
    assert program("verify", "kept").out.startswith("all snapshots of kept: no damage, ")
    assert program("verify", "kept", one[:-1]).out.startswith(f"{one} of kept: no damage, ")
    outcome = program.json("verify", "kept", "latest", "--level", "catalogue")
    assert (outcome["ok"], outcome["level"], outcome["findings"]) == (True, "catalogue", [])


def test_what_lies_among_the_packs_and_is_none_is_noted_and_no_damage(program: Program, kept: GraphBackup) -> None:
    pack = packs(program)[-1]
    among = pack.parent
    (among / "notes.txt").write_text("not yours")
    (among / ("f" * 63)).mkdir()
    outcome = program.json("verify", "kept")
    assert outcome["ok"] and outcome["findings"] == []
    assert [note["object"] for note in outcome["notes"]] == [f"packs/{'f' * 63}", "packs/notes.txt"]
    assert "packs/notes.txt: it is no pack" in program("verify", "kept").out
    flip_a_byte(pack)
    assert "packs/notes.txt: it is no pack" in program("verify", "kept", code=3).out


def test_a_flipped_byte_is_found_and_named(program: Program, kept: GraphBackup) -> None:
    pack = packs(program)[-1]
    flip_a_byte(pack)
    outcome = program.json("verify", "kept", code=3)
    assert outcome["ok"] is False
    assert any(pack.name in finding["object"] for finding in outcome["findings"])
    assert pack.name in program("verify", "kept", code=3).out


def test_a_missing_pack_is_found_without_reading(program: Program, kept: GraphBackup) -> None:
    pack = packs(program)[-1]
    pack.unlink()
    assert pack.name in program("verify", "kept", "--level", "catalogue", code=3).out


def test_a_log_that_cannot_be_read_is_damage(program: Program, kept: GraphBackup) -> None:
    flip_a_byte(program.storage / "graphs" / "kept" / "log" / f"{2:020}")
    outcome = program.json("verify", "kept", code=3)
    assert not outcome["ok"] and outcome["findings"][0]["object"] == f"log/{2:020}"
    assert program.sentence("restore", "kept", "latest", "there", code=1)
    assert not (program.directory / "there").exists()


def test_restoring_damage_is_refused_and_leaves_the_target_alone(
    program: Program, kept: GraphBackup, target: Path
) -> None:
    before = fingerprint(target)
    for pack in packs(program):
        flip_a_byte(pack)
    program.sentence("restore", "kept", "latest", target, "--yes", code=1)
    assert fingerprint(target) == before


def test_graphs_of_other_names_are_left_alone(program: Program, kept: GraphBackup, folder: Path) -> None:
    BackupManager(program.storage).register_graph("other", folder).create_snapshot()
    for pack in packs(program):
        os.unlink(pack)
    assert program("verify", "kept", code=3).code == 3
    assert program("verify", "other").code == 0
