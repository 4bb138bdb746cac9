"""What a run says at its end."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from .trail import Operation

_COMPARED = ("restore", "unpack", "reader")


def table(operations: list[Operation], tally: Path, violations: int) -> str:
    """Operations by kind, what was done to the processes, and what was compared."""
    rows = [("operation", "begun", "done", "errors", "unknown")]
    kinds = sorted({one.kind for one in operations} - {"process"})
    rows += [(kind, *_counted(one for one in operations if one.kind == kind)) for kind in kinds]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", *_sums(operations, tally), f"violations: {violations}"])


def _counted(found: Iterable[Operation]) -> tuple[str, ...]:
    listed = list(found)
    done, errors = sum(one.done for one in listed), sum(bool(one.error) for one in listed)
    return tuple(map(str, (len(listed), done, errors, len(listed) - done - errors)))


def _sums(operations: list[Operation], tally: Path) -> Iterable[str]:
    processes = [one for one in operations if one.kind == "process" and one.result]
    deeds = Counter(line.split()[0] for path in tally.iterdir() for line in path.read_text().splitlines())
    outside = Counter(deed for one in processes if one.result for deed in one.result["done_to_it"])
    committed = {row[0] for one in operations if one.kind == "list" for row in (one.result or {}).get("snapshots", ())}
    compared = [one.kind for one in operations if one.kind in _COMPARED and one.done]
    harmed = [one for one in operations if one.kind == "verify" and one.facts.get("must") and one.result]
    yield f"processes: {len(processes)}"
    yield f"killed: {sum(one.result['code'] == -9 for one in processes if one.result)}"
    yield f"stopped and continued: {outside['stop'] + deeds['stop']}"
    yield f"faults injected: {sum(deeds.values()) - deeds['stop'] - deeds['kill']}" + _listed(deeds)
    yield f"snapshots committed: {len(committed)}"
    yield f"restores compared: {len(compared)}, {compared.count('reader')} of them by the independent reader"
    yield f"damages found in copies: {len(harmed)}"


def _listed(deeds: Counter[str]) -> str:
    names = {"refuse": "refused", "lose": "answers lost", "short": "short", "interrupt": "interrupted"}
    said = ", ".join(f"{deeds[deed]} {name}" for deed, name in names.items() if deeds[deed])
    return f" ({said})" if said else ""
