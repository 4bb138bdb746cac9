"""Directories that are listed, not pinned."""

from pathlib import Path

import pytest

from lightrag_bkp import _bridge
from lightrag_bkp.errors import ConflictError, NotFoundError
from lightrag_bkp.sources import trees


@pytest.mark.parametrize(("path", "storage"), [("a", "a/b"), ("a/b", "a"), ("a", "a")])
def test_nested_source_and_storage_are_refused(tmp_path: Path, path: str, storage: str) -> None:
    with pytest.raises(ConflictError, match="keep them apart"):
        trees.check_apart(str(tmp_path / path), str(tmp_path / storage), "the directory")


def test_neighbours_are_apart(tmp_path: Path) -> None:
    trees.check_apart(str(tmp_path / "data"), str(tmp_path / "data-backup"), "the directory")


def write(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)
    return directory


def test_plain_takes_everything_but_the_staging_of_a_restore(tmp_path: Path) -> None:
    source = _bridge.Source()
    trees.add_plain(source, str(write(tmp_path, "a", "b/c", ".lrb_restore/new/d")))
    source.seal()
    assert source.totals() == (3, len("a") + len("b/c")), "two files and a directory"


def test_inputs_of_the_empty_workspace_leave_other_workspaces_out(tmp_path: Path) -> None:
    source = _bridge.Source()
    trees.add_inputs(source, str(write(tmp_path, "upload", "__parsed__/done", "other/theirs")), "")
    source.seal()
    assert source.totals()[1] == len("upload") + len("__parsed__/done")


def test_inputs_of_a_named_workspace_are_its_directory(tmp_path: Path) -> None:
    source = _bridge.Source()
    trees.add_inputs(source, str(write(tmp_path, "upload", "mine/one", "mine/sub/two")), "mine")
    source.seal()
    assert source.totals()[1] == len("mine/one") + len("mine/sub/two")


def test_missing_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        trees.add_inputs(_bridge.Source(), str(tmp_path / "nowhere"), "")
