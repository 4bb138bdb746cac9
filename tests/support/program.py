"""`lightrag-bkp` as a user runs it: a process of its own, with an environment of its own."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightrag_bkp

_PACKAGE_PARENT = str(Path(lightrag_bkp.__file__).parents[1])
_TIMEOUT_S = 60


def without_override() -> list[str]:
    """What to put before a command to which the modes of files apply: to root they do not."""
    return [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@dataclass(frozen=True)
class Ran:
    """What came of one run."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


@dataclass
class Program:
    """The program, started in `directory` with `storage` as its `--storage` and no setting in its environment; `before`
    stands before its command line.
    """

    directory: Path
    environ: dict[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()

    @property
    def storage(self) -> Path:
        return self.directory / "storage"

    def __call__(self, *words: object, code: int = 0) -> Ran:
        """Runs a command on `storage`; its exit code must be `code`."""
        return self.bare("--storage", self.storage, *words, code=code)

    def json(self, *words: object, code: int = 0) -> dict[str, Any]:
        """As calling, with `--json`; returns the document."""
        ran = self("--json", *words, code=code)
        assert ran.err == ""
        return ran.document

    def bare(self, *words: object, code: int = 0) -> Ran:
        """As calling, without `--storage`."""
        with self.started(*words) as process:
            return self.ended(process, code)

    def sentence(self, *words: object, code: int) -> str:
        """The one sentence a failing command says."""
        ran = self(*words, code=code)
        assert ran.out == ""
        (line,) = ran.err.splitlines()
        name, said = line.split(": ", 1)
        assert name == "lightrag-bkp"
        return said

    @contextmanager
    def started(self, *words: object, **streams: Any) -> Iterator[subprocess.Popen[str]]:
        """A run that goes on meanwhile; standard input is empty unless `streams` says otherwise."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(
            [*self.before, sys.executable, "-m", "lightrag_bkp.cli", *map(str, words)],
            cwd=self.directory,
            env=self._environment(),
            text=True,
            **{**pipes, **streams},
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def ended(self, process: subprocess.Popen[str], code: int) -> Ran:
        """Waits for a started program, which must end with `code` and never with a traceback."""
        out, err = process.communicate(timeout=_TIMEOUT_S)
        assert process.returncode == code, f"exit code {process.returncode}: {out}{err}"
        assert "Traceback" not in err
        return Ran(process.returncode, out, err)

    def at_terminal(self, answer: str, *words: object, code: int = 0) -> Ran:
        """As calling, by a user at a terminal who types `answer`."""
        keyboard, terminal = pty.openpty()
        try:
            with self.started("--storage", self.storage, *words, stdin=terminal) as process:
                os.write(keyboard, answer.encode() + b"\n")
                return self.ended(process, code)
        finally:
            os.close(keyboard)
            os.close(terminal)

    def shown_on_terminal(self, *words: object) -> str:
        """What a run that ends well writes to a terminal that is its standard error."""
        screen, terminal = pty.openpty()
        with self.started("--storage", self.storage, *words, stderr=terminal) as process:
            os.close(terminal)
            seen = _read_all(screen)
            process.communicate(timeout=_TIMEOUT_S)
        assert process.returncode == 0
        return seen

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTRAG_")}
        return {**kept, "PYTHONPATH": _PACKAGE_PARENT, "TERM": "xterm", "COLUMNS": "120", **self.environ}


def _read_all(screen: int) -> str:
    seen = b""
    try:
        while part := os.read(screen, 65536):
            seen += part
    except OSError:  # how a terminal says that nobody writes to it any more
        pass
    finally:
        os.close(screen)
    return seen.decode()
