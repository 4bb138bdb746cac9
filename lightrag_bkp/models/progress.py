"""How far work has come, whatever it is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an operation has come.

    Attributes:
        phase: name of the step: "compare", "encode", "commit" of a snapshot; "plan", "write", "check" of a restore;
            "log", "needed", "packs", "items", "enter", "done" of a verification; "log", "list", "mark", "weigh",
            "enter", "repack", "unlink", "tidy", "done" of a clean-up; "validate"; "send", whose items are targets and
            whose bytes are what they lacked and took. "start" comes before any.
        items_done, items_total: items. bytes_in, bytes_total: bytes read. bytes_stored: bytes written.
    """

    phase: str
    items_done: int
    items_total: int
    bytes_in: int
    bytes_total: int
    bytes_stored: int


ProgressCallback = Callable[[Progress], None]
