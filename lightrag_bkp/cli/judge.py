"""`validate`: whether a graph fits together."""

from collections.abc import Iterator
from typing import Annotated

import typer

from .failures import Exit
from .session import Session
from .text import shown

_MISSING = ("file_missing", "vectors_missing")


def validate(
    session: Session,
    directory: Annotated[str, typer.Argument(metavar="DIR", help="A working directory of LightRAG.")],
    workspace: Annotated[
        str, typer.Option(metavar="W", help="Its workspace  [default: the unnamed one]", show_default=False)
    ] = "",
    embedding_dim: Annotated[
        int | None, typer.Option(metavar="N", help="The dimension LightRAG is configured with, to compare with.")
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Part of the graph is not in files here.")] = False,
) -> int:
    """Say whether a graph can be used, and what is wrong with it.

    The files are judged against the invariants of LightRAG (docs/validation.md), where they are; nothing is changed.
    Exit code 3: the verdict is neither usable nor usable_with_reprocessing.
    """
    from .. import validation
    from ..arguments import check_workspace

    session.here()
    check_workspace(workspace)
    with session.progress() as progress:
        found = session.run(
            validation.validate_directory(
                directory, workspace, embedding_dim=embedding_dim, partial=partial, progress=progress
            )
        )

    def lines() -> Iterator[str]:
        yield from map(shown, found.page())
        if not partial and any(one.check in _MISSING for one in found.errors):
            yield ""
            yield "--partial judges the files that are there, where the missing ones are kept elsewhere"

    code = session.answer(lambda: {"directory": directory, "workspace": workspace, **found.document()}, lines)
    return code or (Exit.DONE if found.usable else Exit.DAMAGE)
