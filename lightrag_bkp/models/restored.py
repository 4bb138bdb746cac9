"""What a restore did."""

import enum
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from .listing import Listing
from .snapshot import ItemType


class RestoreAction(enum.StrEnum):
    """What a restore does with one name."""

    CREATE = "create"
    REPLACE = "replace"
    SAME = "same"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class RestoredItem:
    """One name a restore looked at."""

    name: str
    type: ItemType | None
    action: RestoreAction
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RestoreOutcome:
    """What a restore did, or with `dry_run` would do.

    Attributes:
        snapshot_id: what was restored; target_dir: the directory the files went to (with the workspace).
        items: every item with its action; those removed because the snapshot lacks them last.
        needed_bytes: what had to be written.
        safety_snapshot: id of the snapshot that keeps the former state; None when there was nothing to keep.
        restart_required: whether a LightRAG that has this directory open must be restarted to see it; never when
            nothing changed.
        dry_run: nothing was changed. seconds: how long it took.
        reloaded: the running LightRAG of the graph serves the restored state. held_ms: how long it took no documents
            in; None when none was running.
        uploads: how many names were brought back into the INPUT_DIR. sidecars: how many locations of parsed documents
            in `full_docs` were changed to lead there.
        verdict: what the graph is good for; None for a plain directory and for single items.
        made_dirs: how many directories of `target_dir`, from the last one up, were not there before.
    """

    snapshot_id: str
    target_dir: str
    items: Sequence[RestoredItem]
    needed_bytes: int
    safety_snapshot: str | None
    restart_required: bool
    dry_run: bool
    seconds: float
    reloaded: bool = False
    held_ms: float | None = None
    uploads: int = 0
    sidecars: int = 0
    verdict: str | None = None
    made_dirs: int = 0

    @property
    def changed(self) -> Sequence[RestoredItem]:
        """The items that are not the same already."""
        places = array("Q", (place for place, item in enumerate(self.items) if item.action is not RestoreAction.SAME))
        return Listing(places, self.items.__getitem__)
