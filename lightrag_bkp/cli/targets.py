"""Commands about where copies go: `target add`, `list`, `health`, `remove`."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..documents import target_document
from ..errors import InvalidInputError
from ..secret import exposed
from .place import key_of
from .session import Session
from .text import table, when

if TYPE_CHECKING:
    from ..replication import TargetHealth

KEY_VARIABLE = "LIGHTRAG_REPLICATION_API_KEY"
_SHORT_ID = 8

Named = Annotated[str, typer.Argument(metavar="TARGET", help="Its name, its id, or a unique beginning of the id.")]


def list_(session: Session) -> int:
    """List the instances copies can go to."""
    found = session.replication().list_targets()

    def lines() -> list[str]:
        if not found:
            return ["no replication targets are registered"]
        rows = ((one.target_id[:_SHORT_ID], one.name, one.base_url, when(one.created_at)) for one in found)
        return [*table(("ID", "NAME", "URL", "REGISTERED (UTC)"), rows)]

    return session.answer(lambda: {"targets": [target_document(one) for one in found]}, lines)


def add(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="Where it is: https://host:port.")],
    api_key_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help=f"File with the API key made for this instance there  [env: {KEY_VARIABLE}]"),
    ] = None,
    ca_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Certificates to trust  [default: those of SSL_CERT_FILE, else certifi's]"),
    ] = None,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Send the key over plain HTTP to another machine.")
    ] = False,
    allow_private: Annotated[bool, typer.Option("--allow-private", help="Allow a private address.")] = False,
    bytes_per_second: Annotated[
        float | None, typer.Option(metavar="N", min=1, help="Send no faster  [default: as fast as it goes]")
    ] = None,
) -> int:
    """Register an instance copies can go to.

    The API key is never an argument: others on this machine could read it. It is stored sealed.
    """
    from ..probing import ProbeSettings
    from ..replication import ReplicationTarget

    trusted = None if ca_file is None else os.path.abspath(ca_file)
    connection = ProbeSettings(
        ca_file=trusted, allow_http=allow_http, allow_private=allow_private, bytes_per_second=bytes_per_second
    )
    key = key_of(api_key_file, "--api-key-file", KEY_VARIABLE)
    concern = None if api_key_file is None else exposed(api_key_file, "API key file")
    if concern is not None and not session.json:
        session.complain(f"warning: {concern}")
    target = ReplicationTarget(name, url, key, connection=connection)
    manager = session.replication()
    if any(one.name == name for one in manager.list_targets()):
        raise InvalidInputError(f"there is a replication target called {name!r}: take another name, or remove it first")
    manager.register_target(target)
    return session.close(
        lambda: target_document(target), lambda: [f"target {name} is registered as {target.target_id}"]
    )


def health(
    session: Session,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]", help="Its name, its id, or a unique beginning of the id  [default: all targets]"
        ),
    ] = None,
) -> int:
    """Ask one target, or all, whether they can receive. Exit code 1: not all can."""
    from ..replication import TargetStatus, resolve

    with session.replication() as manager:
        asked = manager.list_targets() if target is None else [resolve(manager.list_targets(), target)]
        if target is None:
            found = session.run(manager.check_all_targets())
        else:
            found = {asked[0].target_id: session.run(manager.check_target_health(asked[0].target_id))}
    rows = [(one, found[one.target_id]) for one in asked if one.target_id in found]

    def lines() -> list[str]:
        if not rows:
            return ["no replication targets are registered"]
        said = ((one.name, seen.status.value, f"{seen.took_ms} ms", seen.reason) for one, seen in rows)
        return [*table(("NAME", "STATUS", "TOOK", "REASON"), said)]

    session.answer(lambda: {"targets": [target_document(one) | _seen(seen) for one, seen in rows]}, lines)
    return 0 if all(seen.status is TargetStatus.HEALTHY for _, seen in rows) else 1


def remove(session: Session, target: Named) -> int:
    """Forget a target, for all graphs. Copies that lie there stay there."""
    from ..replication import resolve

    manager = session.replication()
    found = resolve(manager.list_targets(), target)
    manager.remove_target(found.target_id)
    return session.close(lambda: target_document(found), lambda: [f"target {found.name} is removed"])


def _seen(health: "TargetHealth") -> dict[str, Any]:
    return {
        "status": health.status.value,
        "reason": health.reason,
        "checked_at": None if health.checked_at is None else health.checked_at.isoformat(),
        "took_ms": health.took_ms,
        "instance_id": health.instance_id or None,
        "version": health.version or None,
        "free_bytes": health.free_bytes,
    }


COMMANDS = (add, list_, health, remove)
