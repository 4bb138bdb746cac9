"""`lightrag_bkp.compat`: three modules below LightRAG's name. Each import in a process of its own."""

import subprocess
import sys
from pathlib import Path

from lightrag_bkp import backup, recovery, replication


def run(program: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program of Python in which `path` comes first of all places for modules."""
    first = "" if path is None else f"import sys; sys.path.insert(0, {str(path)!r})\n"
    words = [sys.executable, "-c", first + program]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_the_modules_have_all_public_names_and_the_same_objects() -> None:
    names = {module.__name__.rpartition(".")[2]: module.__all__ for module in (backup, replication, recovery)}
    program = f"""
import importlib, sys
import lightrag_bkp.compat
assert not {{"lightrag", "lightrag_bkp.backup", "lightrag_bkp.recovery"}} & set(sys.modules), "loaded before its time"
for home, names in {names!r}.items():
    ours, theirs = (importlib.import_module(f"{{package}}.{{home}}") for package in ("lightrag_bkp", "lightrag"))
    assert theirs.__name__ == f"lightrag.{{home}}" and ours.__spec__.name == f"lightrag_bkp.{{home}}"
    assert all(getattr(theirs, name) is getattr(ours, name) for name in names)
    assert sorted(theirs.__all__) == sorted(names)
from lightrag import recovery
from lightrag.backup import BackupManager
from lightrag_bkp import BackupManager as original
assert BackupManager is original
"""
    done = run(program)
    assert done.returncode == 0, done.stderr


def test_without_lightrag_it_says_so() -> None:
    program = "import sys; sys.modules['lightrag'] = None\nimport lightrag_bkp.compat"
    said = run(program).stderr.splitlines()[-1]
    assert said.endswith(
        "lightrag.backup, lightrag.replication, lightrag.recovery belong to LightRAG, which is not installed here:"
        " pip install lightrag-hku, or import lightrag_bkp.backup, lightrag_bkp.replication, lightrag_bkp.recovery"
    )


def test_a_module_of_lightrags_own_is_never_hidden(tmp_path: Path) -> None:
    (tmp_path / "lightrag").mkdir()
    (tmp_path / "lightrag" / "__init__.py").touch()
    (tmp_path / "lightrag" / "recovery.py").write_text("own = True")
    program = """
try:
    import lightrag_bkp.compat
except ImportError as error:
    print(error)
import lightrag.recovery
assert lightrag.recovery.own
"""
    done = run(program, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "this LightRAG has a module lightrag.recovery of its own, which is left as it is" in done.stdout


def test_one_that_comes_later_is_found_first(tmp_path: Path) -> None:
    (tmp_path / "lightrag").mkdir()
    (tmp_path / "lightrag" / "__init__.py").touch()
    program = f"""
import importlib, pathlib
import lightrag_bkp.compat
pathlib.Path({str(tmp_path)!r}, "lightrag", "backup.py").write_text("own = True")
importlib.invalidate_caches()
import lightrag.backup, lightrag.recovery
assert lightrag.backup.own and lightrag.recovery.DisasterRecoveryManager
"""
    done = run(program, tmp_path)
    assert done.returncode == 0, done.stderr
