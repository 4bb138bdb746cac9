"""Figures, times, names and tables as a terminal shows them, and ages as a user writes them."""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

_UNITS = ("kB", "MB", "GB", "TB", "PB")
_AGE = re.compile(r"(\d{1,6})([hdwy])")
_AGE_S = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


def size(count: int) -> str:
    """Bytes with three figures: "17 B", "3.42 MB", "120 GB"."""
    if count < 1000:
        return f"{count} B"
    value, power = count / 1000, 0
    while value >= 999.5 and power + 1 < len(_UNITS):
        value, power = value / 1000, power + 1
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {_UNITS[power]}"


def counted(count: int, noun: str) -> str:
    """ "1 item", "12 items"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def behind(lag: Mapping[str, Any]) -> str:
    """How far a copy is behind, as sender and receiver count it."""
    if not lag["known"]:
        return f"unknown, growing: {lag['seconds'] / 3600:.1f} h since it was even"
    if not lag["entries"] and not lag["bytes"]:
        return "even"
    entries = counted(lag["entries"], "entry").replace("entrys", "entries")
    return f"{entries}, {size(lag['bytes'])}, {lag['seconds']:.0f} s"


def when(moment: datetime) -> str:
    """A time in UTC to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def shown(name: object) -> str:
    """A name or message fit for a terminal: what is not printable is escaped, so that no stored byte acts on it."""
    text = str(name)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> Iterator[str]:
    """Lines of aligned columns.

    Args:
        heads: titles of the columns.
        rows: the cells; made printable here. A sequence is gone through twice and never held as text.
        right: titles of the columns that are aligned to the right.
    """
    rows = rows if isinstance(rows, Sequence) else tuple(rows)
    widths = list(map(len, heads))
    for row in rows:
        widths = [max(width, len(shown(cell))) for width, cell in zip(widths, row, strict=True)]
    aligned = [">" if head in right else "<" for head in heads]
    for row in itertools.chain([heads], rows):
        padded = (f"{shown(cell):{side}{width}}" for cell, side, width in zip(row, aligned, widths, strict=True))
        yield "  ".join(padded).rstrip()


def age(text: str) -> float:
    """Seconds of "12h", "30d", "8w" or "2y" (365 days).

    Raises:
        ValueError: it is none of these.
    """
    found = _AGE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no age: write hours, days, weeks or years as 12h, 30d, 8w or 2y")
    return float(found[1]) * _AGE_S[found[2]]
