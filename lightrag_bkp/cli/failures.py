"""What an error becomes: one sentence, a symbol for programs, and an exit code."""

import os
import time
from dataclasses import asdict, dataclass
from enum import IntEnum
from errno import ENOENT
from typing import Any

from .. import errors

_SIGINT = 2


class Exit(IntEnum):
    """The exit codes. A signal's is 128 and its number."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DAMAGE = 3
    BUSY = 4
    SIGNALLED = 128


class Interrupted(Exception):
    """A signal ended the work, and what was half-done is undone. `said`: what became of work on a server."""

    def __init__(self, number: int, said: str = "") -> None:
        super().__init__(number)
        self.number = number
        self.said = said


@dataclass(frozen=True)
class Failure:
    """An error as the user sees it; the members but the exit code are those of `LightragBkpError`."""

    exit_code: int
    code: str
    message: str
    op: str = ""
    target: str = ""
    errno: int = 0

    def document(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


_USAGE = (errors.InvalidInputError, errors.ConfigurationError)


def failure_of(error: BaseException) -> Failure:
    """What to say of any error."""
    match error:
        case errors.LightragBkpError():
            return _known(error, _exit_code(error))
        case Interrupted():
            return _interrupted(error.number, error.said)
        case KeyboardInterrupt():
            return _interrupted(_SIGINT)
        case MemoryError():
            return Failure(Exit.FAILED, "NOMEM", "memory ran out")
        case OSError():
            return _refused(error)
        case OverflowError() if not _is_datable():
            said = "this machine's clock stands beyond the year 2262, where the times of snapshots end: set it"
            return Failure(Exit.FAILED, "CLOCK", said)
    if hasattr(error, "format_message"):  # what every version of Typer raises for words it cannot use
        return _misused(error, error.format_message())
    return Failure(Exit.FAILED, "INTERNAL", f"internal error, {type(error).__name__}: {error}; -v shows where")


def _misused(error: BaseException, said: str) -> Failure:
    context = getattr(error, "ctx", None)
    help_ = f": see {context.command_path} --help" if context is not None else ""
    return Failure(Exit.USAGE, "USAGE", said.rstrip(".") + help_)


def _known(error: errors.LightragBkpError, exit_code: int) -> Failure:
    return Failure(exit_code, error.code, str(error), error.op, str(error.target), error.errno or 0)


def _exit_code(error: errors.LightragBkpError) -> int:
    if isinstance(error, errors.Busy):
        return Exit.BUSY
    return Exit.USAGE if isinstance(error, _USAGE) else Exit.FAILED


def _interrupted(number: int, said: str = "") -> Failure:
    return Failure(Exit.SIGNALLED + number, "CANCELLED", f"interrupted; {said}" if said else "interrupted")


def _refused(error: OSError) -> Failure:
    target = "" if error.filename is None else str(error.filename)
    where = f"{target!r}: " if target else ""
    said = f"{where}{error.strerror or error}{errors.advice_on(error)}"
    if error.errno == ENOENT and not target and not _is_somewhere():
        said = "the current directory is gone: change to one that is there"
    return Failure(Exit.FAILED, "IO", said, "", target, error.errno or 0)


def _is_datable() -> bool:
    """Whether now has a number of nanoseconds."""
    try:
        return bool(time.time_ns())
    except OverflowError:
        return False


def _is_somewhere() -> bool:
    """Whether this process's directory still has a name."""
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False
