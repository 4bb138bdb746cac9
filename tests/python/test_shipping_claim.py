"""A claim on one graph's way to one target: whoever ends, however it ends, claims nothing any more."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from lightrag_bkp.shipping.claim import claimed
from lightrag_bkp.threads import MOST, held

HOLD = """
import os, sys
from lightrag_bkp.shipping.claim import claimed
with claimed(sys.argv[1], "g", "t") as other:
    print(other, flush=True)
    if sys.argv[2:] and os.fork():
        os._exit(0)  # its child has the descriptor still
    sys.stdin.read()
"""


def holding(storage: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, storage, *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "None\n"
    return process


def test_a_claim_names_its_process_and_ends_with_it(tmp_path: Path) -> None:
    with holding(tmp_path) as process:
        with claimed(str(tmp_path), "g", "t") as other:
            assert other == f"process {process.pid} of {os.uname().nodename}"
        with claimed(str(tmp_path), "g", "u") as other, claimed(str(tmp_path), "h", "t") as another:
            assert other is another is None
        process.kill()
        process.wait()
        with claimed(str(tmp_path), "g", "t") as ours, claimed(str(tmp_path), "g", "t") as second:
            assert ours is None and second == f"process {os.getpid()} of {os.uname().nodename}"
        with claimed(str(tmp_path), "g", "t") as other:
            assert other is None


def test_a_child_that_was_forked_meanwhile_claims_nothing(tmp_path: Path) -> None:
    with holding(tmp_path, "fork") as process:
        process.wait()
        with claimed(str(tmp_path), "g", "t") as other:
            assert other is None


async def test_of_more_that_claim_than_there_are_threads_one_has_it_at_a_time(tmp_path: Path) -> None:
    having, had, refused = 0, 0, 0

    async def claim() -> None:
        nonlocal having, had, refused
        async with held(claimed(str(tmp_path), "g", "t")) as other:
            if other is not None:
                refused += 1
                return
            having, had = having + 1, had + 1
            assert having == 1
            await asyncio.sleep(0.01)
            having -= 1

    async with asyncio.timeout(30):
        await asyncio.gather(*(claim() for _ in range(4 * MOST)))
    assert had >= 1 and had + refused == 4 * MOST


def test_where_nothing_can_be_written_nobody_is_kept_from_sending(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no directory")
    with claimed(str(tmp_path), "g", "t") as other:
        assert other is None
