"""Fixtures of the tests that let something go wrong around a real process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.trouble import Trouble, compile_seam


@pytest.fixture(scope="session")
def seam_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("seam") / "seam.so"
    compile_seam(library)
    return library


@pytest.fixture
def trouble(seam_library: Path) -> Iterator[Trouble]:
    made = Trouble(seam_library)
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A plain directory of a few files, one of them of several chunks."""
    directory = tmp_path / "source"
    (directory / "deep").mkdir(parents=True)
    (directory / "big").write_bytes(os.urandom(400_000))
    (directory / "deep" / "notes").write_text("first notes\n" * 100)
    (directory / "small").write_text("here")
    return directory


@pytest.fixture(params=["open", "sealed"])
def secret(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of this process and of those it starts; the graph is sealed with it, or not."""
    if request.param == "sealed":
        key = tmp_path / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(32))
        monkeypatch.setenv("LIGHTRAG_BACKUP_KEY_FILE", str(key))
