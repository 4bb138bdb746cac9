"""The walls of the house: what a stranger may rely on when reading the folder names (docs/architecture.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "lightrag_bkp"

LAYERS = ["base", "codec", "lightrag", "repo", "engine", "net", "py"]
"""A folder includes only itself and folders before it."""

LIBRARIES = {"openssl/": "codec", "zstd": "codec", "libdeflate": "codec"}
LIBRARIES |= {"expat": "lightrag", "curl/": "net", "Python.h": "py"}

BANNED = ["sprintf", "vsprintf", "strcpy", "strcat", "strtok", "atoi", "atol", "alloca", "system", "gets", "tmpnam"]
BANNED += ["mktemp", "signal"]
ALLOCATION = ["malloc", "calloc", "realloc", "free", "strdup", "strndup"]
FILES = ["open", "openat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdirat", "linkat"]
FILES += ["fsync", "fdatasync", "fdopendir"]
THREADS = ["pthread_create", "thrd_create"]
ONLY_IN = {("base/mem.c",): ALLOCATION, ("base/fs",): FILES, ("base/thread.c",): THREADS}
"""Beginnings of names -> what no other file calls."""

LIGHTRAG_IMPORTERS = {"sources/live.py", "sources/gate.py", "server.py", "compat.py", "api/auth.py"}


def c_files() -> list[Path]:
    return sorted([*CSRC.glob("*/*.c"), *CSRC.glob("*/*.h")])


def name(path: Path) -> str:
    return path.relative_to(CSRC).as_posix()


def includes(path: Path) -> Iterator[str]:
    yield from re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', path.read_text(), re.M)


def code_of(path: Path) -> str:
    """The file without comments and string literals."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', " ", path.read_text(), flags=re.S)


def calls(path: Path, function: str) -> bool:
    return re.search(rf"(?<![\w.>]){function}\s*\(", code_of(path)) is not None


def python_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported_modules(path: Path) -> Iterator[tuple[str, bool]]:
    """(absolute module, whether at the file's top level)."""
    tree = ast.parse(path.read_text())
    top = set(map(id, tree.body))
    package = ["lightrag_bkp", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            yield module, id(node) in top
            for alias in node.names:
                yield f"{module}.{alias.name}", id(node) in top


@pytest.mark.parametrize("path", c_files(), ids=name)
def test_a_c_file_includes_only_its_own_layer_and_those_before_it(path: Path) -> None:
    layer = LAYERS.index(path.parent.name)
    for include in includes(path):
        folder = include.split("/")[0]
        if folder in LAYERS and (CSRC / include).exists():
            assert LAYERS.index(folder) <= layer, f"{name(path)} includes {include}"


@pytest.mark.parametrize("path", c_files(), ids=name)
def test_an_external_library_is_included_by_one_folder(path: Path) -> None:
    for include in includes(path):
        for library, folder in LIBRARIES.items():
            if include.startswith(library):
                assert path.parent.name == folder, f"{name(path)} includes {include}"


@pytest.mark.parametrize("path", c_files(), ids=name)
def test_no_banned_call(path: Path) -> None:
    assert [function for function in BANNED if calls(path, function)] == []


@pytest.mark.parametrize("path", c_files(), ids=name)
def test_memory_files_and_threads_come_from_one_place(path: Path) -> None:
    for places, functions in ONLY_IN.items():
        if not name(path).startswith(places):
            assert [function for function in functions if calls(path, function)] == [], f"belongs into {places}"


@pytest.mark.parametrize("path", sorted(CSRC.glob("*/*.h")), ids=name)
def test_a_header_begins_with_its_story(path: Path) -> None:
    story = re.match(r"/\*(.*?)\*/", path.read_text(), re.S)
    assert story and len(story.group(1)) > 60


@pytest.mark.parametrize("path", sorted(p for p in CSRC.glob("*/*.h") if p.parent.name != "py"), ids=name)
def test_a_c_module_has_a_test(path: Path) -> None:
    module = path.stem.removesuffix("_private")
    assert (ROOT / "tests/c" / f"test_{module}.c").exists(), f"tests/c/test_{module}.c is missing"


ASKS_FOR_NO_MEMORY = {
    "clock": "one system call",
    "thread": "the memory is the system's",
    "err": "fills what its caller gives it",
    "path": "looks at a text",
    "kdf": "the memory is OpenSSL's",
    "fingerprint": "computes with its caller's sealer",
    "openssl": "the memory is OpenSSL's, which its test makes fail by another way",
    "litter": "lists, locks and unlinks",
    "pack_file": "writes a pack that is in memory already",
    "fs_direct": "writes what its caller gives it",
    "site": "opens, makes and locks directories",
    "tree": "walks along descriptors",
    "obstacle": "asks along descriptors",
    "bytes": "reads into what its caller gives it",
    "payload": "looks at borrowed bytes",
}
"""Modules whose functions may fail, but not for want of memory; the rest makes every allocation fail in its test."""

ALLOCATORS = r"lrb_(alloc|alloc_zero|resize_array|resize_pages|copy_string|buf_(reserve|append)\w*)"


def can_fail(header: Path) -> bool:
    return re.search(r"\blrb_err \*err\b", code_of(header)) is not None


@pytest.mark.parametrize(
    "path",
    sorted(p for p in CSRC.glob("*/*.h") if p.parent.name != "py" and not p.stem.endswith("_private") and can_fail(p)),
    ids=name,
)
def test_every_allocation_of_a_c_module_is_made_to_fail(path: Path) -> None:
    """In its own test program, or in a header of tests/c that it includes. csrc/py: tests/python/test_core.py."""
    module, tests = path.stem, ROOT / "tests/c"
    program = tests / f"test_{module}.c"
    parts = [program, *(tests / one for one in includes(program) if (tests / one).is_file())]
    tried = any(calls(part, "lrb_mem_fail_after") for part in parts)
    if module in ASKS_FOR_NO_MEMORY:
        source = path.with_suffix(".c")
        assert not tried, f"{module} is tried and needs no exception"
        assert not re.search(rf"\b{ALLOCATORS}\s*\(", code_of(source)), f"{module} allocates after all"
    else:
        assert tried, f"tests/c/test_{module}.c makes no allocation fail"


def test_error_codes_and_exception_classes_agree() -> None:
    from lightrag_bkp import _bridge, errors

    table = re.findall(r"^LRB_ERROR\((\w+),\s*(\w+),\s*\"(.*)\"\)", (CSRC / "base/err.def").read_text(), re.M)
    assert table == list(_bridge._core.ERROR_TABLE)
    for _, class_name, _ in table:
        assert issubclass(getattr(errors, class_name), errors.LightragBkpError)


def test_core_and_python_advise_alike() -> None:
    """What the system refuses is refused to both: one sentence for each number."""
    import errno

    from lightrag_bkp import errors

    told = re.search(r"advice_for_errno\(int.*?default:", (CSRC / "base/err.c").read_text(), re.S)
    assert told
    advised: dict[int, str] = {}
    waiting: list[str] = []
    for name, text in re.findall(r'case (\w+):|return "(.*)";', told.group()):
        waiting += [name] if name else []
        while text and waiting:
            advised[getattr(errno, waiting.pop())] = text
    assert len(advised) > 10
    assert {number: errors.advice_on(OSError(number, "")) for number in advised} == advised
    assert not errors.advice_on(OSError(errno.EINVAL, ""))


def test_a_python_function_fits_on_a_page() -> None:
    """With its docstring, sixty lines."""
    functions = [
        (path.name, node.name, node.end_lineno - node.lineno + 1)
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]
    assert [one for one in functions if one[2] > 60] == []


@pytest.mark.parametrize("path", python_files(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_python_walls(path: Path) -> None:
    me = path.relative_to(PACKAGE).as_posix()
    for module, at_top in imported_modules(path):
        if module in ("lightrag_bkp._core", "lightrag_bkp._probe"):
            assert me == "_bridge.py", f"{me} imports {module}"
        root = module.split(".")[0]
        if root in ("fastapi", "starlette", "pydantic"):
            assert me.startswith("api/"), f"{me} imports {module}"
        if root in ("sqlalchemy", "alembic"):
            assert me.startswith("state/")
        if root == "lightrag":
            assert me in LIGHTRAG_IMPORTERS and not at_top, f"{me} imports {module}"


def test_no_disk_is_waited_for_in_the_threads_of_a_host() -> None:
    """They have its own work to do: `threads` has others."""
    taken = re.compile(r"asyncio\.to_thread|run_in_executor\(None")
    users = {path.relative_to(PACKAGE).as_posix() for path in python_files() if taken.search(path.read_text())}
    assert not users


def test_importing_the_package_starts_nothing() -> None:
    import subprocess
    import sys

    program = (
        "import os, threading; before = set(os.listdir('/proc/self/fd')); import lightrag_bkp, lightrag_bkp.sync;"
        "assert threading.active_count() == 1; assert len(os.listdir('/proc/self/task')) == 1;"
        "assert set(os.listdir('/proc/self/fd')) <= before, 'a descriptor was left open';"
        "import sys; assert 'lightrag' not in sys.modules and 'numpy' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def test_elsewhere_the_installation_says_where_it_runs(tmp_path: Path) -> None:
    build = f"['setup.py', '-q', 'build_ext', '--build-temp', {str(tmp_path)!r}, '--build-lib', {str(tmp_path)!r}]"
    program = f"import platform, runpy, sys; platform.machine = lambda: 'sparc64'; sys.argv = {build}"
    words = [sys.executable, "-c", f"{program}; runpy.run_path('setup.py')"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("lightrag-bkp runs on Linux (x86-64 or aarch64) with CPython 3.11")
