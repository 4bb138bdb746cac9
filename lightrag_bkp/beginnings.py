"""Ids found by how they begin, as people write them."""

from collections.abc import Iterable, Sequence

from .errors import InvalidInputError

_NAMED = 5


def meant(ids: Iterable[str], beginning: str) -> list[str]:
    """The id that is `beginning`, or else all that begin with it; nothing is the beginning of none."""
    found = [one for one in ids if beginning and one.startswith(beginning)]
    return [beginning] if beginning in found else found


def several(what: str, found: Sequence[str], beginning: str) -> InvalidInputError:
    """That more than one is meant, naming the last ones. `what`: of which kind they are, in the plural."""
    named = ", ".join(found[-_NAMED:])
    return InvalidInputError(
        f"{len(found)} {what} begin with {beginning!r}, the last ones {named}: write more of the id", target=beginning
    )
