"""The receiving side: `receive`, `key add`, `key list`, `key revoke`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInputError
from .session import Session
from .text import table, when

if TYPE_CHECKING:
    from ..receiving.keys import ReceiveKey

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def receive(
    session: Session,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to take connections; port 0 is any that is free.")
    ] = "127.0.0.1:9631",
    tls_cert: Annotated[str | None, typer.Option(metavar="FILE", help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="Its private key, PEM.")] = None,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Take keys over plain HTTP: behind a proxy that speaks TLS.")
    ] = False,
    keep_days: Annotated[
        int, typer.Option(metavar="N", help="Let go what came more than N days ago; 0: nothing.")
    ] = 30,
    minimum: Annotated[int, typer.Option(metavar="N", help="Keep the newest N in any case.")] = 3,
    min_free: Annotated[
        str, typer.Option(metavar="SIZE", help="Room on the file system that is never filled, as 500MB.")
    ] = "256MB",
) -> None:
    """Receive copies of graphs from other instances, until ended.

    They lie in replicas/<sender>/ below the storage path; `key add` makes the keys senders need.
    """
    import gc

    from ..receiving.app import ReceiveApplication
    from ..receiving.here import open_receiver
    from ..receiving.receiver import Settings
    from ..receiving.retention import Rules
    from ..receiving.serve import serve

    session.use_storage()
    settings = Settings(_bytes(min_free, "--min-free"), rules=Rules(keep_days, minimum))
    application = ReceiveApplication(open_receiver(settings=settings))

    def ready(url: str) -> None:
        session.close(lambda: {"url": url}, lambda: [f"receiving on {url}"])
        session.flush()

    gc.enable()  # `main` turned it off; connections that ended are garbage in circles, with all they had received
    serve(application, listen, tls_cert, tls_key, allow_http=allow_http, ready=ready)


def add(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; a sender's replicas lie under it.")],
    scope: Annotated[
        str,
        typer.Option(metavar="SCOPE", help="replicate: send copies here; or of the HTTP API read, operate or admin."),
    ] = "replicate",
    graph: Annotated[
        str | None, typer.Option(metavar="GRAPH", help="The only graph it may send  [default: any]")
    ] = None,
    quota: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What its replicas may take, as 50GB  [default: no limit]")
    ] = None,
) -> int:
    """Make a key for an instance that sends here, or for the HTTP API. It is shown once, and kept nowhere."""
    from ..receiving.here import open_keys

    session.use_storage()
    made, key = open_keys().add(name, scope, graph, None if quota is None else _bytes(quota, "--quota"))
    # The key is the answer, so that --quiet leaves it.
    return session.answer(lambda: _document(made) | {"key": key}, lambda: [key])


def list_(session: Session) -> int:
    """List the keys that were made here, revoked ones too."""
    from ..receiving.here import open_keys
    from ..receiving.keys import REPLICATE

    session.use_storage()
    found = open_keys().all()

    def lines() -> list[str]:
        if not found:
            return ["no keys were made"]
        rows = (
            (
                one.key_id,
                one.name,
                one.scope,
                one.graph_id or "any" if one.scope == REPLICATE else "",
                when(one.created_at),
                when(one.last_used_at) if one.last_used_at else "never",
                f"revoked {when(one.revoked_at)}" if one.revoked_at else "good",
            )
            for one in found
        )
        return [*table(("ID", "NAME", "FOR", "GRAPH", "MADE (UTC)", "LAST USED (UTC)", "STATE"), rows)]

    return session.answer(lambda: {"keys": [_document(one) for one in found]}, lines)


def revoke(
    session: Session,
    key: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, a unique beginning of it, or its name.")],
) -> int:
    """End a key, within seconds. What was sent with it stays."""
    from ..receiving.here import open_keys

    session.use_storage()
    ended = open_keys().revoke(key)
    return session.close(lambda: _document(ended), lambda: [f"key {ended.key_id} of {ended.name} is revoked"])


def _bytes(text: str, option: str) -> int:
    number = text.rstrip("KMGTBkmgtb")
    unit = text[len(number) :].upper().removesuffix("B")
    factor = _UNITS.get(f"{unit}B" if unit else "")
    if factor is None or not number.isascii() or not number.isdigit() or int(number) * factor >= 1 << 63:
        raise InvalidInputError(f"{option} {text!r} cannot be used: a size is meant, as 500MB or 50GB", target=option)
    return int(number) * factor


def _document(key: "ReceiveKey") -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scope": key.scope,
        "graph_id": key.graph_id,
        "quota_bytes": key.quota_bytes,
        "created_at": key.created_at.isoformat(),
        "last_used_at": None if key.last_used_at is None else key.last_used_at.isoformat(),
        "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(),
    }


COMMANDS = (add, list_, revoke)
