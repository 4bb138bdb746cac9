"""The whole program as one Typer application: its own options, and every command in the order `--help` shows."""

from collections import UserDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any

import typer

from . import bring, doctor, judge, keep, look, passphrases, receive, recover, replicas, ship, take, targets
from .words import (
    SHARED,
    Command,
    Json,
    KeyFile,
    PassphraseFile,
    Quiet,
    Server,
    ServerAllowHttp,
    ServerCaFile,
    ServerKeyFile,
    Storage,
    Verbose,
    command_of,
    name_of,
)

_EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 verification found damage or validation no usable "
    "graph, 4 busy; 130 interrupted (SIGTERM: 143, SIGHUP: 129) after cleaning up; 141 nobody reads the output."
)

_COMMANDS = (
    take.snapshot,
    look.list_,
    look.show,
    look.stats,
    recover.status,
    doctor.doctor,
    take.discover,
    judge.validate,
    bring.verify,
    bring.restore,
    keep.delete,
    keep.hold,
    keep.release,
    keep.prune,
    ship.replicate,
    receive.receive,
)

_GROUPS = (
    ("recovery", "Protect several graphs as one, and bring them back as one.", recover.COMMANDS),
    ("target", "Register where copies can go, and ask for health.", targets.COMMANDS),
    ("key", "Make, list and end keys for sending here and for the HTTP API.", receive.COMMANDS),
    ("replica", "List, verify, restore and prune what others sent here.", replicas.COMMANDS),
    ("passphrase", "Add, remove and list what opens sealed snapshots.", passphrases.COMMANDS),
)


class _Commands(UserDict[str, Any]):
    """Commands by name, each made when it is asked for: making all of them takes a sixth of a start."""

    def __getitem__(self, name: str) -> Any:
        return self.data[name]()


def _makers(functions: Iterable[Command]) -> dict[str, Callable[[], Any]]:
    return {name_of(function): partial(command_of, function) for function in functions}


def _group(told: str, functions: Iterable[Command]) -> Any:
    group = typer.main.get_group(typer.Typer(rich_markup_mode=None, help=told))
    group.commands = _Commands(_makers(functions))
    return group


def _version(wanted: bool) -> None:
    if wanted:
        from lightrag_bkp import __version__

        print(__version__)
        raise typer.Exit


app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(epilog=_EPILOG)
def _program(
    context: typer.Context,
    storage: Storage = None,
    passphrase_file: PassphraseFile = None,
    key_file: KeyFile = None,
    server: Server = None,
    server_key_file: ServerKeyFile = None,
    server_ca_file: ServerCaFile = None,
    server_allow_http: ServerAllowHttp = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Consistent snapshots of LightRAG graphs: taken live, verified, brought back byte for byte."""
    context.obj.adopt({name: context.params[name] for name in SHARED})


command = typer.main.get_command(app)
command.commands = _Commands(  # type: ignore[attr-defined]
    _makers(_COMMANDS) | {name: partial(_group, told, functions) for name, told, functions in _GROUPS}
)
