"""Sentences and documents without the places they name on this host, for those who may only read."""

import re
from typing import Any

_PLACE = re.compile(
    r"""(['"])/(?!api/)(?:(?!\1)[^\\]|\\.)*\1"""  # as `repr` writes it
    r"""|(?:(?:sqlite|file):|(?<![\w:/.<-]))/(?!api/)[^\s'",;:)\]}]+"""
    r"""(?: [^\s'",;:)\]}/]+/[^\s'",;:)\]}]*)*"""  # a name with a blank in it, and more behind
)
_HIDDEN = "[path]"


def without_places(value: Any) -> Any:
    """A JSON value with [path] in place of every absolute path in its texts; addresses of this API stay."""
    if isinstance(value, str):
        return _PLACE.sub(_HIDDEN, value) if "/" in value else value
    if isinstance(value, dict):
        return {name: without_places(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(member) for member in value]
    return value
