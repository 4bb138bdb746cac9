"""Commands about what opens a sealed storage path: `passphrase add`, `remove`, `list`, `export`."""

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from ..errors import InvalidInputError
from ..models import KeySlot
from .session import Session
from .text import table, when

_SHORT_ID = 12
_LOST = (
    "what is stored here is sealed, but no passphrase opens it: restore a keys directory from a copy, or name the key"
    " file or recovery kit and add a passphrase"
)
_UNTOLD = (
    "what is stored here is sealed, and every key slot here is missing or said to be removed; without the key it cannot"
    " be told whether that is true: name the passphrase, key file or recovery kit"
)


def list_(session: Session) -> int:
    """List what opens the storage path.

    Nothing has to be unlocked for that; with a passphrase or key file named, the slot it opens is marked.
    """
    manager = session.manager_here()
    slots = session.run(manager.list_key_slots())
    if manager.keyring.forgery is not None:
        session.complain(f"warning: {manager.keyring.forgery}")

    def lines() -> list[str]:
        if not slots:
            if not manager.keyring.sealed_now():
                return ["nothing here is sealed"]
            return [_LOST if manager.keyring.unlocked else _UNTOLD]
        rows = ((one.slot_id[:_SHORT_ID], one.kind, when(one.created_at), "*" * one.in_use) for one in slots)
        return [*table(("SLOT", "KIND", "CREATED (UTC)", "IN USE"), rows)]

    return session.answer(lambda: {"slots": [_document(one) for one in slots]}, lines)


def add(
    session: Session,
    new_passphrase_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="File with the new passphrase  [default: ask for it at the terminal]"),
    ] = None,
) -> int:
    """Add a passphrase, beside those there are.

    It opens all graphs of the storage path, those of later too. Replacing one is adding the new and removing the old.
    """
    from ..secret import Secret

    manager = session.manager_here()
    if new_passphrase_file is None:
        new = Secret.passphrase(_asked_twice(), "the terminal")
    else:
        new = Secret.passphrase_file(new_passphrase_file, "--new-passphrase-file")
    words, _ = new.read()
    assert words is not None
    slot = session.run(manager.add_passphrase(words))
    return session.close(lambda: {"slot_id": slot}, lambda: [f"passphrase added as slot {slot[:_SHORT_ID]}"])


def remove(
    session: Session,
    slot: Annotated[str, typer.Argument(metavar="SLOT", help="Id of the slot, or a unique beginning of it.")],
) -> int:
    """Remove a passphrase from all graphs.

    It opens nothing here any more, not even when its slot is put back from a copy; a whole copy of the storage path
    that was made before still opens with it, where that lies. Who has seen the master key keeps it: if that may have
    happened, take a new storage path, which has a new key.
    """
    removed = session.run(session.manager_here().remove_passphrase(slot))
    return session.close(lambda: {"slot_id": removed}, lambda: [f"slot {removed[:_SHORT_ID]} is removed"])


def export(session: Session) -> int:
    """Print a recovery kit: the master key as text.

    Whoever has it can read everything stored. Keep it on paper or elsewhere; saved with mode 0600 it serves as
    --key-file when all passphrases are lost.
    """
    kit = session.run(session.manager_here().recovery_kit())
    return session.answer(lambda: {"recovery_kit": kit}, lambda: kit.splitlines())


def _asked_twice() -> str:
    if not sys.stdin.isatty():
        raise InvalidInputError("there is no terminal to ask for a passphrase at: name a --new-passphrase-file")
    from getpass import getpass

    new = getpass("new passphrase: ")
    if getpass("the same again: ") != new:
        raise InvalidInputError("the two passphrases differ: nothing was added")
    return new


def _document(slot: KeySlot) -> dict[str, Any]:
    return {**asdict(slot), "created_at": slot.created_at.isoformat()}


COMMANDS = (add, remove, list_, export)
