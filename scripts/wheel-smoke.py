"""Run by scripts/wheel in an empty environment: the installed wheel imports alone and does its work."""

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import lightrag_bkp
from lightrag_bkp import _bridge  # loads the C core
from lightrag_bkp.sync import BackupManager

assert _bridge.FORMAT_VERSION == 1
absent = {"fastapi", "sqlalchemy", "obstore", "lightrag"} & set(sys.modules)
assert not absent, f"the core package imported {absent}"

libraries = Path(lightrag_bkp.__file__).parent.parent / "lightrag_bkp.libs"
mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
for name in ("libcrypto", "libzstd", "libdeflate"):  # libexpat is the system's, as manylinux has it
    assert any(path.startswith(f"{libraries}/{name}") for path in mapped), f"{name} is not the wheel's own"

with tempfile.TemporaryDirectory() as place:
    source, back = Path(place, "source"), Path(place, "back")
    source.mkdir()
    (source / "note").write_text("kept")
    with BackupManager(Path(place, "storage"), passphrase="for a moment") as manager:
        graph = manager.register_graph("smoke", source)
        snapshot = graph.create_snapshot()
        assert graph.verify_snapshot(snapshot.backup_id).ok
        graph.restore_snapshot(snapshot.backup_id, back)
    assert (back / "note").read_text() == "kept"

program = Path(sys.executable).parent / "lightrag-bkp"
said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout.strip()
print(f"Python {platform.python_version()}: {said} works")
