"""Backup, replication and recovery through the HTTP API, on two real LightRAG servers.

    python examples/backup_replication_demo.py [--documents N]

"tokyo" and "osaka" run on loopback: LightRAG's own server each, started by `lightrag-bkp-server` with our routes.
Documents go in through LightRAG's API, and everything else is asked for over HTTP, as any client would. Only language
model and embedding are stand-ins (tests/support), so that no key and no network is needed.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support import graphs, server

API = "/api/v1/backup-replication"
GRAPH = "default"  # what the graph of LightRAG's unnamed workspace is called
BAR = 40
COLOURS = {"healthy": "green", "HEALTHY": "green", "degraded": "yellow", "UNREACHABLE": "red", "critical": "red"}

console = Console(width=118, highlight=False)
timings: list[tuple[str, float]] = []


@dataclass
class Site:
    """A LightRAG server and this package's routes on it."""

    name: str
    directory: Path
    lightrag: server.RunningServer

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One request. Long work is waited for; without `Prefer` it would be answered with 202 and its operation."""
        return self.ask_lightrag(method, API + path, body)

    def ask_lightrag(self, method: str, path: str, body: Any = None) -> Any:
        """One request to LightRAG's own routes."""
        headers = {"X-API-Key": self.lightrag.api_key, "Prefer": "wait=120"}
        answer = httpx.request(
            method, self.lightrag.url + path, json=body, headers=headers, timeout=150, trust_env=False
        )
        if answer.is_success:
            return answer.json() if answer.content else {}
        raise SystemExit(f"{method} {path}: {answer.status_code}: {answer.text}")

    def timed(self, what: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """As `ask`, noting how long it took."""
        started = time.perf_counter()
        answer = self.ask(method, path, body)
        timings.append((what, time.perf_counter() - started))
        return answer

    def add_documents(self, first: int, count: int) -> None:
        numbers = range(first, first + count)
        self.lightrag.insert({f"report-{n}.txt": graphs.document(n) for n in numbers})

    def answer(self, name: str) -> str:
        """What LightRAG finds about an entity."""
        context = self.lightrag.query(f"Who works with {name}?")
        return next((line for line in context.splitlines() if f"{name} relates to" in line), "")


@contextmanager
def site(directory: Path) -> Iterator[Site]:
    """A server of that name, until the block ends."""
    directory.mkdir()
    settings = {"LIGHTRAG_BACKUP_STORAGE_PATH": str(directory / "backups")}
    with server.running(
        directory, api_key=f"key-of-{directory.name}", delay_s=0.05, program="lightrag-bkp-server", **settings
    ) as running:
        yield Site(directory.name, directory, running)


def heading(number: int, text: str) -> None:
    console.print(f"\n[bold]{number}. {text}[/bold]")


def show(columns: str, rows: list[tuple[Any, ...]]) -> None:
    """A table; words for a state get its colour."""
    table = Table(*columns.split("|"), header_style="dim", box=None, padding=(0, 2, 0, 2))
    for row in rows:
        table.add_row(*(f"[{COLOURS[str(cell)]}]{cell}[/]" if str(cell) in COLOURS else str(cell) for cell in row))
    console.print(table)


def bars(rows: list[tuple[str, float, str]]) -> None:
    """A plot: a bar for each figure, the longest for the largest."""
    most = max((value for _, value, _ in rows), default=0) or 1
    show("||", [(name, "█" * max(1, round(BAR * value / most)), said) for name, value, said in rows])


def back_up(tokyo: Site, documents: int) -> None:
    heading(1, "Backup and tracking: one snapshot while documents are ingested, one at rest")
    tokyo.add_documents(0, documents)
    place = f"/backup/graphs/{GRAPH}/snapshots"
    busy = tokyo.timed("snapshot, while LightRAG ingests", "POST", place, {"tags": {"moment": "ingesting"}})
    tokyo.lightrag.wait_until_idle()
    idle = tokyo.timed("snapshot, at rest", "POST", place, {"tags": {"moment": "at rest"}})
    rows = [
        (one["backup_id"], one["consistency"], one["verdict"], f"{one['size_bytes'] / 1e3:.0f} kB",
         f"{one['stored_bytes'] / 1e3:.0f} kB", f"{one['held_ms'] or 0:.0f} ms")
        for one in (busy, idle)
    ]  # fmt: skip
    show("snapshot|consistency|verdict|source|added|LightRAG held", rows)
    listed = tokyo.ask("GET", place)["pagination"]["total_count"]
    stats = tokyo.ask("GET", "/backup/stats")
    console.print(f"  listed: {listed}; in all {stats['total_snapshots']} snapshots of {stats['total_graphs']} graph")


def register(tokyo: Site, osaka: Site) -> str:
    heading(2, "Targets: osaka makes a key for tokyo; tokyo registers two targets and asks how they are")
    storage = str(osaka.directory / "backups")
    words = [sys.executable, "-m", "lightrag_bkp.cli", "--storage", storage, "key", "add", "tokyo"]
    key = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    targets = [
        tokyo.ask("POST", "/replication/targets", {"name": name, "base_url": url, "api_key": key})
        for name, url in (("osaka", osaka.lightrag.url), ("nowhere", "http://127.0.0.1:1"))
    ]
    found = [tokyo.ask("GET", f"/replication/targets/{one['target_id']}/health") for one in targets]
    show(
        "target|status|why",
        [(one["name"], seen["status"], seen["reason"]) for one, seen in zip(targets, found, strict=True)],
    )
    tokyo.ask("DELETE", f"/replication/targets/{targets[1]['target_id']}")
    tokyo.ask("PUT", f"/replication/graphs/{GRAPH}/targets/{targets[0]['target_id']}")
    return str(targets[0]["target_id"])


def replicate(tokyo: Site, documents: int) -> None:
    heading(3, "Replication: everything, and then what two more documents changed")
    shipped = []
    for what in ("the first copy", "after two more documents"):
        if shipped:
            tokyo.add_documents(documents, 2)
            tokyo.lightrag.wait_until_idle()
            tokyo.ask("POST", f"/backup/graphs/{GRAPH}/snapshots")
        answer = tokyo.timed(f"replication, {what}", "POST", f"/replication/graphs/{GRAPH}/replicate")
        sent = sum(one["bytes"] for one in answer["replications"])
        shipped.append((what, float(sent), f"{sent / 1e3:.0f} kB"))
    bars(shipped)
    status = tokyo.ask("GET", f"/replication/graphs/{GRAPH}/status")
    rows = [(one["name"], one["acknowledged"], one["lag"]["entries"], one["lag"]["bytes"]) for one in status["targets"]]
    show("target|last entry it has proved|entries behind|bytes behind", rows)


def protect(tokyo: Site) -> str:
    heading(4, "Recovery point: a snapshot of every graph, held; validated, and brought back for trial")
    point = tokyo.timed(
        "recovery point", "POST", "/recovery/checkpoints", {"graph_ids": [GRAPH], "description": "before the accident"}
    )
    path = f"/recovery/checkpoints/{point['checkpoint_id']}"
    valid = tokyo.timed("validation, every byte read", "POST", f"{path}/validate")
    drilled = tokyo.timed("drill, into a scratch directory", "POST", f"{path}/drill")
    said = valid["ok"], drilled["ok"], f"{drilled['rto_s']:.2f} s"
    show("recovery point|graphs|valid|drilled|time to recover", [(point["checkpoint_id"], point["graphs"][0], *said)])
    return path


def lose_and_recover(tokyo: Site, path: str) -> bool:
    name = re.findall(r"E\d+", graphs.document(0))[0]
    heading(5, f"Failover: {name} is deleted by mistake, and the running LightRAG goes back, without a restart")
    before = tokyo.answer(name)
    tokyo.ask_lightrag("DELETE", "/graph/entity/delete", {"entity_name": name})
    lost = tokyo.answer(name)
    outcome = tokyo.timed("failover, validated and verified", "POST", f"{path}/failover")
    after = tokyo.answer(name)
    rows = [("before", before), ("after the mistake", lost or "nothing"), ("after the failover", after)]
    show("LightRAG says of it|", rows)
    console.print(f"  back after {outcome['rto_s']:.2f} s; {outcome['rpo_s']:.0f} s of work are lost")
    return bool(before) and not lost and after == before


def report(tokyo: Site) -> None:
    heading(6, "Health: everything that is known, and how long each step took")
    health = tokyo.ask("GET", "/recovery/health")
    rows = [(one["component"], one["status"], one["message"]) for one in health["components"]]
    show("part|status|why", [*rows, ("all", health["overall_status"], health["timestamp"])])
    bars([(what, seconds, f"{seconds:.2f} s") for what, seconds in timings])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=16, help="how many documents the graph is made of")
    documents = parser.parse_args().documents
    with tempfile.TemporaryDirectory(prefix="lightrag-bkp-demo-") as scratch:
        console.print("starting two LightRAG servers ...")
        with site(Path(scratch, "tokyo")) as tokyo, site(Path(scratch, "osaka")) as osaka:
            back_up(tokyo, documents)
            register(tokyo, osaka)
            replicate(tokyo, documents)
            path = protect(tokyo)
            same = lose_and_recover(tokyo, path)
            report(tokyo)
    console.print(f"\neverything came back: {'yes' if same else 'NO'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
