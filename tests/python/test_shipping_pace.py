"""How fast bytes go out and when something is tried again: arithmetic, with clock and chance given."""

import random
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrag_bkp import _bridge
from lightrag_bkp.errors import InvalidInputError
from lightrag_bkp.shipping import retrying
from lightrag_bkp.shipping.retrying import Backoff, retry_after

BURST_S = 1.0


@given(
    rate=st.floats(1, 1e9),
    takes=st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 10)), min_size=1, max_size=50),
)
def test_no_stretch_of_time_sees_more_than_the_rate_and_one_burst(rate: float, takes: list[tuple[int, float]]) -> None:
    pace, now_ns = _bridge.pace(rate), time.monotonic_ns()
    sent: list[tuple[int, int]] = []
    for wanted, pause in takes:
        count = pace.piece(wanted)
        sent.append((now_ns + pace.take(count, now_ns), count))
        now_ns += int(pause * 1e9)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            stretch_s = (sent[last][0] - sent[first][0]) / 1e9
            assert sum(count for _, count in sent[first:last]) <= rate * (stretch_s + BURST_S) * (1 + 1e-6) + 1


def test_an_idle_link_saves_up_no_more_than_a_burst() -> None:
    pace, later_ns = _bridge.pace(1000), time.monotonic_ns() + 3600 * 10**9
    assert pace.take(1000, later_ns) == 0 and pace.take(500, later_ns) == 500_000_000


def test_of_a_slow_link_little_is_taken_at_once() -> None:
    assert [_bridge.pace(rate).piece(65536) for rate in (1e9, 4000, 1)] == [65536, 1000, 1]


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_pace_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(InvalidInputError, match="positive number of bytes per second"):
        _bridge.pace(rate)


def test_waits_double_with_full_jitter_up_to_five_minutes() -> None:
    highest, lowest = Backoff(lambda: 1.0), Backoff(lambda: 0.0)
    assert [highest.failed() for _ in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert [lowest.failed() for _ in range(5)] == [0] * 5
    highest.succeeded()
    assert highest.failed() == 1
    chance = random.Random(1)
    many = [Backoff(chance.random) for _ in range(1000)]
    for _ in range(6):
        waits = [one.failed() for one in many]
    assert sum(w < 16 for w in waits) == pytest.approx(500, abs=60), "spread evenly from nothing to 32 s"
    for _ in range(100):
        assert 0 <= many[0].failed() <= retrying.MOST_S


@pytest.mark.parametrize(("asked", "least"), [(0.0, 0), (7.0, 7), (900.0, 900), (1e9, retrying.MOST_ASKED_S)])
def test_nobody_comes_before_the_receiver_said(asked: float, least: float) -> None:
    for draw in (0.0, 0.5, 1.0):
        assert least <= Backoff(lambda draw=draw: draw).failed(asked) <= least + retrying.FIRST_S  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0),
        (None, None),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("9" * 400, 999999999),
        ("\u0663", None),
    ],
)
def test_retry_after_is_read_as_the_standard_has_it(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, datetime(2026, 10, 21, 7, 28, tzinfo=UTC)) == seconds
