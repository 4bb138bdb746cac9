"""Fixtures of all Python tests. This directory is on the path, so tests say `from support import ...`."""

import asyncio
import shutil
import signal
from pathlib import Path

import pytest

# A shell starts background jobs with SIGINT ignored, nohup any with SIGHUP, and programs under test would inherit that.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


@pytest.fixture(scope="session")
def built_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete LightRAG directory of 6 documents, built once; look, do not touch."""
    from support import graphs

    directory = tmp_path_factory.mktemp("built") / "rag_storage"
    asyncio.run(graphs.build_pipeline_graph(directory, documents=6))
    return directory


@pytest.fixture
def graph_dir(built_graph: Path, tmp_path: Path) -> Path:
    """A copy of `built_graph` of one's own."""
    directory = tmp_path / "rag_storage"
    shutil.copytree(built_graph, directory)
    return directory
