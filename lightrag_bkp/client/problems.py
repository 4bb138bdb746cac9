"""What a server says when it does not do what was asked: the error a local command would have raised.

Ours says application/problem+json with the `code` of the error; LightRAG's middleware says no more than a `detail`, and
whatever else may answer says anything.
"""

from collections.abc import Mapping
from typing import Any

from .. import errors
from ..errors import LightragBkpError, ServerError

_LONGEST = 4_000
_KEY_ADVICE = "set LIGHTRAG_API_KEY to the server's key, or name a file with it (--server-key-file)"


def _codes() -> dict[str, type[LightragBkpError]]:
    found = {
        one.code: one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, LightragBkpError)
    }
    return found | {LightragBkpError.code: errors.InternalError}


_CLASSES = _codes()


def error_of(problem: Mapping[str, Any], url: str, status: int = 0) -> LightragBkpError:
    """The error a problem tells of. Texts are somebody else's: they are cut off where they are too long, and made
    printable where they are shown.

    Args:
        problem: the document, or what came in its place. url: of the server. status: of the answer; 0 where none is.
    """
    code, said = _text(problem, "code"), _text(problem, "detail")
    if status in (401, 403):
        return ServerError(f"{url} refuses: {said or 'no reason given'}; {_KEY_ADVICE}", target=url)
    kind = _CLASSES.get(code)
    if kind is not None and said:
        number = problem.get("errno")
        return kind(
            said,
            code=code,
            errno=number if type(number) is int and 0 <= number < 4096 else 0,
            op=_text(problem, "op"),
            target=_text(problem, "target"),
        )
    if code:
        return ServerError(f"{url}: {said or 'no reason given'}", target=url)
    return _by_status(said, url, status)


def _by_status(said: str, url: str, status: int) -> LightragBkpError:
    """What answers with no code of ours: LightRAG's middleware, a server without our routes, something else."""
    if status == 404:
        return ServerError(
            f"{url} answers, and has no routes of lightrag-bkp: start it with lightrag-bkp-server or mount"
            " create_backup_routes(), or correct the address",
            target=url,
        )
    if status == 413:
        return errors.LimitError(f"{url} takes no request as long as this one: {said or 'no reason given'}", target=url)
    return ServerError(f"{url} answers {status}: {said or 'no reason given'}", target=url)


def _text(problem: Mapping[str, Any], name: str) -> str:
    found = problem.get(name)
    return found[:_LONGEST] if isinstance(found, str) else ""
