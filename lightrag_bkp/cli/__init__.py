"""The program `lightrag-bkp`: the Python API on a command line.

One file per group of commands (`take`, `look`, `bring`, `keep`); `words` says what arguments and options they share,
`session` what a command works with, `failures` what an error becomes. A command decides nothing the API does not.

Starting is part of the work here: a snapshot of an unchanged graph takes a few milliseconds, so a module is imported
where a command needs it, `rich` only when there is a progress bar to draw.
"""

import gc
import os
import signal
import sys
import time

PROGRAM = "lightrag-bkp"


def main() -> int:
    """Runs the program on this process's arguments; returns its exit code."""
    # Until work is under way nothing needs cleaning up, and an interrupt may end the process where it stands, quietly.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored, as after `&`
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _open_streams()
    gc.disable()  # what a start makes stays, so that searching it for garbage is wasted; `Session.run` enables it again
    from .session import Session

    words = sys.argv[1:]
    session = Session(program=PROGRAM, json="--json" in words)

    def run() -> int | None:
        time.time_ns()  # raises where the clock tells no time that can be stored
        from .app import command

        code: int | None = command.main(args=words, prog_name=PROGRAM, standalone_mode=False, obj=session)
        return code

    try:
        return session.attempt(run)
    finally:
        gc.freeze()  # for the same reason, at the end


def _open_streams() -> None:
    """Gives standard streams that are closed (`2>&-`, some supervisors) to nobody, which also keeps their descriptors
    from files; a character the output's encoding does not have is escaped, as on stderr.
    """
    for name, flag in (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flag), "r" if flag == os.O_RDONLY else "w"))
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
