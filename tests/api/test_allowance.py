"""How often somebody may: by a clock of the test's own."""

import pytest

from lightrag_bkp.api import allowance
from lightrag_bkp.api.allowance import Allowance


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(allowance, "time", clock)
    return clock


def often(some: Allowance, name: str, most: int = 100) -> int:
    """How often this name may now."""
    for count in range(most):
        if some.wait_s(name):
            return count
        some.spend(name)
    return most


def test_so_many_at_once_and_then_one_more_each_time(clock: Clock) -> None:
    some = Allowance(3, 5)
    assert often(some, "a") == 3 and some.wait_s("a") == 5
    clock.now += 4
    assert some.wait_s("a") == 1 and often(some, "a") == 0
    clock.now += 1
    assert often(some, "a") == 1
    clock.now += 1000
    assert often(some, "a") == 3


def test_names_do_not_count_for_each_other(clock: Clock) -> None:
    some = Allowance(1, 60)
    assert [often(some, name) for name in "abca"] == [1, 1, 1, 0]


def test_any_number_of_names_costs_little_and_the_busiest_are_remembered(clock: Clock) -> None:
    some = Allowance(1, 60, most_names=10)
    for number in range(1000):
        some.spend(str(number))
        some.spend("busy")
    assert len(some._paid_until) == 10 and some.wait_s("busy") > 0 and some.wait_s("0") == 0
