"""Which snapshots stay, and what became of those that do not."""

from dataclasses import dataclass

from ..errors import InvalidInputError

_COUNTS = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "minimum")
_MAX_WITHIN_S = 200 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Which snapshots stay. Rules add up: a snapshot is kept when any rule keeps it; a held one always.

    Attributes:
        days: honour each snapshot's own `retention_days`.
        keep_last: the newest n. keep_hourly ... keep_yearly: the last one of each of the newest n UTC hours ... years
            that have one.
        keep_within_s: everything younger than so many seconds.
        minimum: so many of the newest always stay, so that backups that stopped unnoticed are not deleted one by one.
    """

    days: bool = True
    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    keep_within_s: float = 0
    minimum: int = 1

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 32:
                raise InvalidInputError(f"{name} {value!r} must be a whole number from 0 to {(1 << 32) - 1}")
        if not isinstance(self.days, bool):
            raise InvalidInputError(f"days {self.days!r} must be true or false")
        if isinstance(self.keep_within_s, bool) or not isinstance(self.keep_within_s, int | float):
            raise InvalidInputError(f"keep_within_s {self.keep_within_s!r} must be a number of seconds")
        if not 0 <= self.keep_within_s <= _MAX_WITHIN_S:
            raise InvalidInputError(f"keep_within_s {self.keep_within_s!r} must be from 0 to {_MAX_WITHIN_S}")

    @property
    def keep_within_ns(self) -> int:
        """`keep_within_s` in nanoseconds."""
        return int(self.keep_within_s * 1_000_000_000)


@dataclass(frozen=True, slots=True)
class PruneOutcome:
    """What a clean-up did, or with `dry_run` would do.

    Attributes:
        dropped: ids of the snapshots that went.
        kept: number of snapshots that stay.
        packs_retired, packs_swept, packs_repacked: packs taken out of use (space returns after the readers' waiting
            time), deleted, rewritten.
        bytes_retired, bytes_freed, bytes_rewritten: their bytes. bytes_live, bytes_total: of all packs, before.
        litter_removed: files that killed runs left half-written.
    """

    dropped: tuple[str, ...]
    kept: int
    packs_retired: int
    packs_swept: int
    packs_repacked: int
    bytes_retired: int
    bytes_freed: int
    bytes_rewritten: int
    litter_removed: int
    bytes_live: int
    bytes_total: int
    dry_run: bool
    seconds: float
