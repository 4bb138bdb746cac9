"""Restores to places that others have made: directories that may not be listed, and what lies in the way there."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.folders import fingerprint
from support.program import Program, without_override


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
