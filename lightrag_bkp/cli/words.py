"""What commands share: arguments with completion, and the options every command takes.

The options of the program may stand before or after the command's name. `command_of` gives each command the latter, so
that its function lists only what is its own and gets a `Session` for the rest.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from .completion import graph_ids, snapshot_ids
from .session import Session

Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="DIR",
        help="Where snapshots are kept  [default: LIGHTRAG_BACKUP_STORAGE_PATH or lightrag-bkp.toml]",
    ),
]
PassphraseFile = Annotated[
    str | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Passphrase of sealed snapshots  [default: environment]"),
]
KeyFile = Annotated[
    str | None,
    typer.Option("--key-file", metavar="FILE", help="Key of sealed snapshots: 32 bytes, mode 0600, or recovery kit."),
]
Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Work through the LightRAG server there, its key in LIGHTRAG_API_KEY  [default: LIGHTRAG_BACKUP_SERVER]",
    ),
]
ServerKeyFile = Annotated[
    str | None,
    typer.Option("--server-key-file", metavar="FILE", help="File with the server's key  [default: LIGHTRAG_API_KEY]"),
]
ServerCaFile = Annotated[
    str | None,
    typer.Option("--server-ca-file", metavar="FILE", help="Certificates to trust  [default: as for targets]"),
]
ServerAllowHttp = Annotated[
    bool, typer.Option("--server-allow-http", help="Show the key to another machine over plain HTTP.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, errors too.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no closing words.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr what is done.")]

GraphId = Annotated[str, typer.Argument(metavar="GRAPH", help="Name of the graph.", autocompletion=graph_ids)]
SomeGraphId = Annotated[
    str | None, typer.Argument(metavar="GRAPH", help="Name of the graph  [default: all]", autocompletion=graph_ids)
]
SomeSnapshotId = Annotated[
    str | None,
    typer.Argument(
        metavar="ID",
        help="Snapshot id, a unique beginning of one, or 'latest'  [default: everything stored]",
        autocompletion=snapshot_ids,
    ),
]
SnapshotId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="Snapshot id, a unique beginning of one, or 'latest'.", autocompletion=snapshot_ids
    ),
]

PointId = Annotated[
    str,
    typer.Argument(metavar="POINT", help="Id of the recovery point, a unique beginning of one, or 'latest'."),
]

Command = Callable[..., int | None]
"""A command's function: takes a `Session` and its own words, returns an exit code; None is 0."""

SHARED = {
    "storage": (Storage, None),
    "passphrase_file": (PassphraseFile, None),
    "key_file": (KeyFile, None),
    "server": (Server, None),
    "server_key_file": (ServerKeyFile, None),
    "server_ca_file": (ServerCaFile, None),
    "server_allow_http": (ServerAllowHttp, False),
    "json": (Json, False),
    "quiet": (Quiet, False),
    "verbose": (Verbose, False),
}


def name_of(function: Command) -> str:
    """The name of its command."""
    return function.__name__.rstrip("_")


def command_of(function: Command) -> Any:
    """Makes `function` a command of its own name, with the shared options added."""

    @functools.wraps(function)
    def run(context: typer.Context, **words: Any) -> int:
        session: Session = context.obj
        session.adopt({name: words.pop(name) for name in SHARED})
        # Typer has an opinion on interrupts and broken pipes: none of them reaches it.
        return session.attempt(lambda: function(session, **words))

    _, *own = inspect.signature(function).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, (annotation, default) in SHARED.items()
    ]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [context, *own, *shared]
    # Typer reads both the signature and the annotations.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    alone = typer.Typer(rich_markup_mode=None, add_completion=False)
    alone.command(name_of(function))(run)
    return typer.main.get_command(alone)
