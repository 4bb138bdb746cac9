"""What does not go through a server: each with one sentence that says so, and what to do instead."""

from ..errors import InvalidInputError
from ..models import RetentionPolicy


def unused(what: str, **words: object) -> None:
    """Refuses words a server has no use for: what they say is its own configuration's matter.

    Args:
        what: these words say, in a few of our own. words: name -> value; None was not said.

    Raises:
        InvalidInputError: one was said.
    """
    said = next((name for name, value in words.items() if value is not None), None)
    if said is not None:
        name = said if said.isupper() else f"--{said.replace('_', '-')}"
        raise InvalidInputError(
            f"{name} does not go with --server, which knows {what}: leave it out, or run this on the machine itself",
            target=said,
        )


def refuse_policy(retention: RetentionPolicy | None) -> None:
    """Raises InvalidInputError for a policy of the caller's own."""
    if retention is not None:
        raise InvalidInputError(
            "rules of retention do not go with --server, which cleans up by its own: leave them out, or change its"
            " configuration",
            target="retention",
        )
