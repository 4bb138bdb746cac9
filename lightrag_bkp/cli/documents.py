"""How JSON documents are written, piece by piece; what they say is `lightrag_bkp.documents`."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..documents import members as members
from ..documents import snapshot_document as snapshot_document
from ..documents import tags as tags


def written(value: Any, margin: str = "\n") -> Iterator[str]:
    """A document as `json.dumps` with an indentation of 2 writes it, in pieces: no listing is held whole."""
    if isinstance(value, Mapping) and value:
        yield from _enclosed("{}", margin, ((f"{json.dumps(key)}: ", one) for key, one in value.items()))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from _enclosed("[]", margin, (("", one) for one in value)) if value else ("[]",)
    else:
        yield json.dumps(value)


def _enclosed(brackets: str, margin: str, members: Iterable[tuple[str, Any]]) -> Iterator[str]:
    before = brackets[0]
    for name, value in members:
        if isinstance(value, str | int):  # most are, and are spared a generator
            yield f"{before}{margin}  {name}{json.dumps(value)}"
        else:
            yield f"{before}{margin}  {name}"
            yield from written(value, margin + "  ")
        before = ","
    yield f"{margin}{brackets[1]}"
