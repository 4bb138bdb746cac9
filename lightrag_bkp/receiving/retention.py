"""What a replica keeps: its own rules, by this host's clock, whatever its sender deletes or claims.

A receipt is removed when its snapshot came long enough ago and is none of the newest, unless the sender held it when it
was heard last. Packs and lists that no receipt names go with it. What came a short while ago is spared: it may be part
of a snapshot that is on its way.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from ..errors import DamagedError, InvalidInputError
from ..models import RetentionPolicy
from ..repository import EXPIRED, scan
from ..sources.trees import sync_directory
from . import trial
from .records import Receipt
from .replica import Replica

SPARED_S = 24 * 3600.0
"""What no receipt names is part of a shipment for so long; one that takes longer sends it again."""
_MOST_DAYS = 36500


@dataclass(frozen=True, slots=True)
class Rules:
    """When a replica lets a snapshot go: it is here for `days` (0: never), and none of the newest `minimum`."""

    days: int = 30
    minimum: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.days <= _MOST_DAYS:
            raise InvalidInputError(f"{self.days} days cannot be kept: 0 (for ever) to {_MOST_DAYS}", target="days")
        if not 1 <= self.minimum < 1 << 32:
            raise InvalidInputError("at least the newest snapshot of a replica stays", target="minimum")


@dataclass(frozen=True, slots=True)
class Thinned:
    """What went and what stayed, by the numbers of the snapshots' entries; packs and bytes that were freed."""

    dropped: tuple[int, ...]
    kept: tuple[int, ...]
    packs: int
    freed_bytes: int


def thin(
    replica: Replica, rules: Rules, *, now: datetime | None = None, dry_run: bool = False, spared_s: float = SPARED_S
) -> Thinned:
    """Removes what the rules let go.

    Raises:
        DamagedError: the list of packs of a snapshot that stays is gone or damaged; nothing was removed.
    """
    with replica.writing():
        receipts = replica.receipts()
        held = frozenset(replica.status().get("held", []))
        rows = [_row(one, rules.days, one.number in held) for one in receipts]
        reasons = scan(rows, RetentionPolicy(minimum=rules.minimum), now)
        kept = [one for one, reason in zip(receipts, reasons, strict=True) if reason != EXPIRED]
        dropped = [one.number for one, reason in zip(receipts, reasons, strict=True) if reason == EXPIRED]
        needed = _needed(replica, kept)
        before = time.time() - spared_s
        packs = [
            (path, size)
            for path, size in ((replica.pack_path(name), size) for name, size in replica.packs().items())
            if os.path.basename(path) not in needed and os.stat(path).st_mtime <= before
        ]
        litter = _litter(replica, needed, before)
        if not dry_run:
            _remove(map(replica.receipt_path, dropped))
            _remove(path for path, _ in packs + litter)
            trial.clear(replica, before)
            lists = {one.needs for one in kept}
            stale = [replica.needs_path(name) for name in replica.lists() if name not in lists]
            _remove(path for path in stale if os.stat(path).st_mtime <= before)
    numbers = tuple(one.number for one in kept)
    return Thinned(tuple(dropped), numbers, len(packs), sum(size for _, size in packs + litter))


def _row(
    receipt: Receipt, days: int, held: bool
) -> tuple[str, int, int, int, int, int, bytes, str, str, int, bool, str, tuple[str, ...]]:
    """As the core lists a snapshot, with what retention looks at."""
    holders = ("sender",) if held else ()
    return ("", receipt.number, receipt.received_us * 1000, 0, 0, 0, b"", "", "", days, False, "", holders)


def _needed(replica: Replica, kept: list[Receipt]) -> set[str]:
    needed: set[str] = set()
    for needs in {one.needs for one in kept}:
        packs = replica.needs(needs)
        if packs is None:
            path = replica.needs_path(needs)
            raise DamagedError("a list of packs is missing, so that nobody knows which may go", target=path)
        needed.update(name.hex() for name, _ in packs)
    return needed


def _litter(replica: Replica, needed: set[str], before: float) -> list[tuple[str, int]]:
    """Parts of what never became whole, and what was put aside, unless it is needed and did not come again."""
    found = []
    have = replica.packs()
    for directory in (replica.quarantine.directory, replica.rotten_directory):
        with suppress(FileNotFoundError), os.scandir(directory) as entries:
            for one in entries:
                is_all_there_is = directory == replica.rotten_directory and one.name in needed and one.name not in have
                said = one.stat(follow_symlinks=False)
                if said.st_ctime <= before and not is_all_there_is:  # of when it came here, not of when it was written
                    found.append((one.path, said.st_size))
    return found


def _remove(paths: Iterable[str]) -> None:
    """Durably: a receipt is gone before a pack that it named."""
    directories = set()
    for path in paths:
        with suppress(FileNotFoundError):  # a part that a sender went on with meanwhile
            os.unlink(path)
        directories.add(os.path.dirname(path))
    for directory in directories:
        sync_directory(directory)
