"""Long work: asked for twice, waited for, cancelled here and through another process, and what outlives a kill."""

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest
from support.application import started
from support.serving import Kept, ended, taken, until
from support.web import KEY, PREFIX, Web, application, serving

from lightrag_bkp import BackupManager, config
from lightrag_bkp.api import schemas
from lightrag_bkp.api.context import Context
from lightrag_bkp.api.runner import Asked, Done
from lightrag_bkp.errors import StateError
from lightrag_bkp.models import ProgressCallback
from lightrag_bkp.state import Operations, State


def begun(web: Web, kept: Kept, **headers: str) -> str:
    """A snapshot under way."""
    answer = web.ask("POST", kept.path, **headers)
    assert answer.status == 202, answer
    return str(answer.document["operation_id"])


def test_the_same_key_is_the_same_operation(web: Web, plain: Kept) -> None:
    first, again = (web.ask("POST", plain.path, {"tags": {"n": "1"}}, Idempotency_Key="one") for _ in range(2))
    assert first.document["operation_id"] == again.document["operation_id"]
    ended(web, first.document["operation_id"])
    waited = web.ask("POST", plain.path, {"tags": {"n": "1"}}, Idempotency_Key="one", Prefer="wait=10")
    assert waited.status == 201 and waited.document["tags"] == {"n": "1"}
    other = web.ask("POST", plain.path, {"tags": {"n": "2"}}, Idempotency_Key="one")
    assert (other.status, other.slug) == (422, "idempotency-key-reused")
    assert len(web.ask("GET", plain.path).document["snapshots"]) == 1
    assert begun(web, plain, Idempotency_Key="two") != first.document["operation_id"]


def test_many_with_one_key_at_once_are_one(web: Web, plain: Kept) -> None:
    ids: list[str] = []
    askers = [threading.Thread(target=lambda: ids.append(begun(web, plain, Idempotency_Key="crowd"))) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(ids) == 8 and len(set(ids)) == 1
    ended(web, ids[0])
    assert len(web.ask("GET", plain.path).document["snapshots"]) == 1


def test_one_key_of_two_callers_are_two(web: Web, reader: Web, plain: Kept, storage: Path) -> None:
    from lightrag_bkp.receiving.here import open_keys

    other = web.as_one_with(open_keys(storage).add("operator", "operate")[1])
    ids = {begun(one, plain, Idempotency_Key="shared") for one in (web, other)}
    assert len(ids) == 2
    assert {ended(web, one)["requested_by"] for one in ids} == {"lightrag-api-key", "key:operator"}
    assert reader.ask("POST", plain.path).status == 403
    assert reader.ask("DELETE", f"/operations/{ids.pop()}").status == 403


def test_who_waits_too_short_gets_the_operation(web: Web, endless: Kept) -> None:
    answer = web.ask("POST", endless.path, Prefer="respond-async, wait=1")
    operation = schemas.OperationAnswer.model_validate(answer.document)
    assert answer.status == 202 and operation.state == "running"
    progress = until(
        lambda: web.ask("GET", f"/operations/{operation.operation_id}"),
        lambda one: (one.document["progress"] or {}).get("bytes_in", 0) > 0,
    ).document["progress"]
    assert progress["phase"] and progress["bytes_total"] == 1 << 42
    assert web.ask("DELETE", f"/operations/{operation.operation_id}").status == 202
    assert ended(web, operation.operation_id)["state"] == "cancelled"


@pytest.mark.parametrize("second", ["a", "b"])
def test_one_request_has_one_key(web: Web, plain: Kept, second: str) -> None:
    headers = [("X-API-Key", KEY), ("Idempotency-Key", "a"), ("Idempotency-Key", second)]
    answer = web.client.post(f"{web.url}{PREFIX}{plain.path}", headers=headers)
    assert answer.status_code == 422 and "more than one Idempotency-Key" in answer.json()["detail"]


@pytest.mark.parametrize("prefer", ["wait=0", "wait=601", "wait=99999"])
def test_nobody_waits_so_long(web: Web, plain: Kept, prefer: str) -> None:
    answer = web.ask("POST", plain.path, Prefer=prefer)
    assert (answer.status, answer.slug) == (422, "invalid")


def test_what_is_cancelled_leaves_nothing_and_is_a_problem_for_who_waited(web: Web, endless: Kept) -> None:
    key = {"Idempotency_Key": "cancelled"}
    operation = begun(web, endless, **key)
    asked = web.ask("DELETE", f"/operations/{operation}")
    assert asked.status == 202 and asked.document["operation_id"] == operation
    done = schemas.OperationAnswer.model_validate(ended(web, operation))
    assert done.state == "cancelled" and done.error is not None and done.error.code == "CANCELLED"
    over = web.ask("DELETE", f"/operations/{operation}")
    assert (over.status, over.slug) == (409, "conflict")
    waited = web.ask("POST", endless.path, Prefer="wait=5", **key)
    assert (waited.status, waited.slug) == (409, "cancelled")
    assert web.ask("GET", endless.path).document["snapshots"] == []


def test_operations_are_listed_by_what_they_are(web: Web, plain: Kept) -> None:
    taken(web, plain)
    web.waited("POST", f"{plain.path}/nothing-at-all/verify")
    web.waited("POST", f"{plain.path}/latest/verify")
    listed = web.ask("GET", f"/operations?graph_id={plain.graph_id}")
    found = schemas.OperationsAnswer.model_validate(listed.document).operations
    assert [one.kind for one in found] == ["verify", "snapshot"] and {one.state for one in found} == {"succeeded"}
    assert [one.result for one in found] == [None, None] and ended(web, found[0].operation_id)["result"]["ok"]
    only = web.ask("GET", f"/operations?graph_id={plain.graph_id}&kind=verify&state=succeeded").document
    assert only["pagination"]["total_count"] == 1 and only["operations"][0]["target"] == found[1].target
    assert web.ask("GET", f"/operations?graph_id={plain.graph_id}&state=failed").document["operations"] == []


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/operations/" + "0" * 32, 404, "not-found"),
        ("DELETE", "/operations/" + "0" * 32, 404, "not-found"),
        ("GET", "/operations/none", 422, "invalid"),
        ("GET", "/operations?state=lost", 422, "invalid"),
        ("POST", "/operations", 405, "method-not-allowed"),
    ],
)
def test_what_is_no_operation_is_a_problem(web: Web, method: str, path: str, status: int, slug: str) -> None:
    answer = web.ask(method, path)
    assert (answer.status, answer.slug) == (status, slug)


# ---- several processes ----


def test_every_process_sees_and_ends_what_another_one_does(web: Web, endless: Kept, storage: Path) -> None:
    with started(storage, {endless.graph_id: endless.directory}) as (url, _):
        other = Web(url)
        operation = begun(other, endless, Idempotency_Key="elsewhere")
        seen = web.ask("GET", f"/operations/{operation}").document
        assert seen["state"] == "running" and seen["graph_id"] == endless.graph_id
        assert begun(web, endless, Idempotency_Key="elsewhere") == operation
        assert web.ask("DELETE", f"/operations/{operation}").status == 202
        assert ended(web, operation)["state"] == "cancelled"
        assert ended(other, operation)["state"] == "cancelled"


def test_what_a_killed_process_did_is_interrupted(web: Web, endless: Kept, storage: Path) -> None:
    with started(storage, {endless.graph_id: endless.directory}) as (url, process):
        operation = begun(Web(url), endless)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    seen = schemas.OperationAnswer.model_validate(web.ask("GET", f"/operations/{operation}").document)
    assert seen.state == "interrupted" and seen.finished_at is not None
    assert seen.error is not None and (seen.error.status, seen.error.code) == (503, "INTERRUPTED")
    assert web.ask("DELETE", f"/operations/{operation}").status == 409
    (event,) = (
        one
        for one in web.ask("GET", f"/events?graph_id={endless.graph_id}").document["events"]
        if one["outcome"] == "interrupted"
    )
    assert event["kind"] == "snapshot" and operation in event["detail"]


def test_a_start_finds_what_died_before_anybody_asks(endless: Kept, tmp_path: Path) -> None:
    graphs = {endless.graph_id: endless.directory}
    with started(tmp_path / "storage", graphs) as (url, process):
        operation = begun(Web(url), endless)
        process.kill()
        process.wait()
    with started(tmp_path / "storage", graphs) as (url, _):
        assert Web(url).ask("GET", "/backup/graphs").status == 200  # it has started
        stored = Operations(State(f"sqlite:///{tmp_path / 'storage/state/replication.db'}", "")).get(operation)
        assert stored is not None and stored.state == "interrupted"
        (listed,) = Web(url).ask("GET", "/operations?state=interrupted").document["operations"]
        assert listed["operation_id"] == operation


def test_an_application_that_ends_interrupts_its_work(endless: Kept, tmp_path: Path) -> None:
    manager = BackupManager(tmp_path / "storage")
    manager.register_graph(endless.graph_id, endless.directory)
    with serving(application(manager)) as url:
        operation = begun(Web(url), endless)
    with serving(application(manager)) as url:
        web = Web(url)
        assert web.ask("GET", f"/operations/{operation}").document["state"] == "interrupted"
        assert web.ask("GET", endless.path).document["snapshots"] == []


async def test_the_loop_goes_on_while_everything_is_asked_for(manager: BackupManager, graph: Kept, plain: Kept) -> None:
    """On the loop of the application itself, which an `await` of somebody else shares."""
    import httpx

    app = application(manager)
    gaps: list[float] = []

    async def tick() -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.005)
            gaps.append(loop.time() - before - 0.005)

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here" + PREFIX, timeout=60) as client:
        client.headers["X-API-Key"] = KEY
        made = await client.post(graph.path, headers={"Prefer": "wait=60"})
        ticking = asyncio.create_task(tick())
        paths = [graph.path, f"{graph.path}/latest?items=all", "/backup/stats", "/operations", "/events"] * 6
        work = [client.post(one.path, headers={"Prefer": "wait=60"}) for one in (graph, plain)]
        answers = await asyncio.gather(*work, *(client.get(path) for path in paths))
        ticking.cancel()
    assert made.status_code == 201 and {one.status_code for one in answers} == {200, 201}
    assert sorted(gaps)[-3] < 0.5, sorted(gaps)[-5:]


@pytest.mark.parametrize(("cancelled", "state"), [(True, "cancelled"), (False, "interrupted")])
async def test_what_is_ended_before_it_did_anything_is_over(tmp_path: Path, cancelled: bool, state: str) -> None:
    context = Context(BackupManager(tmp_path / "storage"), None, None, None, config.Settings())
    begun_at_all = False

    async def work(_: ProgressCallback) -> Done:
        nonlocal begun_at_all
        begun_at_all = True
        return Done({})

    runner, asked = context.runner, Asked("snapshot", "me", "g", None)
    operation = (await runner._begin(asked, work)).operation_id  # without a turn of the loop in between
    if cancelled:
        runner._cancel_here(operation)
        row = await runner.wait(operation, 20)
    else:
        await runner.stop()
        row = await runner.find(operation)
    assert (row.state, begun_at_all, runner._running) == (state, False, {})
    await context.stop()


async def test_what_came_of_it_is_stored_once_the_database_is_back(tmp_path: Path) -> None:
    context = Context(BackupManager(tmp_path / "storage"), None, None, None, config.Settings())
    database, away = tmp_path / "storage/state/replication.db", tmp_path / "away"
    may_end = asyncio.Event()

    async def work(_: ProgressCallback) -> Done:
        await may_end.wait()
        return Done({"said": "done"}, target="t")

    operation = (await context.runner.begin(Asked("snapshot", "me", "g", None), work)).operation_id
    os.link(database, away)
    (tmp_path / "spoilt").write_bytes(b"no database" * 1000)
    os.replace(tmp_path / "spoilt", database)
    may_end.set()
    await asyncio.sleep(0.2)
    with pytest.raises(StateError):
        await context.runner.find(operation)
    os.replace(away, database)
    row = await context.runner.wait(operation, 20)
    assert (row.state, row.result, row.target) == ("succeeded", '{"said": "done"}', "t")
    await context.stop()
