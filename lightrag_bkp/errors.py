"""What can go wrong, as classes.

Every exception this package raises on purpose is a `LightragBkpError`. The classes in `CORE_ERRORS` are the ones the C
core raises: one per row of csrc/base/err.def, and a test compares the two. Where Python has a natural class
(MemoryError, ValueError, LookupError, OSError) the error is one of those as well, so that callers may catch what they
know.
"""

import errno as numbers
import os
from collections.abc import Iterator
from contextlib import contextmanager

_FULL = (numbers.ENOSPC, numbers.EDQUOT)


class LightragBkpError(Exception):
    """The base of all errors of this package. The message is one sentence: what, where, what to do.

    Attributes:
        code: the kind of failure as a symbol of csrc/base/err.def ("DAMAGED"), or of this module for errors made in
            Python.
        errno: the operating system's number where it refused something, else 0.
        op: what was attempted ("open", "parse", ...), or "".
        target: which object (a path, an item, a snapshot id), or "".
    """

    code: str = "INTERNAL"
    errno: int | None = 0
    op: str = ""
    target: str = ""

    def __init__(self, message: str = "", *, code: str = "", errno: int = 0, op: str = "", target: str = "") -> None:
        super().__init__(message)
        self.code = code or self.code
        self.errno = errno
        self.op = op
        self.target = target

    def __str__(self) -> str:
        """The message; what it is about comes first where the message does not say."""
        said = super().__str__()
        if not self.target or self.target in said or repr(self.target) in said:
            return said
        return f"{self.target}: {said}"


class OutOfMemoryError(LightragBkpError, MemoryError):
    """Memory ran out; nothing was changed."""

    code = "NOMEM"


class InvalidInputError(LightragBkpError, ValueError):
    """An argument cannot be used."""

    code = "INVALID"


class NotFoundError(LightragBkpError, LookupError):
    """No such graph, snapshot, item or directory."""

    code = "NOT_FOUND"


class ConflictError(LightragBkpError):
    """The object exists already, or differs from what was asked for."""

    code = "EXISTS"


class Busy(LightragBkpError):
    """Somebody else is at work (LightRAG's pipeline, another process); try again later."""

    code = "BUSY"


class OperationCancelled(LightragBkpError):
    """Cancelled on request; nothing was left half-done."""

    code = "CANCELLED"


class StorageError(LightragBkpError, OSError):
    """The operating system refused a read or a write; `errno` says why."""

    code = "IO"


class NoSpaceError(StorageError):
    """No room is left on the device."""

    code = "NO_SPACE"


class DamagedError(LightragBkpError):
    """A stored object is not what it must be."""

    code = "DAMAGED"


class ForeignObjectError(LightragBkpError):
    """A stored object belongs to another graph or repository."""

    code = "FOREIGN"


class UnsupportedError(LightragBkpError):
    """A format version or algorithm this build does not know."""

    code = "UNSUPPORTED"


class LimitError(LightragBkpError):
    """A ceiling was reached."""

    code = "LIMIT"


class SourceChangedError(LightragBkpError):
    """The source changed while it was read."""

    code = "CHANGED"


class RestoreUnfinishedError(LightragBkpError):
    """An interrupted restore has to be finished first."""

    code = "UNFINISHED"


class InternalError(LightragBkpError):
    """A bug in this program."""

    code = "INTERNAL"


class LockedError(LightragBkpError):
    """The passphrase or key file is missing or wrong; or one is named and the repository is not sealed."""

    code = "LOCKED"


class ConfigurationError(LightragBkpError):
    """A setting is missing, unknown or cannot be used; the message names it and where it came from."""

    code = "CONFIGURATION"


class IncompleteSourceError(LightragBkpError):
    """Part of a graph is not in files here, so a snapshot of the files would not bring the graph back."""

    code = "INCOMPLETE"


class RefusedError(LightragBkpError):
    """What must be so first is not: a recovery point that is not valid, a failover that cannot be undone any more."""

    code = "REFUSED"


class ServerError(LightragBkpError):
    """The LightRAG server asked about its pipeline did not answer, refused the key, or answered something else."""

    code = "SERVER"


class StateError(LightragBkpError):
    """The small database that holds replication targets cannot be reached, read or written."""

    code = "STATE"


_OWNER_ADVICE = (
    ": check owner and mode, and those of its parent directories (what root made, others may not read: run as one user)"
)


_ADVICE = {
    numbers.EACCES: _OWNER_ADVICE,
    numbers.EPERM: _OWNER_ADVICE,
    numbers.ESTALE: ": it was replaced or removed on the file server; try again",
    numbers.EMFILE: ": raise the limit of open files (ulimit -n)",
    numbers.EFBIG: ": raise the limit on the size of files (ulimit -f), or use a file system that takes bigger ones",
    numbers.EROFS: ": it is mounted read-only",
    numbers.EIO: ": the device or the file server failed; the kernel's log (dmesg) may say how",
    numbers.ENFILE: ": the whole machine has too many files open; close some, or raise fs.file-max",
    numbers.EMLINK: ": the file system allows no more links, or directories, there; use one that does",
    numbers.EXDEV: ": the two places are on different file systems, or mounts; use one that holds both",
    numbers.ENAMETOOLONG: ": the file system takes no name or path so long; use a shorter one, or another file system",
    numbers.ELOOP: ": a symbolic link where none is followed, or too many of them; name the place itself",
    numbers.EBUSY: ": something uses it, or a file system is mounted there; try again when it is free",
}
"""What csrc/base/err.c says, and a test compares."""


def advice_on(error: OSError) -> str:
    """What helps against a refusal, behind a colon, as the core says it; "" where nothing is known to."""
    return _ADVICE.get(error.errno or 0, "")


def denied(path: str) -> PermissionError:
    """The error of a directory that may not be looked into."""
    return PermissionError(numbers.EACCES, os.strerror(numbers.EACCES), path)


@contextmanager
def refusals_named(place: str, op: str = "read") -> Iterator[None]:
    """Says of what the system refused in Python where it is, and what helps, as the core says it.

    Args:
        place: the directory worked on: the system may name a file in it, or none. op: what is attempted.
    """
    try:
        yield
    except LightragBkpError:
        raise
    except OSError as error:
        path = os.path.join(place, error.filename) if isinstance(error.filename, str) else place
        said = f"{path!r}: {error.strerror or error}{advice_on(error)}"
        refused = NoSpaceError if error.errno in _FULL else StorageError
        raise refused(said, errno=error.errno or 0, op=op, target=path) from error


CORE_ERRORS: dict[str, type[LightragBkpError]] = {
    cls.__name__: cls
    for cls in (
        OutOfMemoryError,
        InvalidInputError,
        NotFoundError,
        ConflictError,
        Busy,
        OperationCancelled,
        StorageError,
        NoSpaceError,
        DamagedError,
        ForeignObjectError,
        UnsupportedError,
        LimitError,
        SourceChangedError,
        RestoreUnfinishedError,
        InternalError,
        LockedError,
    )
}
"""Class name -> class, for every row of csrc/base/err.def."""
