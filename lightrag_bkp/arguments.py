"""What arguments of the public API may be. Each check returns the value, or says in one sentence what to pass instead:
a wrong type is an `InvalidInputError` where it is given, not a surprise from deep inside.
"""

import os
import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from .errors import InvalidInputError
from .models import ProgressCallback, RetentionPolicy

MAX_RETENTION_DAYS = 365_000
GRAPH_ID = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
"""What can name a graph."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_graph_id(name: str) -> bool:
    """Whether this can name a graph."""
    return re.fullmatch(GRAPH_ID, name) is not None


def check_graph_id(graph_id: str) -> str:
    """Returns `graph_id` when it can name a graph.

    Raises:
        InvalidInputError: it does not match [A-Za-z0-9][A-Za-z0-9_.-]{0,127}.
    """
    if not isinstance(graph_id, str) or not is_graph_id(graph_id):
        raise InvalidInputError(
            f"graph id {graph_id!r} cannot be used: take 1 to 128 of A-Z a-z 0-9 _ . - (first a letter or digit)",
            op="register",
            target=str(graph_id),
        )
    return graph_id


def check_workspace(workspace: str) -> str:
    """Returns `workspace` when it is one path component, or empty.

    Raises:
        InvalidInputError: it would lead elsewhere.
    """
    if not isinstance(workspace, str) or workspace in (".", "..") or "/" in workspace or "\0" in workspace:
        raise InvalidInputError(
            f"workspace {workspace!r} cannot be used: it must be the name of a directory inside the working directory",
            op="register",
            target=str(workspace),
        )
    return workspace


def check_path(path: str | os.PathLike[str], name: str) -> str:
    """Returns `path` as an absolute one. An empty one would mean the current directory, which nobody asked for: it is
    what an unset variable of a shell becomes.

    Args:
        path: of a file or directory, there or not.
        name: of the argument, for the message.

    Raises:
        InvalidInputError: it is empty, a URL, or no path.
    """
    text = path if isinstance(path, str) else os.fspath(path) if isinstance(path, os.PathLike) else ""
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidInputError(f"{name} {path!r} cannot be used: name a directory ('.' is the current one)")
    refuse_url(text, name)
    return os.path.abspath(text)


def refuse_url(path: str, name: str) -> None:
    """A URL would become a directory of that name here, and its owner would believe the copy to be elsewhere.

    Raises:
        InvalidInputError: this begins as a URL does.
    """
    if _URL.match(path):
        raise InvalidInputError(
            f"{name} is a URL ({path.partition(':')[0]}:), and only directories are supported: name one, such as the"
            f" place where that store is mounted (for a directory of this name write './{path.partition('/')[0]}/...')"
        )


def check_server_url(url: str, name: str = "server_url") -> str:
    """Returns `url` when it is the address of a server. It may hold a password, so no message repeats it.

    Raises:
        InvalidInputError: it is no http:// or https:// address, or holds what is not sent: a user, a query.
    """
    from urllib.parse import urlsplit  # only where there is an address: it costs start-up time

    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError, TypeError):  # brackets or a port that cannot be; no text
        known = False
    if not known or not (isinstance(url, str) and url.isascii() and url.isprintable()) or " " in url:
        raise InvalidInputError(f"{name} is no http:// or https:// address such as http://127.0.0.1:9621: correct it")
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidInputError(
            f"{name} holds a user, a password or what comes after '?', none of which is sent: leave that out, and put"
            " the server's key into LIGHTRAG_API_KEY"
        )
    return url


def check_retention_days(days: int) -> int:
    """Returns `days` when it is a whole number from 0 (keep for ever) to MAX_RETENTION_DAYS.

    Raises:
        InvalidInputError: it is not.
    """
    if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= MAX_RETENTION_DAYS:
        raise InvalidInputError(
            f"retention_days {days!r} cannot be used: take whole days from 0 (keep for ever) to {MAX_RETENTION_DAYS}"
        )
    return days


def check_retention(policy: RetentionPolicy | None) -> RetentionPolicy | None:
    """Returns `policy` when it is one, or None.

    Raises:
        InvalidInputError: it is not, as a dict of its members is not.
    """
    if policy is not None and not isinstance(policy, RetentionPolicy):
        raise InvalidInputError(f"retention {policy!r} must be a RetentionPolicy, as RetentionPolicy(keep_daily=7)")
    return policy


def check_rag(rag: Any) -> Any:
    """Returns `rag` when it has the members of a LightRAG that say where its files are.

    Raises:
        InvalidInputError: it has not.
    """
    place, workspace = getattr(rag, "working_dir", None), getattr(rag, "workspace", None)
    if not isinstance(place, str | os.PathLike) or not isinstance(workspace, str | None):
        raise InvalidInputError(f"rag must be the running LightRAG, which has a working_dir, and is a {_kind(rag)}")
    return rag


def check_progress(progress: ProgressCallback | None) -> ProgressCallback | None:
    """Returns `progress` when it can be called and is done when that returns.

    Raises:
        InvalidInputError: it is no function, or an async one, which nobody would await.
    """
    if progress is None:
        return None
    import inspect  # a caller that has progress has an event loop, which has brought it in

    if not callable(progress):
        raise InvalidInputError(f"progress must be a function that takes a Progress, and is a {_kind(progress)}")
    if any(map(inspect.iscoroutinefunction, (progress, getattr(progress, "__call__", None)))):  # noqa: B004
        raise InvalidInputError("progress must be a plain function: an async one would not be awaited")
    return progress


def check_flags(**flags: object) -> None:
    """Raises InvalidInputError for what is neither True nor False: a text such as "no" would mean yes."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise InvalidInputError(f"{name} {value!r} must be True or False")


def check_choice(value: str, name: str, choices: Collection[str]) -> str:
    """Returns `value` when it is one of `choices`.

    Raises:
        InvalidInputError: it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise InvalidInputError(f"{name} {value!r} is unknown: take one of {', '.join(choices)}")
    return value


def check_on_busy(on_busy: str) -> str:
    """Returns `on_busy` when it says what a cut does while LightRAG works: wait for a good moment, fail at once, or
    take any moment.

    Raises:
        InvalidInputError: it does not.
    """
    return check_choice(on_busy, "on_busy", ("wait", "fail", "crash"))


def check_seconds(value: float, name: str, most: float) -> float:
    """Returns `value` when it is a number of seconds from 0 to `most`; NaN compares false with everything.

    Raises:
        InvalidInputError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InvalidInputError(f"{name} {value!r} must be a number of seconds from 0 to {most}")
    return value


def check_instant(now: datetime | None) -> datetime | None:
    """Returns `now` when it says which instant it is, or None.

    Raises:
        InvalidInputError: it is no datetime, or has no time zone.
    """
    if now is not None and (not isinstance(now, datetime) or now.tzinfo is None):
        raise InvalidInputError(f"now {now!r} must be a datetime with a time zone, as datetime.now(UTC)")
    return now


def check_text(text: str, name: str) -> str:
    """Returns `text` when it is one.

    Raises:
        InvalidInputError: it is not.
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"{name} must be a text, and is a {_kind(text)}")
    return text


def check_characters(text: str, name: str) -> str:
    """Returns `text` when the core can be told it: that takes UTF-8 without a NUL, and refuses what else is wrong. It
    may be a key, so no message repeats it.

    Raises:
        InvalidInputError: it is no text, or has what is no character, or a NUL.
    """
    if "\0" in check_text(text, name) or any("\ud800" <= one <= "\udfff" for one in text):
        raise InvalidInputError(f"{name} cannot be used: it has a NUL in it, or what is no character; leave that out")
    return text


def check_items(items: Sequence[str] | None) -> list[str] | None:
    """Returns names of files as a list when files can have them, or None. What `os.fsdecode` makes of bytes that are no
    UTF-8 is such a name.

    Raises:
        InvalidInputError: no file can have one of them.
    """
    if items is None:
        return None
    names = check_names(items, "items")
    for name in names:
        try:
            possible = b"\0" not in os.fsencode(name)
        except UnicodeEncodeError:  # half a pair of UTF-16
            possible = False
        if not possible:
            raise InvalidInputError(f"items names {name!r}, which no file can be called: a listing names all")
    return names


def check_names(names: Sequence[str], name: str) -> list[str]:
    """Returns `names` as a list when they are texts; one text is no list of them.

    Raises:
        InvalidInputError: they are not.
    """
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(one, str) for one in names):
        raise InvalidInputError(f"{name} {names!r} must be a list of names, as in {name}=['name']")
    return list(names)


def check_snapshot_id(snapshot_id: str) -> str:
    """Returns `snapshot_id` when it may be one.

    Raises:
        InvalidInputError: it may not.
    """
    if not isinstance(snapshot_id, str) or not snapshot_id.isprintable():
        raise InvalidInputError(f"{snapshot_id!r} is no snapshot id: a listing names all", target=str(snapshot_id))
    return snapshot_id


def _kind(value: object) -> str:
    return type(value).__name__
