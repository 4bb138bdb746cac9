"""Cuts from another process: with LightRAG's own server to ask, and with nobody to ask."""

import asyncio
import importlib.util
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import check, graphs, pins, server
from support.answering import Answer, Asked, answer, answering
from support.beside import beside

from lightrag_bkp import validation
from lightrag_bkp.errors import Busy, ConfigurationError, InvalidInputError, ServerError
from lightrag_bkp.sources import Cut, files, outside, server_status

CACHE, STATUS, ENTITIES = "kv_store_llm_response_cache.json", "kv_store_doc_status.json", "vdb_entities.json"

needs_server = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("fastapi", "uvicorn", "openai")),
    reason="lightrag-hku[api] and openai not installed",
)


async def cut(directory: Path, workspace: str = "", **options: Any) -> Cut[files.Pins]:
    layout = files.detect(directory, workspace)
    return await outside.cut(lambda: files.pin(layout), files.moved, files.Pins.close, layout=layout, **options)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def replace(directory: Path, name: str) -> None:
    """Writes the file anew as LightRAG does."""
    sibling = directory / f"{name}.new"
    sibling.write_bytes((directory / name).read_bytes())
    sibling.replace(directory / name)


def age(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Lets the clock, not the files, move: change times cannot be set."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + seconds)


@contextmanager
def replacing(directory: Path, name: str) -> Iterator[None]:
    """Somebody writes the file ten times a second during the block."""

    def work(stop: threading.Event) -> None:
        while not stop.wait(0.1):
            replace(directory, name)

    with beside(work):
        yield


async def test_a_directory_at_rest_is_pinned_without_waiting(
    graph_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(monkeypatch, 60)
    taken = await cut(graph_dir)
    assert (taken.consistency, taken.held_ms) == ("unfenced", 0.0)
    assert taken.waited_ms < 200
    assert check.findings(pins.copy_out(taken.value, tmp_path / "cut")) == []


async def test_a_file_replaced_a_moment_ago_is_watched_for_two_seconds(graph_dir: Path) -> None:
    replace(graph_dir, ENTITIES)
    started = time.monotonic()
    taken = await cut(graph_dir, on_busy="fail")
    assert taken.consistency == "unfenced"
    assert 1.8 < time.monotonic() - started < 4
    taken.value.close()


async def test_a_file_that_takes_long_to_be_written_is_waited_for(
    graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the flush of other files, for longer than files must rest; what a dead process left is no matter."""
    age(monkeypatch, 10)
    half = graph_dir / f"{ENTITIES}.tmp.7.7.7"
    half.write_bytes((graph_dir / ENTITIES).read_bytes()[:100])
    for on_busy in ("fail", "wait"):
        with pytest.raises(Busy, match=rf"{half.name} being written"):
            await cut(graph_dir, on_busy=on_busy, deadline_s=0.2)
    (graph_dir / f"{CACHE}.tmp.7.7.7").write_text("{")
    os.utime(half, (0, time.time() - 60))
    taken = await cut(graph_dir, on_busy="fail")
    assert taken.consistency == "unfenced" and half.name not in taken.value.names
    taken.value.close()


async def test_change_times_in_the_future_are_watched_no_longer(
    graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(monkeypatch, -3600)
    started = time.monotonic()
    (await cut(graph_dir)).value.close()
    assert time.monotonic() - started < 4


async def test_files_that_keep_being_replaced_are_named(graph_dir: Path) -> None:
    before = open_descriptors()
    with replacing(graph_dir, ENTITIES):
        with pytest.raises(Busy, match=rf"{ENTITIES} replaced.*name the server that writes them"):
            await cut(graph_dir, on_busy="fail")
        with pytest.raises(Busy, match=r"busy after \d s"):
            await cut(graph_dir, deadline_s=0.5)
    assert open_descriptors() == before
    taken = await cut(graph_dir)
    assert taken.consistency == "unfenced"
    taken.value.close()


async def test_the_llm_cache_may_change_all_the_time(graph_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    age(monkeypatch, 60)
    with replacing(graph_dir, CACHE):
        for _ in range(5):
            taken = await cut(graph_dir, on_busy="fail")
            assert taken.waited_ms < 200
            taken.value.close()
            await asyncio.sleep(0.1)


async def test_a_crash_cut_asks_nobody(graph_dir: Path) -> None:
    with replacing(graph_dir, ENTITIES):
        taken = await cut(graph_dir, on_busy="crash", server_url="http://127.0.0.1:9")
    assert taken.consistency == "crash"
    taken.value.close()


async def test_a_cancelled_cut_gives_its_descriptors_back(graph_dir: Path) -> None:
    before = open_descriptors()
    replace(graph_dir, ENTITIES)
    cutter = asyncio.create_task(cut(graph_dir))
    await asyncio.sleep(0.2)
    assert open_descriptors() > before
    cutter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cutter
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_busy": "never"}, "on_busy"),
        ({"server_url": "file:///etc/passwd"}, "server_url"),
        ({"server_url": "127.0.0.1:9621"}, "server_url"),
        ({"server_url": "http://[::1"}, "server_url"),
        ({"server_url": "http://127.0.0.1:99999"}, "server_url"),
    ],
)
async def test_unusable_arguments_are_refused(graph_dir: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        await cut(graph_dir, **options)


async def test_a_server_that_is_not_there_is_an_error_not_a_lower_rung(graph_dir: Path) -> None:
    with pytest.raises(ServerError, match="cannot be reached"):
        await cut(graph_dir, server_url="http://127.0.0.1:9")


@pytest.mark.parametrize("key", ["key\n", "two\nlines", "schl\u00fcssel", "\x00"])
async def test_a_key_that_cannot_be_sent_is_named(graph_dir: Path, key: str) -> None:
    seen: list[Asked] = []
    with (
        answering(answer(b""), seen=seen) as url,
        pytest.raises(ConfigurationError, match="LIGHTRAG_API_KEY holds a line break"),
    ):
        await cut(graph_dir, server_url=url, api_key=key)
    assert seen == []


async def test_a_server_that_is_always_busy_leaves_what_fits_together(graph_dir: Path) -> None:
    """Its word is asked for first, and what it says of itself is recorded; no file has to rest."""

    async def judge(pinned: files.Pins) -> outside.Judgement:
        found, _ = await validation.judge_pins(pinned.copy())
        return outside.Judgement(found.verdict, "" if found.usable else found.said, {"judged": True})

    busy = b'{"busy": true, "job_name": "indexing", "docs": 9, "cur_batch": 2, "core_version": "1.5.7"}'
    with answering(answer(busy)) as url:
        taken = await cut(graph_dir, server_url=url, judge=judge)
        assert (taken.consistency, taken.verdict) == ("validated", "usable")
        assert taken.facts == {"server_unverified": True, "lightrag_version": "1.5.7", "judged": True}
        taken.value.close()
        (graph_dir / STATUS).write_text("{")
        with pytest.raises(
            Busy, match=r"job 'indexing' runs with 7 documents left; .* together, the last being unusable"
        ):
            await cut(graph_dir, server_url=url, judge=judge, deadline_s=0.3)
        with pytest.raises(Busy, match="documents left; try again"):
            await cut(graph_dir, server_url=url, judge=judge, on_busy="fail")


@pytest.mark.parametrize(
    ("code", "body", "message"),
    [
        (200, b"<html>", "something else than JSON"),
        (200, b"[]", "something else than LightRAG"),
        (200, b"{}", "LightRAG's pipeline"),
        (200, b"[" * 100_000, "something else than JSON"),
        (200, b'{"configuration": [1]}', "'configuration' of another type"),
        (200, b'{"core_version": [1]}', "'core_version' of another type"),
        (200, b'{"working_directory": 1}', "'working_directory' of another type"),
        (200, b'{"configuration": {"workspace": 1}}', "'workspace' of another type"),
        (200, b'{"busy": true, "docs": "many"}', "'docs' of another type"),
        (200, b'{"busy": true, "job_name": {}}', "'job_name' of another type"),
        (200, b'{"busy": false, "pending_enqueues": "some"}', "'pending_enqueues' of another type"),
        (200, b'{"busy": false, "update_status": [1]}', "'update_status' of another type"),
        (200, b'{"busy": false, "update_status": {"doc_status": 1}}', "'doc_status' of another type"),
        (404, b"", "HTTP 404"),
        (500, b"", "HTTP 500"),
        (401, b"", "refused the API key"),
    ],
)
async def test_answers_that_are_not_lightrags_are_errors(graph_dir: Path, code: int, body: bytes, message: str) -> None:
    with answering(answer(body, code)) as url, pytest.raises(ServerError, match=message):
        await cut(graph_dir, server_url=url)


async def test_a_server_that_hangs_is_said_to_have_hung_for_as_long_as_it_did(
    graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_status, "_SILENCE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(ServerError, match=r"did not answer /health within 0\.5\d* s"):
            await cut(graph_dir, server_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - started < 3


async def test_a_server_that_hangs_holds_nobody_longer_than_the_deadline(graph_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(ServerError, match=r"did not answer /health within 1(\.\d)? s"):
            await cut(graph_dir, server_url=f"http://127.0.0.1:{silent.getsockname()[1]}", deadline_s=1)
    assert time.monotonic() - started < 2


async def test_no_look_is_begun_that_would_end_behind_the_deadline(graph_dir: Path) -> None:
    started = time.monotonic()
    with replacing(graph_dir, ENTITIES), pytest.raises(Busy, match=rf"busy after 3 s: {ENTITIES} replaced"):
        await cut(graph_dir, deadline_s=3)
    assert time.monotonic() - started < 3.5


def health(directory: Path | str, **configuration: Any) -> Answer:
    """An idle server's answer, to /health and to the pipeline's status alike."""
    return answer({"busy": False, "working_directory": str(directory), "configuration": configuration})


async def test_a_server_of_these_files_is_verified(graph_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(graph_dir)
    for named in (graph_dir, tmp_path / "link"):
        for configuration in ({"workspace": None}, {"storage_workspaces": {"kv_storage": None}}):
            with answering(health(named, **configuration)) as url:
                taken = await cut(graph_dir, server_url=url)
            assert (taken.consistency, taken.facts) == ("settled", {})
            taken.value.close()


@pytest.mark.parametrize("named", ["", "rag_storage", "/nowhere/on/this/host", "/nul\0"])
async def test_a_server_that_cannot_be_compared_is_noted(graph_dir: Path, named: str) -> None:
    with answering(health(named, workspace="")) as url:
        taken = await cut(graph_dir, server_url=url)
    assert (taken.consistency, taken.facts) == ("settled", {"server_unverified": True})
    taken.value.close()


async def test_a_server_of_another_directory_is_refused(graph_dir: Path, tmp_path: Path) -> None:
    with (
        answering(health(tmp_path, workspace="")) as url,
        pytest.raises(InvalidInputError, match=rf"of '{tmp_path}', not workspace '' of '{graph_dir}': name the server"),
    ):
        await cut(graph_dir, server_url=url)


@pytest.mark.parametrize("named", ["", "/nowhere/on/this/host"])
async def test_a_server_of_another_workspace_is_refused(graph_dir: Path, named: str) -> None:
    with (
        answering(health(named or graph_dir, workspace="other")) as url,
        pytest.raises(InvalidInputError, match=r"serves workspace 'other' of .*, not workspace ''"),
    ):
        await cut(graph_dir, server_url=url)


async def test_a_workspace_is_known_by_its_sanitised_name_as_well(graph_dir: Path) -> None:
    shutil.copytree(graph_dir, graph_dir / "my_space")
    with answering(health(graph_dir, workspace="my-space")) as url:
        taken = await cut(graph_dir, "my_space", server_url=url)
    assert "server_unverified" not in taken.facts
    taken.value.close()


async def test_a_key_is_not_carried_to_another_origin(graph_dir: Path) -> None:
    seen: list[Asked] = []
    asked: list[Asked] = []
    with (
        answering(answer({}), seen=seen) as elsewhere,
        answering(answer(b"", 302, Location=f"{elsewhere}/health"), seen=asked) as url,
        pytest.raises(ServerError, match="redirects to another origin"),
    ):
        await cut(graph_dir, server_url=url, api_key="secret")
    assert asked[0].headers["X-Api-Key"] == "secret"
    assert seen == []


@needs_server
async def test_a_running_server_is_believed(tmp_path: Path) -> None:
    """One server for all of it; starting one takes seconds."""
    directory = tmp_path / "rag_storage"
    with server.running(tmp_path, delay_s=0.5) as running:
        running.insert({f"report-{n}.txt": graphs.document(n) for n in range(8)})
        with pytest.raises(Busy, match=r"job .* runs with \d documents left; try again"):
            await cut_once_there(directory, running, on_busy="fail")
        with pytest.raises(Busy, match=r"busy after \d s"):
            await cut(directory, server_url=running.url, api_key=running.api_key, deadline_s=0.3)
        with pytest.raises(ServerError, match="refused the API key"):
            await cut(directory, server_url=running.url, api_key="wrong")
        with pytest.raises(ServerError, match="set LIGHTRAG_API_KEY"):
            await cut(directory, server_url=running.url)

        taken = await cut(directory, server_url=running.url + "/", api_key=running.api_key)
        assert taken.consistency == "settled"
        assert taken.facts["embedding_model"] == "standin"
        assert "server_unverified" not in taken.facts
        elsewhere = shutil.copytree(directory, tmp_path / "elsewhere")
        with pytest.raises(InvalidInputError, match="name the server of these files"):
            await cut(elsewhere, server_url=running.url, api_key=running.api_key)
        copied = pins.copy_out(taken.value, tmp_path / "cut")
        assert check.findings(copied) == []
        assert {status: len(found) for status, found in check.documents_by_status(copied).items()} == {"processed": 8}

        assert "E3 works with" in await asyncio.to_thread(running.query, "What does E3 do?")
        again = await cut(directory, server_url=running.url, api_key=running.api_key)
        assert again.consistency == "settled"
        again.value.close()


async def cut_once_there(directory: Path, running: server.RunningServer, **options: Any) -> Cut[files.Pins]:
    """Cuts as soon as the server has written its first file and works."""
    while not (directory / STATUS).exists() or not running.status()["busy"]:  # noqa: ASYNC110 - HTTP has no event
        await asyncio.sleep(0.05)
    return await cut(directory, server_url=running.url, api_key=running.api_key, **options)
