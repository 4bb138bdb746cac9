"""For tests of programs that work with LightRAG: a graph is built once, and every test gets its own.

    async def build(directory):                     # fills it, with LightRAG or in any other way
        ...

    def test_something(graph_snapshot, assert_graph_usable):
        directory = graph_snapshot(build)           # a fresh copy, in milliseconds
        ...
        assert_graph_usable(directory)

Loaded by pytest by itself. `--graph-cache DIR` keeps what was built for the next run. Workers of pytest-xdist share
what one of them has built. Nothing but this file is imported before a test asks for a fixture.
"""

import functools
import hashlib
import importlib.metadata
import inspect
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .pytest_graphs import Shelf

Build = Callable[[Path], object] | Callable[[Path], Awaitable[object]]
"""Fills an empty directory with a graph."""

_PLAIN = (str, bytes, int, float, bool, type(None))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --graph-cache."""
    parser.getgroup("lightrag-bkp").addoption(
        "--graph-cache",
        metavar="DIR",
        help="keep the graphs that `graph_snapshot` builds in DIR, for later runs",
    )


@pytest.fixture(scope="session")
def _graph_shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Shelf":
    """Where graphs are kept: named by the user, or common to all workers of this run."""
    from .pytest_graphs import Shelf

    named = request.config.getoption("--graph-cache")
    if named:
        return Shelf(Path(os.path.expanduser(named)).absolute())
    base = tmp_path_factory.getbasetemp()
    return Shelf((base.parent if hasattr(request.config, "workerinput") else base) / "lightrag-bkp-graphs")


@pytest.fixture
def graph_snapshot(_graph_shelf: "Shelf", tmp_path: Path) -> Callable[..., Path]:
    """Call it with a function that fills a directory: it returns a directory of the test's own, filled so.

    `graph_snapshot(build, *, key=None, workspace="")`: `build` runs once; a changed source of it, or another release of
    LightRAG, counts as another graph. What `build` calls is not looked at: name a `key` that changes with it, or leave
    --graph-cache away. `workspace` is that of LightRAG which is kept, "" for the unnamed one.
    """
    made = 0

    def snapshot(build: Build, *, key: str | None = None, workspace: str = "") -> Path:
        nonlocal made
        directory = tmp_path / f"graph-{made}"
        made += 1
        _graph_shelf.fill(directory, name_of(build, key, workspace), build, workspace)
        return directory

    return snapshot


@pytest.fixture
def assert_graph_usable() -> Callable[..., None]:
    """Call it with a directory: it fails unless LightRAG could work with the graph there as it is.

    `assert_graph_usable(directory, workspace="", *, partial=False)`; `partial`: stores without a file are elsewhere.
    """
    from .pytest_graphs import assert_graph_usable as check

    return check


def name_of(build: Build, key: str | None, workspace: str) -> str:
    """The id under which a graph is kept: equal for what would build an equal graph, as far as can be seen."""
    function: Any = build
    told: list[object] = []
    while isinstance(function, functools.partial):
        told += [function.args, sorted(function.keywords.items())]
        function = function.func
    label = getattr(function, "__qualname__", type(function).__name__)
    if key is None:
        told += [_values(function), _source(function, label)]
        _refuse_unclear(told[:-1], label)
    parts = [getattr(function, "__module__", ""), label, key, workspace, _release(), told]
    digest = hashlib.sha256(repr(parts).encode("utf-8", "replace")).hexdigest()[:16]
    return f"{re.sub('[^A-Za-z0-9]+', '-', label).strip('-')[:60] or 'graph'}-{digest}"


def _values(function: Build) -> list[object]:
    """What a function brings along: captured and default values, and the object it is a method of."""
    bound = getattr(function, "__self__", None)
    cells = getattr(function, "__closure__", None) or ()
    defaults = [
        *(getattr(function, "__defaults__", None) or ()),
        *(getattr(function, "__kwdefaults__", None) or {}).items(),
    ]
    owner = [] if bound is None or isinstance(bound, type) else [bound]
    return [*owner, *(cell.cell_contents for cell in cells), *defaults]


def _source(function: Build, label: str) -> list[object]:
    """Its text, and what that was compiled to: two lambdas in one line have the same text."""
    try:
        return [inspect.getsource(function), *_compiled(getattr(function, "__code__", None))]
    except (OSError, TypeError):
        raise pytest.UsageError(f"graph_snapshot: the source of {label} cannot be read: name a key=") from None


def _compiled(code: CodeType | None) -> list[object]:
    if code is None:
        return []
    return [code.co_code, code.co_names, _constant(code.co_consts)]


def _constant(value: object) -> object:
    """A constant of compiled code as every process sees it: the order of a set's members differs between them."""
    if isinstance(value, CodeType):
        return _compiled(value)
    if isinstance(value, tuple):
        return [_constant(one) for one in value]
    if isinstance(value, frozenset):
        return {"set": sorted(repr(_constant(one)) for one in value)}
    return repr(value)


def _refuse_unclear(values: list[object], label: str) -> None:
    """Values that do not show what they are would make unequal graphs look equal, or equal ones unequal."""
    for value in values:
        if isinstance(value, tuple | list):
            _refuse_unclear(list(value), label)
        elif not isinstance(value, _PLAIN) and not isinstance(value, Path):
            raise pytest.UsageError(
                f"graph_snapshot: {label} depends on {value!r}: name a key= that tells graphs apart"
            )


def _release() -> str:
    try:
        return importlib.metadata.version("lightrag-hku")
    except importlib.metadata.PackageNotFoundError:
        return ""
