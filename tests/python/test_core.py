"""The objects of the core as Python sees them: who owns what, what goes in and out, and errors as classes."""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.jobs import backup, descriptors, make_source

from lightrag_bkp import _bridge, _core, errors
from lightrag_bkp.sources import trees


def test_the_stub_says_what_the_module_has() -> None:
    check = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "lightrag_bkp._core"],
        cwd=Path(_bridge.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert check.returncode == 0, check.stdout + check.stderr


# ---- errors ----


def test_every_core_error_has_its_class() -> None:
    assert {name for _, name, _ in _bridge.ERROR_TABLE} == set(errors.CORE_ERRORS)
    for symbol, name, meaning in _bridge.ERROR_TABLE:
        assert errors.CORE_ERRORS[name].code == symbol
        assert meaning


async def test_an_error_tells_code_operation_and_target(repo: _bridge.Repository) -> None:
    with pytest.raises(errors.NotFoundError, match="no such snapshot") as caught:
        await _bridge.run(_bridge.hold_job(repo, "no-such-one", "user"))
    assert (caught.value.code, caught.value.errno, caught.value.op) == ("NOT_FOUND", 0, "hold")
    assert caught.value.target == "no-such-one"
    assert "no-such-one" in str(caught.value)


def test_incomplete_error_classes_are_refused() -> None:
    with pytest.raises(TypeError, match="OutOfMemoryError"):
        _core.set_error_classes({})
    with pytest.raises(errors.InvalidInputError):  # those set before are still in use
        _core.Pool(0, 0)


# ---- objects ----


def test_a_job_runs_once_and_has_its_result_once(repo: _bridge.Repository) -> None:
    job = _bridge.refresh_job(repo)
    with pytest.raises(errors.InvalidInputError):
        job.result()
    assert _bridge.run_blocking(job) is None
    assert job.progress() == (0,) * 7
    with pytest.raises(errors.InvalidInputError):
        job.result()
    with pytest.raises(errors.InvalidInputError):
        _bridge.run_blocking(job)


def test_a_mailbox_is_not_closed_before_its_jobs_came(repo: _bridge.Repository, endless_file: Path) -> None:
    pool, mailbox, job = _core.Pool(1, 1), _core.Mailbox(), backup(repo, endless_file)
    job.submit(pool, mailbox)
    assert mailbox.wait(10) is None
    with pytest.raises(errors.InvalidInputError):
        mailbox.close()
    pool.stop()
    assert mailbox.wait(-1) is job
    assert mailbox.wait(-1) is None  # none is on its way: no wait
    mailbox.close()
    mailbox.close()
    with pytest.raises(errors.InvalidInputError):
        mailbox.take()
    with pytest.raises(errors.InvalidInputError):
        _bridge.refresh_job(repo).submit(pool, _core.Mailbox())


async def test_work_goes_on_after_its_repository_was_closed(
    repo: _bridge.Repository, small_file: Path, tmp_path: Path
) -> None:
    job = backup(repo, small_file)
    repo.close()
    with pytest.raises(errors.InvalidInputError, match="closed"):
        repo.snapshots()
    await _bridge.run(job)
    again = await _bridge.run(_bridge.open_job(str(tmp_path), "graph", False))
    assert len(again.snapshots()) == 1


def test_a_source_belongs_to_its_backup(repo: _bridge.Repository, small_file: Path) -> None:
    source = make_source(small_file)
    assert (len(source), source.totals()) == (1, (1, 100_000))
    _bridge.backup_job(repo, source, consistency="plain", metadata="{}", facts="{}", retention_days=0)
    before = descriptors()
    with pytest.raises(errors.InvalidInputError, match="given to a backup"):
        source.pin("more", os.open(small_file, os.O_RDONLY))
    assert descriptors() == before


async def test_names_and_texts_come_back_as_they_went_in(repo: _bridge.Repository, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    name = os.fsdecode(b"odd\xff\nname")
    (tree / name).write_bytes(b"content")
    (tree / "link").symlink_to(name)
    source = _bridge.Source()
    fd = os.open(tree, os.O_RDONLY)
    source.add_tree(fd, "below")
    os.close(fd)
    source.skip("left\nout", "a reason, and why: ä")
    source.seal()
    snapshot_id, *_ = await _bridge.run(
        _bridge.backup_job(
            repo, source, consistency="plain", metadata='{"k":"ä"}', facts='{"f":"ö"}', retention_days=7, safety=True,
            verdict="usable", source_label=name,
        )
    )  # fmt: skip
    row = repo.snapshot(snapshot_id)
    assert row is not None
    assert row[7:12] == ("plain", "usable", 7, True, '{"k":"ä"}')
    facts, items, skipped = repo.body(snapshot_id)
    assert facts == '{"f":"ö"}'
    assert [(item[0], item[1], item[6]) for item in items if item[1] != 2] == [
        ("below/link", 3, name), (f"below/{name}", 1, "")
    ]  # fmt: skip
    assert skipped == [("left\nout", "a reason, and why: ä")]
    assert repo.snapshot("unknown") is None
    with pytest.raises(errors.NotFoundError):
        repo.body("unknown")


async def test_a_body_of_many_items_is_read_whole(repo: _bridge.Repository, tmp_path: Path) -> None:
    tree = tmp_path / "many"
    tree.mkdir()
    for i in range(3000):
        (tree / f"{i:05}").touch()
    source = _bridge.Source()
    fd = os.open(tree, os.O_RDONLY)
    source.add_tree(fd, "")
    os.close(fd)
    source.seal()
    snapshot_id, *_ = await _bridge.run(
        _bridge.backup_job(repo, source, consistency="plain", metadata="{}", facts="{}", retention_days=7)
    )
    items = repo.body(snapshot_id)[1]
    assert [item[0] for item in items] == [f"{i:05}" for i in range(3000)]
    assert (len(items), items[2999][0], items[-1][0]) == (3000, "02999", "02999")
    for outside in (3000, -3001):
        with pytest.raises(IndexError):
            items[outside]


async def test_a_plan_is_staged_once_and_published_by_its_names(repo: _bridge.Repository, tmp_path: Path) -> None:
    source_dir, target = tmp_path / "many", tmp_path / "target"
    (source_dir / "d").mkdir(parents=True)
    for name in ("b", "a", "d/c"):
        (source_dir / name).write_text(name)
    source = _bridge.Source()
    with trees.open_directory(str(source_dir)) as fd:
        source.add_tree(fd, "")
        source.seal()
    snapshot_id, *_ = await _bridge.run(
        _bridge.backup_job(repo, source, consistency="plain", metadata="{}", facts="{}", retention_days=7)
    )
    target.mkdir()
    for name in ("b", "more", "d"):
        (target / name).write_text("b")
    there = _bridge.Source()
    with trees.open_directory(str(target)) as fd:
        there.add_tree(fd, "")
        there.skip("left out", "why")
        there.skip(".lrb_restore/new", "a restore's own")
        plan = await _bridge.run(_bridge.plan_job(repo, snapshot_id, compare_dir=fd, only=None))
    assert list(plan) == [("a", 1, 1, 1), ("b", 1, 3, 1), ("d", 2, 2, 0), ("d/c", 1, 1, 3)]
    assert (len(plan), plan[-1], plan.totals()[:4]) == (4, ("d/c", 1, 1, 3), (2, 1, 1, 0))
    assert (plan.has("d/c"), plan.has("d/"), plan.has("more")) == (True, False, False)
    assert sorted(plan.surplus(there)) == ["left out", "more"]
    path, staging = _bridge.publish_stage(str(target), _bridge.PUBLISH_EXCHANGE)
    with pytest.raises(errors.InvalidInputError, match="nothing of this plan is staged"):
        _bridge.publish_commit_job(str(target), _bridge.PUBLISH_EXCHANGE, path, plan, [])
    staged = await _bridge.run(_bridge.stage_job(repo, plan, staging_dir=staging))
    assert staged.staged() == ["a", "b", "d", "d/c"]
    for call in (plan.totals, lambda: plan[0], lambda: _bridge.stage_job(repo, plan, staging_dir=staging)):
        with pytest.raises(errors.InvalidInputError, match="given to a job"):
            call()
    with pytest.raises(errors.InvalidInputError, match="staged already"):
        _bridge.stage_job(repo, staged, staging_dir=staging)
    await _bridge.run(_bridge.publish_commit_job(str(target), _bridge.PUBLISH_EXCHANGE, path, staged, ["more"]))
    os.close(staging)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == ["a", "b", "d", "d/c"]


async def test_hold_release_and_drop(repo: _bridge.Repository, small_file: Path) -> None:
    ids = [(await _bridge.run(backup(repo, small_file)))[0] for _ in range(3)]
    assert await _bridge.run(_bridge.hold_job(repo, ids[0], "user"))
    assert not await _bridge.run(_bridge.hold_job(repo, ids[0], "user"))
    assert [row[12] for row in repo.snapshots()] == [("user",), (), ()]
    assert await _bridge.run(_bridge.drop_job(repo, [*ids[:2], ids[1], "unknown"], "retention")) == [ids[1]]
    assert await _bridge.run(_bridge.release_job(repo, ids[0], "user"))
    assert not await _bridge.run(_bridge.release_job(repo, ids[0], "user"))
    assert await _bridge.run(_bridge.drop_job(repo, ids, "retention")) == [ids[0], ids[2]]
    assert repo.snapshots() == []


def test_arguments_that_cannot_be_used_are_refused(repo: _bridge.Repository, small_file: Path) -> None:
    with pytest.raises(TypeError, match="sequence"):
        _bridge.drop_job(repo, "one-id", "why")
    with pytest.raises(ValueError, match="null"):
        _bridge.drop_job(repo, ["a\0b"], "why")
    with pytest.raises(ValueError, match="retention_days"):
        _bridge.backup_job(
            repo, make_source(small_file), consistency="plain", metadata="{}", facts="{}", retention_days=-1
        )
    with pytest.raises(errors.InvalidInputError):
        _bridge.verify_job(repo, None, 3, False)
    with pytest.raises(errors.InvalidInputError):
        _bridge.prune_job(repo, wait_ns=-1)
    with pytest.raises(TypeError):
        _bridge.refresh_job(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _core.Job()


def test_every_allocation_failure_is_survived(tmp_path: Path, small_file: Path) -> None:
    def attempt() -> None:
        repo = _bridge.run_blocking(_bridge.open_job(str(tmp_path), "graph", True))
        _bridge.run_blocking(backup(repo, small_file))
        assert repo.body(repo.snapshots()[-1][0])[1]
        read_as_it_is(repo)

    survives_every_allocation_failure(attempt)


def test_every_allocation_failure_is_survived_when_sealed(tmp_path: Path, small_file: Path) -> None:
    def attempt() -> None:
        key = _bridge.run_blocking(_bridge.unlock_job(str(tmp_path), "graph", True, None, b"k" * 32))
        repo = _bridge.run_blocking(_bridge.open_job(str(tmp_path), "graph", True, key))
        _bridge.run_blocking(backup(repo, small_file))
        assert repo.body(repo.snapshots()[-1][0])[1]
        slots, sealed = _bridge.run_blocking(_bridge.key_slots_job(str(tmp_path), None))
        assert len(slots) == 1 and sealed
        read_as_it_is(repo)

    survives_every_allocation_failure(attempt)


def test_an_object_that_arrives_is_whole_or_nothing(tmp_path: Path) -> None:
    content, path = bytes(range(256)) * 9, tmp_path / "growing"
    name = hashlib.sha256(content).digest()

    def attempt() -> None:
        path.unlink(missing_ok=True)
        arrival = _bridge.Arrival()

        def bring(begin: int, end: int, changed: int = 0) -> tuple[str, int, int]:
            part = memoryview(content)[begin:end]
            said = (_bridge.adler32(part) + changed) % (1 << 32)
            return arrival.take(str(path), "", name, len(content), begin, part, said)

        assert bring(0, 1000) == ("more", 1000, -1)
        assert bring(1000, 2000, changed=1) == ("flipped", 0, -1)
        assert bring(2000, 2100) == ("gap", 1000, -1)
        part = memoryview(content)[1000:1500]
        job = arrival.follow_job(str(path), len(content), 1000, part, _bridge.adler32(part))
        assert _bridge.run_blocking(job) is True
        outcome, held, fd = bring(1500, len(content))
        assert (outcome, held, os.pread(fd, held, 0)) == ("whole", len(content), content)
        os.close(fd)

    survives_every_allocation_failure(attempt, more_than=0)


@pytest.mark.parametrize(
    ("name", "offset", "said"),
    [
        (b"short", 0, "a SHA-256 has 32 bytes"),
        (bytes(32), 97, "ended behind the object"),
        (bytes(32), -1, "ended behind"),
    ],
)
def test_a_part_that_cannot_be_one_is_refused(tmp_path: Path, name: bytes, offset: int, said: str) -> None:
    with pytest.raises(errors.InvalidInputError, match=said):
        _bridge.Arrival().take(str(tmp_path / "growing"), "", name, 100, offset, b"part", None)
    assert not list(tmp_path.iterdir())


def test_an_object_that_arrives_is_one_thread_s(tmp_path: Path) -> None:
    path, content = tmp_path / "growing", bytes(100)
    arrival, name = _bridge.Arrival(), hashlib.sha256(content).digest()
    with open(path, "wb") as file, ThreadPoolExecutor(1) as beside:
        fcntl.flock(file, fcntl.LOCK_EX)
        waiting = beside.submit(arrival.take, str(path), "", name, 100, 0, content[:50], None)
        while sum(one.resolve() == path for one in Path("/proc/self/fd").iterdir()) < 2:
            assert not waiting.done(), "it does not wait for the file"
        with pytest.raises(errors.InvalidInputError, match="another thread"):
            arrival.take(str(path), "", name, 100, 0, content[:50], None)
        with pytest.raises(errors.InvalidInputError, match="another thread"):
            arrival.follow_job(str(path), 100, 0, content[:50], 0)
        fcntl.flock(file, fcntl.LOCK_UN)
        assert waiting.result() == ("more", 50, -1)
    job = arrival.follow_job(str(path), 100, 50, content[:20], _bridge.adler32(content[:20]))
    with pytest.raises(errors.InvalidInputError, match="another thread"):
        arrival.take(str(path), "", name, 100, 50, content[:20], None)
    assert _bridge.run_blocking(job) is True
    assert arrival.take(str(path), "", name, 100, 70, content[:20], None) == ("more", 90, -1)


def read_as_it_is(repo: _bridge.Repository) -> None:
    """The end of the log, entries and packs: what lies in the files, sealed or not, and nothing else."""
    repository_id, last, digest, epoch = repo.head()
    stored, found, time_ns = repo.entry(last)
    assert stored == Path(repo.log_path(last)).read_bytes() and repository_id == stored[16:32]
    assert digest == found == hashlib.sha256(stored).digest() and (epoch, time_ns > 0) == (0, True)
    packs = repo.known_packs(0)
    assert packs[-1:] == repo.known_packs(last) or repo.known_packs(last) == []
    assert repo.known_packs(last + 1) == []
    row = repo.snapshots()[-1]
    number, needed = _bridge.run_blocking(_bridge.needs_job(repo, row[0]))
    assert number == row[1] and needed and set(needed) <= set(packs)
    for pack_id, size in packs:
        fd = repo.open_pack(pack_id)
        with open(fd, "rb") as file:
            content = file.read()
        assert len(content) == size and hashlib.sha256(content).digest() == pack_id
    with pytest.raises(errors.NotFoundError):
        repo.open_pack(bytes(32))
    with pytest.raises(errors.NotFoundError):
        repo.entry(last + 1)
    with pytest.raises(errors.InvalidInputError):
        repo.open_pack(b"short")


def survives_every_allocation_failure(attempt: Callable[[], None], more_than: int = 20) -> None:
    attempt()
    failures = 0
    for countdown in range(5000):
        _bridge.mem_fail_after(countdown, False)
        try:
            attempt()
        except MemoryError:
            failures += 1
        finally:
            count = _bridge.mem_count()
            _bridge.mem_fail_after(-1, False)
        if count <= countdown:
            break
    assert failures > more_than
    attempt()
