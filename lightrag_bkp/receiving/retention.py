"""What a replica keeps: its own rules, by this host's clock, whatever its sender deletes or claims.

A receipt is removed when its snapshot came long enough ago and is none of the newest, unless the sender held it when it
was heard last. Packs and lists that no receipt names go, too: an hour later, for a restore may be reading them, and
nothing that came a short while ago, for it may be part of a snapshot that is on its way.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from ..errors import DamagedError, InvalidInputError
from ..graph import READERS_WAIT_S
from ..models import RetentionPolicy
from ..repository import EXPIRED, scan
from ..sources.trees import sync_directory
from . import shelf, trial
from .records import Receipt, read_receipt
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
    """What went and what stayed, by the numbers of the snapshots' entries; packs and bytes that were freed, and bytes
    that will be once readers had their time.
    """

    dropped: tuple[int, ...]
    kept: tuple[int, ...]
    packs: int
    freed_bytes: int
    waiting_bytes: int


def thin(
    replica: Replica,
    rules: Rules,
    *,
    now: datetime | None = None,
    dry_run: bool = False,
    spared_s: float = SPARED_S,
    wait_s: float = READERS_WAIT_S,
) -> Thinned:
    """Removes what the rules let go.

    Args:
        wait_s: how long what a receipt named stays once that went: a restore of its snapshot may be under way.

    Raises:
        DamagedError: the list of packs of a snapshot that stays is gone or damaged; nothing was removed.
    """
    with replica.writing():
        kept, dropped = _judge(replica, rules, now)
        needed = _needed(replica, kept)
        waiting = _waiting(replica, wait_s) | ({one.needs for one in dropped} if wait_s else set())
        read = _packs_of(replica, waiting) - needed
        before = time.time() - spared_s
        old = {name: size for name, size in replica.packs().items() if _is_older(replica.pack_path(name), before)}
        packs = [(replica.pack_path(name), size) for name, size in old.items() if name not in needed | read]
        litter = _litter(replica, needed, before)
        if not dry_run:
            _let_go(replica, dropped)
            _remove(path for path, _ in packs + litter)
            trial.clear(replica, before)
            lists = waiting | {one.needs for one in kept}
            stale = [replica.needs_path(name) for name in replica.lists() if name not in lists]
            _remove(path for path in stale if _is_older(path, before))
            _forget(replica, wait_s)
    return Thinned(
        tuple(one.number for one in dropped),
        tuple(one.number for one in kept),
        len(packs),
        sum(size for _, size in packs + litter),
        sum(size for name, size in old.items() if name in read),
    )


def _judge(replica: Replica, rules: Rules, now: datetime | None) -> tuple[list[Receipt], list[Receipt]]:
    """The receipts that stay, and those that go."""
    receipts = replica.receipts()
    held = frozenset(replica.status().get("held", []))
    rows = [_row(one, rules.days, one.number in held) for one in receipts]
    reasons = scan(rows, RetentionPolicy(minimum=rules.minimum), now)
    judged = list(zip(receipts, reasons, strict=True))
    return [one for one, reason in judged if reason != EXPIRED], [one for one, reason in judged if reason == EXPIRED]


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


def _let_go(replica: Replica, receipts: list[Receipt]) -> None:
    """Puts receipts aside, durably and before anything that they named goes; from now on their time runs."""
    if not receipts:
        return
    shelf.make_directories(replica.let_go_directory)
    for one in receipts:
        path = replica.receipt_path(one.number)
        os.replace(path, os.path.join(replica.let_go_directory, os.path.basename(path)))
    sync_directory(replica.let_go_directory)
    sync_directory(os.path.dirname(replica.receipt_path(0)))


def _waiting(replica: Replica, wait_s: float) -> set[str]:
    """Lists of packs that readers may be at still: of the receipts that went a short while ago."""
    since, found = time.time() - wait_s, set[str]()
    with suppress(FileNotFoundError), os.scandir(replica.let_go_directory) as entries:
        for one in entries:
            if one.stat(follow_symlinks=False).st_ctime > since:
                with suppress(DamagedError, ValueError):
                    found.add(read_receipt(int(one.name), one.path).needs)
    return found


def _forget(replica: Replica, wait_s: float) -> None:
    """Removes receipts that went long enough ago."""
    since = time.time() - wait_s
    with suppress(FileNotFoundError), os.scandir(replica.let_go_directory) as entries:
        _remove([one.path for one in entries if one.stat(follow_symlinks=False).st_ctime <= since])


def _packs_of(replica: Replica, lists: Iterable[str]) -> set[str]:
    """What lists name, as far as they can be read."""
    found: set[str] = set()
    for needs in lists:
        with suppress(DamagedError, ValueError):
            found.update(name.hex() for name, _ in replica.needs(needs) or [])
    return found


def _is_older(path: str, before: float) -> bool:
    return os.stat(path).st_mtime <= before


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
    """Durably."""
    directories = set()
    for path in paths:
        with suppress(FileNotFoundError):  # a part that a sender went on with meanwhile
            os.unlink(path)
        directories.add(os.path.dirname(path))
    for directory in directories:
        sync_directory(directory)
