"""Restores to places that others have made: directories that may not be listed, and what lies in the way there."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.folders import fingerprint
from support.program import Program, without_override

from lightrag_bkp.errors import Busy
from lightrag_bkp.restoring.staging import Staging


@pytest.fixture(params=[0o111, 0o311], ids=["searchable", "searchable and writable"])
def unlisted(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory whose names may not be listed, as many that hold homes are, with `home` in it."""
    directory = tmp_path / "unlisted"
    (directory / "home").mkdir(parents=True)
    directory.chmod(request.param)
    yield directory
    directory.chmod(0o700)


@pytest.mark.usefixtures("kept")
def test_below_a_directory_that_may_be_searched_and_not_listed(program: Program, unlisted: Path, folder: Path) -> None:
    bound = replace(program, before=without_override())
    home = unlisted / "home"
    (home / "present").mkdir()
    (home / "present" / "notes").write_text("mine")
    for target in (home / "new", home / "one" / "two" / "new", home / "present"):
        bound("restore", "kept", "latest", target, "--yes")
        assert fingerprint(target) == fingerprint(folder)
    assert set(os.listdir(home)) == {"new", "one", "present"}, "nothing is left beside"


@pytest.mark.usefixtures("kept")
def test_a_directory_in_one_that_may_be_searched_and_not_listed(program: Program, unlisted: Path, folder: Path) -> None:
    bound = replace(program, before=without_override())
    home = unlisted / "home"
    for notes in (None, "mine", "mine again"):
        if notes:
            (home / "notes").write_text(notes)
        bound("restore", "kept", "latest", home, "--yes")
        assert fingerprint(home) == fingerprint(folder)
    if unlisted.stat().st_mode & 0o200:
        bound("restore", "kept", "latest", unlisted / "new")
        assert fingerprint(unlisted / "new") == fingerprint(folder)
    else:
        said = bound.sentence("restore", "kept", "latest", unlisted / "new", code=1)
        assert f"{unlisted / 'new'}" in said and "Permission denied: check owner and mode" in said


@pytest.mark.parametrize("link", [False, True])
def test_a_foreign_thing_with_the_name_of_staging(program: Program, folder: Path, link: bool) -> None:
    """In a source it is left out and said so; in a target it is in the way, and named with its path."""

    def put(directory: Path) -> Path:
        path = directory / ".lrb_restore"
        path.symlink_to("nowhere") if link else path.write_text("mine")
        return path

    mine = put(folder)
    program("snapshot", "g", folder)
    assert ".lrb_restore" in program("show", "g", "latest").out
    for more in ([], ["--dry-run"]):
        said = program.sentence("restore", "g", "latest", folder, "--yes", *more, code=1)
        assert str(mine) in said and "move it away, or name another target" in said
    program("restore", "g", "latest", "there")
    assert os.path.lexists(mine)


@pytest.mark.usefixtures("kept")
def test_a_damaged_journal_in_the_target_is_blamed_on_the_target(program: Program, folder: Path) -> None:
    (folder / ".lrb_restore").mkdir()
    (folder / ".lrb_restore" / "journal").write_text("nonsense")
    said = program.sentence("restore", "kept", "latest", folder, "--yes", code=1)
    assert repr(str(folder)) in said and ".lrb_restore/journal" in said and "restore the whole snapshot" in said
    assert "verify names all damage" not in said
    said = program.sentence("restore", "kept", "latest", folder, "--dry-run", code=1)
    assert "restore there again, which finishes it first" in said
    (folder / ".lrb_restore").rename(program.directory / "away")
    program("restore", "kept", "latest", folder, "--yes")


@pytest.mark.usefixtures("kept")
def test_what_is_in_the_way_of_an_item_is_named_by_its_path(program: Program, folder: Path) -> None:
    target = program.directory / "there"
    target.mkdir()
    (target / "deep").symlink_to(folder)
    said = program.sentence("restore", "kept", "latest", target, "--item", "deep/letter", "--yes", code=1)
    assert said.startswith(f"{target / 'deep'}: it is no item of the graph and in the way of one")
    out = program("restore", "kept", "latest", "new", "--dry-run").out
    assert "to write: what is unchanged too, and in blocks of 4 KiB" in out


async def test_a_second_restore_into_one_directory_is_told_where_the_first_may_be(tmp_path: Path) -> None:
    async with Staging(str(tmp_path / "target")):
        with pytest.raises(Busy, match="another restore into this directory is under way, in this process or another"):
            await Staging(str(tmp_path / "target")).__aenter__()
