"""What a target answers is believed where it is signed, looked at before it is used, and concerns no other target."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.meddling import Said, meddling
from support.program import Program
from support.receiving import new_key, receiving
from support.shipping import complete, new_graph, sent_to, try_once

from lightrag_bkp import BackupManager
from lightrag_bkp.receiving.protocol import _mac
from lightrag_bkp.redaction import without_key
from lightrag_bkp.replication import ReplicationLog, ReplicationManager, ReplicationStatus, ReplicationTarget
from lightrag_bkp.shipping import peer, shipment

Meddle = Callable[[Said], None]


@dataclass
class There:
    """A receiver without TLS, so that somebody can stand in between."""

    program: Program
    port: int
    key: str

    def target(self, name: str, port: int | None = None) -> ReplicationTarget:
        return ReplicationTarget(name, f"http://127.0.0.1:{port or self.port}", self.key)

    @property
    def replica(self) -> Path:
        return self.program.storage / "replicas" / "tokyo" / "graphs" / "alpha"

    def has_packs_of(self, source: Path) -> bool:
        packs = {one.name for one in (source / "graphs" / "alpha" / "packs").iterdir()}
        return packs <= {one.name for one in (self.replica / "packs").iterdir()}


def new_there(stack: ExitStack, directory: Path) -> There:
    directory.mkdir()
    program = Program(directory)
    return There(program, stack.enter_context(receiving(program, tls=False)).port, new_key(program))


@pytest.fixture
def there(stack: ExitStack, tmp_path: Path) -> There:
    return new_there(stack, tmp_path / "there")


# ---- what is not signed ----


async def test_a_receipt_that_only_the_state_names_is_not_believed(
    there: There, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    """The packs are sent all the same, in the same try, and then it is complete."""
    graph = await new_graph(backups, tmp_path / "source")
    await complete(sent_to(replication, "alpha", there.target("straight")))
    (tmp_path / "source" / "big").write_bytes(b"other content" * 1000)
    await graph.create_snapshot()

    def forge(said: Said) -> None:
        if said.question == "state":
            said.document["receipts"] = [{"number": n, "needs": "0" * 64, "received_us": 1} for n in range(20)]

    async with meddling(there.port, forge) as port:
        forged = there.target("forged", port)
        (log,) = await sent_to(replication, "alpha", forged).replicate(target_id=forged.target_id, patience_s=0)
    assert log.status is ReplicationStatus.COMPLETED, log
    assert there.has_packs_of(tmp_path / "here")


async def test_a_pack_that_a_replica_lost_comes_with_the_next_try(
    there: There, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    """Nothing is new here."""
    await new_graph(backups, tmp_path / "source")
    replicator = sent_to(replication, "alpha", there.target("straight"))
    await complete(replicator)
    for pack in (there.replica / "packs").iterdir():
        pack.unlink()
    assert not there.has_packs_of(tmp_path / "here")
    await complete(replicator)
    assert there.has_packs_of(tmp_path / "here")


async def test_a_snapshot_is_complete_only_when_the_signed_acknowledgement_names_it(
    there: There, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source")

    def unsay(said: Said) -> None:
        if said.question == "log" and said.status == 200:
            sign(said, there.key, receipts=[])

    await complete(sent_to(replication, "alpha", there.target("straight")))
    async with meddling(there.port, unsay) as port:
        without = there.target("without", port)
        (log,) = await sent_to(replication, "alpha", without).replicate(target_id=without.target_id, patience_s=0)
    assert log.status is ReplicationStatus.FAILED and "does not acknowledge the snapshot" in str(log.error_message)


async def test_who_takes_key_slots_and_does_not_have_them_has_no_copy(there: There, tmp_path: Path) -> None:
    sealed = BackupManager(tmp_path / "here", passphrase="correct horse")
    await new_graph(sealed, tmp_path / "source")
    replication = ReplicationManager(storage_path=tmp_path / "here", keyring=sealed.keyring)

    def lose(said: Said) -> None:
        if said.question == "key":
            for slot in (there.replica / "keys").iterdir():
                slot.unlink()

    async with meddling(there.port, lose) as port:
        target = there.target("losing", port)
        (log,) = await sent_to(replication, "alpha", target).replicate(target_id=target.target_id, patience_s=0)
    assert log.status is ReplicationStatus.FAILED and "key slots" in str(log.error_message)


async def test_a_replica_that_says_it_has_more_of_the_log_is_not_complete(
    there: There, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    graph = await new_graph(backups, tmp_path / "source")
    first = (await graph.create_snapshot()).backup_id
    await complete(sent_to(replication, "alpha", there.target("straight")))
    await graph.create_snapshot()
    core = await replication._repository("alpha").require()
    _, number, sha256, _ = core.head()

    def boast(said: Said) -> None:
        if said.question == "state":
            said.document |= {"number": number, "sha256": sha256.hex()}

    async with meddling(there.port, boast) as port:
        target = there.target("boasting", port)
        (log,) = await sent_to(replication, "alpha", target).replicate(first, target.target_id, patience_s=0)
    assert log.status is not ReplicationStatus.COMPLETED, log


async def test_on_a_line_too_slow_for_a_part_smaller_ones_get_through(
    there: There,
    backups: BackupManager,
    replication: ReplicationManager,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What lies in buffers on the way arrives for longer than nothing may be seen to move."""
    monkeypatch.setattr(peer, "STALL_S", 0.5)
    graph = await new_graph(backups, tmp_path / "source")
    async with meddling(there.port, lambda said: None, most_bytes=300_000) as port:
        (log,) = await sent_to(replication, "alpha", there.target("slow", port)).replicate(patience_s=30)
    assert log.status is ReplicationStatus.COMPLETED, log
    assert log.bytes > graph.stats()["stored_bytes"] and there.has_packs_of(tmp_path / "here")


async def test_who_asks_for_the_same_again_and_again_is_given_up(
    there: There, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    """Each try gets packs through, and gets nowhere."""
    await new_graph(backups, tmp_path / "source")
    packs = [one.name for one in (tmp_path / "here" / "graphs" / "alpha" / "packs").iterdir()]

    def lack(said: Said) -> None:
        if said.question == "log" and said.document.get("receipts"):
            said.status, said.document = 424, {"code": "INCOMPLETE", "detail": "more", "missing": packs}

    async with meddling(there.port, lack) as port, asyncio.timeout(60):
        (log,) = await sent_to(replication, "alpha", there.target("greedy", port)).replicate(patience_s=1.5)
    assert log.status is ReplicationStatus.FAILED and "answers 424" in str(log.error_message)


# ---- what has another shape ----


def sign(said: Said, key: str, **changed: Any) -> None:
    document = {name: value for name, value in said.document.items() if name != "mac"} | changed
    said.document = document | {"mac": _mac(document, key)}


def state(**changed: Any) -> Meddle:
    return lambda said: said.document.update(changed) if said.question == "state" and said.status == 200 else None


def missing(**changed: Any) -> Meddle:
    def meddle(said: Said) -> None:
        if said.question == "missing":
            for one in said.document["missing"]:
                one |= changed

    return meddle


def part(**document: Any) -> Meddle:
    def meddle(said: Said) -> None:
        if said.question == "part":
            said.document = document

    return meddle


def put_off(until: str) -> Meddle:
    def meddle(said: Said) -> None:
        said.status, said.headers["Retry-After"] = 503, until

    return meddle


def acknowledged(**changed: Any) -> Callable[[Said, str], None]:
    return lambda said, key: sign(said, key, **changed) if said.question == "log" and said.status == 200 else None


ODD_COUNTS = ["5", None, [], 0.5, True, -1, -(2**70), 2**63, 2**70]
ODD_ANSWERS: dict[str, Meddle] = {
    **{f"number {odd!r}": state(number=odd) for odd in ODD_COUNTS},
    **{f"receipts {odd!r}": state(receipts=odd) for odd in ([1], "abc", [{}], [{"number": []}], None)},
    **{f"keys {odd!r}": state(keys=odd) for odd in ([[], {}], None, ["../x"], 7)},
    **{f"repository {odd!r}": state(repository_id=odd) for odd in ([], None, "ab", "\ud800" * 32)},
    **{f"sha256 {odd!r}": state(sha256=odd) for odd in (5, None, "zz", "\ud800" * 64)},
    **{f"offset {odd!r}": missing(offset=odd) for odd in ODD_COUNTS},
    **{f"object {odd!r}": missing(sha256=odd) for odd in ([], None, "ab", "ab" * 32)},
    "part that is half complete": part(offset=1, complete="yes"),
    "part true": part(offset=True, complete=False),
    "part nowhere": part(complete=False),
    "part far": part(offset=2**80, complete=False),
    **{f"Retry-After {odd}": put_off(odd) for odd in (
        "Thu, 01 Jan 2024 00:00:00 +99999999999999999999", "Thu, 01 Jan 99999 00:00:00 GMT",
        "Thu, 01 Jan 2024 00:00:00 +9900", "Fri, 31 Dec 9999 23:59:59 -2359", "Thu, 99 Zzz 2024")},
}  # fmt: skip
ODD_ACKNOWLEDGEMENTS: dict[str, Callable[[Said, str], None]] = {
    **{f"number {odd!r}": acknowledged(number=odd) for odd in ODD_COUNTS},
    **{f"receipts {odd!r}": acknowledged(receipts=odd) for odd in (None, [[]], "abc", [True], [2**70])},
    "no receipts": acknowledged(receipts=[]),
    "other graph": acknowledged(graph=["alpha"]),
    "surrogate": lambda said, key: said.document.update(x="\ud800") if said.question == "log" else None,
    "deep": lambda said, key: setattr(said, "raw", b'{"mac": "0", "x": ' + b"[" * 900 + b"]" * 900 + b"}")
    if said.question == "log" else None,
    "mac": lambda said, key: said.document.update(mac=[1]) if said.question == "log" else None,
    "empty": lambda said, key: setattr(said, "raw", b"{}") if said.question == "log" else None,
}  # fmt: skip


@pytest.fixture(scope="module")
def odd_and_good(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with ExitStack() as stack:
        base = tmp_path_factory.mktemp("two")
        yield new_there(stack, base / "odd"), new_there(stack, base / "good")


@pytest.mark.parametrize(
    "meddle",
    [
        *(pytest.param(lambda said, _, do=do: do(said), id=name) for name, do in ODD_ANSWERS.items()),
        *(pytest.param(do, id=f"acknowledged {name}") for name, do in ODD_ACKNOWLEDGEMENTS.items()),
    ],
)
async def test_what_one_target_answers_takes_no_other_down(
    meddle: Callable[[Said, str], None],
    odd_and_good: tuple[There, There],
    backups: BackupManager,
    replication: ReplicationManager,
    tmp_path: Path,
) -> None:
    odd, good = odd_and_good
    graph_id = tmp_path.name.replace("_", "-")
    await new_graph(backups, tmp_path / "source", graph_id, 1000)
    async with meddling(odd.port, lambda said: meddle(said, odd.key)) as port:
        replicator = sent_to(replication, graph_id, odd.target("odd", port), good.target("good"))
        logs = await replicator.replicate(patience_s=0)
    bad, well = logs
    assert well.status is ReplicationStatus.COMPLETED, well
    assert bad.status in (ReplicationStatus.FAILED, ReplicationStatus.REFUSED), bad
    assert "unexpected" not in str(bad.error_message), bad
    assert replicator.logs(bad.target_id)[0].status is bad.status


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"<html>", "its answer is no JSON"),
        (b"[]", "its answer is JSON, and no object"),
        (b" " * (2 << 20), "its answer is longer than 1048576 bytes"),
    ],
)
async def test_what_is_no_document_is_told_as_that(
    raw: bytes, said: str, odd_and_good: tuple[There, There], backups: BackupManager,
    replication: ReplicationManager, tmp_path: Path,
) -> None:  # fmt: skip
    def meddle(answer: Said) -> None:
        answer.status, answer.raw = 200, raw

    odd, _ = odd_and_good
    await new_graph(backups, tmp_path / "source", "alpha", 1000)
    async with meddling(odd.port, meddle) as port:
        bad = await try_once(sent_to(replication, "alpha", odd.target("odd", port)))
    assert bad.status is ReplicationStatus.FAILED
    assert bad.error_message == f"odd does not answer as a receiver does: {said}"


async def test_a_mistake_met_with_one_target_is_its_failure_alone(
    odd_and_good: tuple[There, There],
    backups: BackupManager,
    replication: ReplicationManager,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = odd_and_good
    await new_graph(backups, tmp_path / "source", "broken", 1000)
    whole = shipment.Shipment.run

    async def run(self: Any, *arguments: Any) -> Any:
        if self._label == "first":
            raise ZeroDivisionError("a secret")
        return await whole(self, *arguments)

    monkeypatch.setattr(shipment.Shipment, "run", run)
    replicator = sent_to(replication, "broken", one.target("first"), other.target("second"))
    bad, well = await replicator.replicate(patience_s=0)
    assert well.status is ReplicationStatus.COMPLETED and bad.status is ReplicationStatus.FAILED
    assert "ZeroDivisionError" in str(bad.error_message) and "secret" not in str(bad.error_message)
    assert "event=replication_broke graph=broken target=first error=ZeroDivisionError" in caplog.text


# ---- the key ----


@pytest.mark.parametrize(
    "written",
    [
        lambda key: f"your key is {key}",
        lambda key: "basic " + b64encode(f"me:{key}".encode()).decode(),
        lambda key: "x" * 280 + key,
        lambda key: key.encode().hex(),
    ],
)
async def test_a_key_that_is_said_back_is_neither_shown_nor_stored(
    written: Callable[[str], str],
    there: There,
    backups: BackupManager,
    replication: ReplicationManager,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await new_graph(backups, tmp_path / "source")

    def echo(said: Said) -> None:
        said.status, said.document = 503, {"code": "X", "detail": written(there.key)}

    async with meddling(there.port, echo) as port:
        target = there.target("echo", port)
        log: ReplicationLog = await try_once(sent_to(replication, "alpha", target))
    shown = f"{log} {caplog.text}"
    assert "[key]" in shown
    for where in (shown.encode(), *(one.read_bytes() for one in (tmp_path / "here").rglob("*") if one.is_file())):
        assert written(there.key)[-40:-8].encode() not in where and there.key[:-8].encode() not in where


async def test_an_acknowledgement_that_names_the_key_is_not_kept(
    there: There, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source")

    def echo(said: Said) -> None:
        if said.question == "log" and said.status == 200:
            sign(said, there.key, note=there.key)

    async with meddling(there.port, echo) as port:
        log = await try_once(sent_to(replication, "alpha", there.target("echo", port)))
    assert log.status is ReplicationStatus.FAILED and "names the key" in str(log.error_message)
    stored = b"".join(one.read_bytes() for one in (tmp_path / "here").rglob("*") if one.is_file())
    assert there.key.encode() not in stored


@pytest.mark.parametrize("key", ["lrb_0123456789abcdef_" + "Ab-_9" * 8, "a key/with+signs & spaces=?", "ключ-ключ"])
def test_a_key_is_found_however_it_is_written(key: str) -> None:
    from urllib.parse import quote

    for form in (key, quote(key, safe=""), quote(key, safe="").lower(), key.encode().hex()):
        assert without_key(f"it is {form}.", key) == "it is [key]."
    for lead in ("", "a", "ab", "abc"):
        assert "[key]" in without_key(b64encode((lead + key + lead).encode()).decode(), key)
    assert without_key("it is " + key[:8], key) == "it is [key]"
    assert without_key("nothing of it", key) == without_key("nothing of it", None) == "nothing of it"
    assert json.dumps(without_key("abc", "abc")) == '"abc"', "three characters stand in every text"
