"""The command: rounds of processes, and between them a look at everything."""

import argparse
import os
import random
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from support.trouble import compile_seam

import lightrag_bkp

from . import oracle, report, trail
from .field import STORAGES, Field
from .plan import Stint, chance, stint

TESTS = Path(__file__).parents[1]
ROUND_S = 20.0
_HUNG_S = 180.0
_TAIL = 4000
_POLL_S = 0.02


@dataclass
class Running:
    """A process under way."""

    plan: Stint
    process: "subprocess.Popen[bytes]"
    operation: str
    begun: float
    done_to_it: list[str] = field(default_factory=list)
    resume_at: float | None = None
    stops: list[tuple[float, float]] = field(default_factory=list)


class Conductor:
    """Starts processes, stops, continues and kills them, and asks the oracle."""

    def __init__(self, place: Field, seed: str, slots: int) -> None:
        self.field = place
        self.seed = seed
        self.slots = slots
        self.trail = trail.Trail(place.trail, "conductor")
        self.dice = chance(seed, "conductor")
        self.seam = place.directory / "seam.so"
        self.started = 0
        self.looks = 0
        self.made = 0
        self.settled: dict[str, oracle.Settled] = {}
        self.judged_until = 0.0

    def run(self, minutes: float) -> list[str]:
        """Everything; returns what is wrong."""
        end = time.monotonic() + minutes * 60
        compile_seam(self.seam)
        self._grow(3)
        self._finish(self._start(stint(self.seed, 0, 0)))
        while True:
            left = end - time.monotonic()
            lightrag = self._begin_growing()
            self._round(min(ROUND_S, left))
            if lightrag.wait() != 0:
                return ["LightRAG itself failed"]
            last = time.monotonic() >= end
            self._look(every=last)
            wrong = self._judge()
            if wrong or last:
                return wrong

    def _judge(self) -> list[str]:
        """What is wrong of what was done since it was asked last."""
        news = [one for one in trail.read(self.field.trail) if one.begun > self.judged_until]
        self.judged_until = news[-1].begun
        return oracle.judge(news, self.settled)

    # ---- LightRAG ----

    def _grow(self, count: int) -> None:
        for storage in STORAGES:
            subprocess.run(self._states(storage, self.made, count), env=self._environment(), check=True)
        self.made += count

    def _begin_growing(self) -> "subprocess.Popen[bytes]":
        self.made += 1
        return subprocess.Popen(self._states(self.dice.choice(STORAGES), self.made, 1), env=self._environment())

    def _states(self, storage: str, first: int, count: int) -> list[str]:
        words = [str(self.field.states / storage), f"--seed={self.seed}", f"--first={first}", f"--count={count}"]
        return [sys.executable, "-m", "torture.states", *words]

    # ---- a round ----

    def _round(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        slots: list[Running | None] = [None] * self.slots
        while time.monotonic() < end or any(slots):
            for slot, running in enumerate(slots):
                if running is None and time.monotonic() < end:
                    self.started += 1
                    slots[slot] = self._start(stint(self.seed, self.started, slot))
                elif running and self._has_ended(running):
                    slots[slot] = None
            time.sleep(_POLL_S)

    def _start(self, plan: Stint) -> Running:
        settings = {f"LRB_SEAM_{name}": value for name, value in plan.seam.items()}
        if settings:
            settings |= {"LRB_SEAM_ROOT": str(self.field.ground), "LD_PRELOAD": str(self.seam)}
            settings |= {"LRB_SEAM_TALLY": str(self.field.tally / plan.name)}
        words = ["torture.worker", str(self.field.directory), self.seed, str(plan.number), str(plan.slot)]
        begun, ends = time.monotonic(), [0, -9] if plan.kill_after_s is not None or settings else [0]
        operation = self.trail.begin("process", process=plan.name, ends=ends, plan=str(plan))
        return Running(plan, self._run(plan.name, words, settings), operation, begun, stops=list(plan.stops))

    def _run(self, name: str, words: list[str], settings: dict[str, str]) -> "subprocess.Popen[bytes]":
        with (self.field.said / name).open("wb") as said:
            program = [sys.executable, "-m", *words]
            return subprocess.Popen(program, env=self._environment() | settings, stdout=said, stderr=said)

    def _environment(self) -> dict[str, str]:
        root = Path(lightrag_bkp.__file__).parents[1]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTRAG_")}
        return kept | {"PYTHONPATH": os.pathsep.join(map(str, (root, TESTS, TESTS / "compat")))}

    def _has_ended(self, running: Running) -> bool:
        """Does to it what is planned; whether it is over."""
        if running.process.poll() is not None:
            self._note_end(running)
            return True
        age, pid = time.monotonic() - running.begun, running.process.pid
        if running.plan.kill_after_s is not None and age > running.plan.kill_after_s:
            running.process.kill()
        elif age > _HUNG_S:
            os.kill(pid, 6)
        elif running.resume_at is not None:
            if age > running.resume_at:
                os.kill(pid, 18)
                running.resume_at = None
        elif running.stops and age > running.stops[0][0]:
            running.resume_at = age + running.stops.pop(0)[1]
            running.done_to_it.append("stop")
            os.kill(pid, 19)
        elif os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG):
            running.resume_at = age + self.dice.uniform(0.05, 2)
        return False

    def _finish(self, running: Running) -> None:
        running.process.wait()
        self._note_end(running)

    def _note_end(self, running: Running) -> None:
        code = running.process.returncode
        said = (self.field.said / running.plan.name).read_text(errors="replace")[-_TAIL:] if code not in (0, -9) else ""
        self.trail.end(running.operation, code=code, said=said, done_to_it=running.done_to_it)

    # ---- between rounds ----

    def _look(self, *, every: bool) -> None:
        self.looks += 1
        for left in self.field.ground.glob("slot*/*/*/*-*"):  # unpacked, or on its way out, when its process was killed
            shutil.rmtree(left)
        for left in self.field.copies.iterdir():
            shutil.rmtree(left)
        words = ["torture.inspector", str(self.field.directory), self.seed, str(self.looks), *["--all"] * every]
        name = f"i{self.looks}"
        operation = self.trail.begin("process", process=name, ends=[0], plan="a look at everything")
        code = self._run(name, words, {}).wait()
        said = (self.field.said / name).read_text(errors="replace")[-_TAIL:]
        self.trail.end(operation, code=code, said=said if code else "", done_to_it=[])


def main() -> int:
    given = _arguments()
    seed = given.seed or secrets.token_hex(4)
    directory: Path = given.work.resolve() / f"torture-{seed}-{random.SystemRandom().randrange(10**6):06}"
    print(f"torture: seed {seed}, {given.minutes:g} minutes, {given.processes} processes at a time", flush=True)
    place = Field(directory)
    place.make()
    wrong = Conductor(place, seed, given.processes).run(given.minutes)
    print(report.table(trail.read(place.trail), place.tally, len(wrong)))
    if not wrong:
        shutil.rmtree(directory)
        return 0
    for said in wrong[:20]:
        print(f"VIOLATION {said}")
    print(f"seed {seed}; everything is kept in {directory}, what was done in {place.trail}")
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m torture", description="Tortures the program and watches it.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", default="", help="of the plan; a random one unless given")
    parser.add_argument("--work", type=Path, default=Path("build/torture"), help="where to work; some 500 MB of room")
    parser.add_argument("--processes", type=int, default=2, help="so many at a time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
