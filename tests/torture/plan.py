"""What one process goes through, drawn from the seed of the run and the number of the process.

How far the processes get meanwhile, and so what they find, depends on the machine: a seed repeats the plan, not the
course of it.
"""

import random
from dataclasses import dataclass

OPERATIONS = {
    "create": 30,
    "restore": 18,
    "unpack": 8,
    "list": 6,
    "verify": 7,
    "delete": 9,
    "hold": 6,
    "release": 6,
    "prune": 9,
    "forget": 3,
}
"""How often each is done, of all."""

_ERRNOS = (5, 28, 122)
"""EIO, ENOSPC, EDQUOT."""
_MOMENTS = ("link:log/", "sync:", "sync-all:", "rename:", "link:", "write:", "exchange:", "unlink:", "create:")


@dataclass(frozen=True)
class Stint:
    """A process.

    Attributes:
        number: of the process. slot: whose sources and targets it uses.
        operations: how many things it does.
        seam: settings of tests/faults/seam_preload.c, without LRB_SEAM_; empty: nothing happens to its calls.
        kill_after_s: when it is killed, if it still runs. stops: (after so many s, for so many s).
    """

    number: int
    slot: int
    operations: int
    seam: dict[str, str]
    kill_after_s: float | None
    stops: tuple[tuple[float, float], ...]

    @property
    def name(self) -> str:
        return f"w{self.number}"

    @property
    def trouble(self) -> str:
        """Which errors are to be expected, as in `Operation`."""
        if "RANDOM" in self.seam:
            return "disk"
        return "calls" if self.seam.get("DO", "").startswith(("refuse", "lose")) else ""


def chance(seed: str, *names: object) -> random.Random:
    """The dice of one part of the run."""
    return random.Random(f"{seed} {names}")


def stint(seed: str, number: int, slot: int) -> Stint:
    """What process `number` goes through; nothing happens to number 0, which only begins."""
    if number == 0:
        return Stint(0, slot, 0, {}, None, ())
    dice = chance(seed, "stint", number)
    kind = dice.choices(("quiet", "random", "moment", "change"), (30, 35, 20, 15))[0]
    seam = {"quiet": dict, "random": _random, "moment": _moment, "change": _change}[kind]
    settings = seam(dice) if kind != "quiet" else {}
    kill = dice.expovariate(1 / 3) if dice.random() < 0.4 else None
    stops = tuple((dice.uniform(0, 6), dice.uniform(0.05, 2)) for _ in range(dice.choice((0, 0, 1, 3))))
    return Stint(number, slot, dice.randint(3, 25), settings, kill, tuple(sorted(stops)))


def _random(dice: random.Random) -> dict[str, str]:
    """Any call may fail, its answer be lost, fall short, be interrupted; the process may stop there, or die."""
    rate = dice.choice((5, 30, 150, 600))
    odds = (rate, dice.choice((0, rate // 4)), rate * 5, rate * 5, rate // 10, rate // 20)
    return {"RANDOM": ":".join(map(str, (dice.getrandbits(48) | 1, *odds)))}


def _moment(dice: random.Random) -> dict[str, str]:
    """One call of a kind, or all from one on."""
    deeds = ["kill", "stop", "short"] + [f"{deed}={number}" for deed in ("refuse", "lose") for number in _ERRNOS]
    settings = {"AT": f"{dice.choice(_MOMENTS)}:{int(dice.expovariate(1 / 20))}", "DO": dice.choice(deeds)}
    if settings["DO"].startswith("refuse") and dice.random() < 0.3:
        settings["ALWAYS"] = "1"
    return settings


def _change(dice: random.Random) -> dict[str, str]:
    """The process dies, or stops, before a change of the file system."""
    return {"AT": f"change::{int(dice.expovariate(1 / 250))}", "DO": dice.choice(("kill", "kill", "stop"))}
