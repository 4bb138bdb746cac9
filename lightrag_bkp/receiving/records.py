"""What a replica keeps in small JSON files: receipts, and what its sender said last. What cannot be read is named."""

import json
from dataclasses import dataclass
from typing import Any

from ..errors import DamagedError
from . import shelf
from .protocol import SHA256_HEX

_SAID = ("head", "behind_bytes", "heard_us", "even_us")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A snapshot that is complete here.

    Attributes:
        number: of its log entry. sha256: of that entry. needs: SHA-256 of the list of its packs.
        received_us: when it became complete, by this host's clock. time_us: when it was taken, as its entry claims.
    """

    number: int
    sha256: str
    needs: str
    received_us: int
    time_us: int


def read_receipt(number: int, path: str) -> Receipt:
    """The receipt of an entry.

    Raises:
        DamagedError: it is missing or damaged.
    """
    try:
        receipt = Receipt(number, **_document(path) or {})
        is_sound = bool(SHA256_HEX.fullmatch(receipt.sha256) and SHA256_HEX.fullmatch(receipt.needs))
    except TypeError:
        is_sound = False
    if not is_sound or not _are_numbers([receipt.received_us, receipt.time_us]):
        raise DamagedError("a receipt of the replica is damaged: a sender has it made out again", target=path)
    return receipt


def read_status(path: str) -> dict[str, Any]:
    """{head, behind_bytes, heard_us, even_us, held}, as far as they are known.

    Raises:
        DamagedError: it is damaged.
    """
    status = _document(path)
    if status is None:
        return {}
    held = status.get("held", [])
    numbers = [status.get(name, 0) for name in _SAID]
    if not isinstance(held, list) or not _are_numbers(numbers + held):
        raise DamagedError("what is kept of a replica's sender is damaged", target=path)
    return status


def _are_numbers(found: list[Any]) -> bool:
    return all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in found)


def _document(path: str) -> dict[str, Any] | None:
    """None: it is not there."""
    stored = shelf.read(path)
    try:
        return None if stored is None else dict(json.loads(stored))
    except (ValueError, TypeError, RecursionError):
        raise DamagedError("what is kept of a replica is damaged", target=path) from None
