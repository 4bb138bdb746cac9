"""Sentences and documents without the places they name on this host or of its database, for those who may only read."""

import re
from typing import Any

_PLACE = re.compile(
    r"""(['"])/(?!api/)(?:(?!\1)[^\\]|\\.)*\1"""  # as `repr` writes it
    r"""|(?:(?:sqlite|file):|(?<![\w:/.<-]))/(?!api/)[^\s'",;:)\]}]+"""
    r"""(?: [^\s'",;:)\]}/]+/[^\s'",;:)\]}]*)*"""  # a name with a blank in it, and more behind
)
_DATABASE = re.compile(r"(the replication database )(?!sqlite)\w+(?:\+\w+)?://.* cannot be used: .*", re.DOTALL)
"""What a driver says goes on to name the server and the user, each in its own words."""
_DATABASE_URL = re.compile(r"\b(?!https?:|sqlite:|file:)[a-z][a-z0-9]*(?:\+[a-z0-9]+)?://[^\s'\"]+")
_HIDDEN = "[path]"
_HIDDEN_DATABASE = "[database]"


def without_places(value: Any) -> Any:
    """A JSON value with [path] in place of every absolute path in its texts, and [database] in place of the address of
    one; addresses of this API stay.
    """
    if isinstance(value, str):
        return _in_words(value) if "/" in value else value
    if isinstance(value, dict):
        return {name: without_places(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(member) for member in value]
    return value


def _in_words(said: str) -> str:
    said = _DATABASE.sub(rf"\g<1>{_HIDDEN_DATABASE} cannot be used: whoever may operate this server is told why", said)
    return _PLACE.sub(_HIDDEN, _DATABASE_URL.sub(_HIDDEN_DATABASE, said))
