"""Values: times, laziness, and which exceptions are what."""

import copy
import dataclasses
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lightrag_bkp import errors
from lightrag_bkp.errors import DamagedError
from lightrag_bkp.models import BackupSnapshot, BackupStatus, Listing, RetentionPolicy, SnapshotBody, moment
from lightrag_bkp.nesting import METADATA_MAX_DEPTH

ERR_DEF = Path(__file__).parents[2] / "csrc" / "base" / "err.def"


def snapshot(**changes: object) -> BackupSnapshot:
    plain = BackupSnapshot(
        backup_id="20261123T130112Z-1f3c9a2e",
        graph_id="g",
        status=BackupStatus.COMPLETED,
        created_at=datetime(2026, 11, 23, 13, 1, 12, tzinfo=UTC),
        checkpoint_path="/s/graphs/g/log/00000000000000000001",
        data_hash="00" * 32,
        size_bytes=10,
        stored_bytes=5,
        item_count=1,
        retention_days=30,
        consistency="plain",
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def test_retention_until_counts_days_from_creation() -> None:
    assert snapshot().retention_until == datetime(2026, 12, 23, 13, 1, 12, tzinfo=UTC)


def test_no_retention_days_means_for_ever() -> None:
    assert snapshot(retention_days=0).retention_until is None


def test_retention_until_beyond_the_calendar_is_its_end() -> None:
    until = snapshot(retention_days=2**32 - 1).retention_until
    assert until is not None and until.year == 9999 and until.tzinfo is UTC


def test_body_is_read_once_and_only_when_asked_for() -> None:
    reads: list[None] = []

    def load() -> SnapshotBody:
        reads.append(None)
        return SnapshotBody(facts={"layout": "plain"})

    one = snapshot(load_body=load)
    assert not reads
    assert (one.items, one.skipped, one.facts) == ((), (), {"layout": "plain"})
    assert len(reads) == 1


def test_a_listing_makes_its_values_when_asked_for() -> None:
    made: list[int] = []

    def make(row: int) -> str:
        made.append(row)
        return str(row)

    listing = Listing(range(1000), make)
    assert (len(listing), listing[3], listing[-1], listing[998:]) == (1000, "3", "999", ("998", "999"))
    assert made == [3, 999, 998, 999]
    with pytest.raises(IndexError):
        listing[1000]
    assert "7" in listing and listing.index("7") == 7
    assert repr(listing) == "<1000 of '0', '1', ...>"


def test_a_listing_equals_a_sequence_of_its_values() -> None:
    listing = Listing(range(3), str)
    assert listing == ("0", "1", "2") == listing
    assert listing == ["0", "1", "2"] and listing == Listing("012", str)
    assert listing != ("0", "1") and listing != ("0", "1", "3") and listing != "012"
    assert pickle.loads(pickle.dumps(listing)) == copy.deepcopy(listing) == ("0", "1", "2")
    with pytest.raises(TypeError):
        hash(listing)


def test_metadata_is_parsed_from_its_text() -> None:
    assert snapshot(metadata_json='{"tag": "nightly"}').metadata == {"tag": "nightly"}


@pytest.mark.parametrize("inner", ["[]", "{}"])
def test_metadata_stored_deeper_than_a_listing_can_be_written_are_damaged(inner: str) -> None:
    opened, closed = ("[", "]") if inner == "[]" else ('{"a":', "}")

    def stored(levels: int) -> BackupSnapshot:
        return snapshot(metadata_json='{"a":' + opened * (levels - 2) + inner + closed * (levels - 2) + "}")

    assert "a" in stored(METADATA_MAX_DEPTH).metadata
    for levels in (METADATA_MAX_DEPTH + 1, 900, 2500, 100_000):
        with pytest.raises(DamagedError, match="of at most 32 levels"):
            _ = stored(levels).metadata


def test_held_follows_holders() -> None:
    assert not snapshot().held
    assert snapshot(holders=("user",)).held


def test_snapshots_of_equal_content_are_equal_and_hashable() -> None:
    assert len({snapshot(), snapshot(load_body=lambda: SnapshotBody())}) == 1


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1_700_000_000_123_456_789, datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)),
        (-1_000_000_000, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_moment_keeps_microseconds(ns: int, expected: datetime) -> None:
    assert moment(ns) == expected
    assert moment(ns).utcoffset() == timedelta(0)


def test_moment_covers_every_64_bit_time() -> None:
    assert moment(2**63 - 1).year == 2262
    assert moment(-(2**63)).year == 1677


@pytest.mark.parametrize(
    "members",
    [
        {"keep_last": -1},
        {"keep_daily": 1.5},
        {"minimum": 1 << 32},
        {"days": 1},
        {"keep_within_s": -1},
        {"keep_within_s": float("nan")},
        {"keep_within_s": float("inf")},
        {"keep_within_s": "1d"},
    ],
)
def test_policy_refuses_what_it_cannot_mean(members: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidInputError, match=next(iter(members))):
        RetentionPolicy(**members)  # type: ignore[arg-type]


def test_error_classes_are_the_rows_of_the_table() -> None:
    rows = [line for line in ERR_DEF.read_text().splitlines() if line.startswith("LRB_ERROR(")]
    table = [[cell.strip() for cell in row.removeprefix("LRB_ERROR(").split(",")[:2]] for row in rows]
    assert [(cls.code, name) for name, cls in errors.CORE_ERRORS.items()] == [tuple(row) for row in table]


@pytest.mark.parametrize(
    ("cls", "natural"),
    [
        (errors.OutOfMemoryError, MemoryError),
        (errors.InvalidInputError, ValueError),
        (errors.NotFoundError, LookupError),
        (errors.NoSpaceError, OSError),
    ],
)
def test_errors_are_what_python_calls_them(cls: type[errors.LightragBkpError], natural: type[Exception]) -> None:
    assert issubclass(cls, natural)


def test_errors_keep_their_attributes_across_processes() -> None:
    error = errors.NoSpaceError("no room left", errno=28, op="write", target="packs/ab")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.code, copy.errno, copy.op, copy.target) == (
        "packs/ab: no room left",
        "NO_SPACE",
        28,
        "write",
        "packs/ab",
    )
