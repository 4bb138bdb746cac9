"""A snapshot's uploads brought back into an INPUT_DIR.

They are added to what is there: files of the same name must be equal, unless they may be replaced; nothing is removed.
"""

import filecmp
import os
from collections.abc import Iterator
from enum import Enum

from ..errors import ConflictError
from ..repository import GraphRepository
from ..sources.names import INPUTS, STAGING_PREFIX
from ..sources.trees import names_below, sync_directory
from ..threads import in_thread
from .staging import Staging, Wanted, plan


class Others(Enum):
    """What becomes of another file of the same name."""

    REFUSE = "refuse"
    REPLACE = "replace"
    KEEP = "keep"


async def place(repository: GraphRepository, snapshot_id: str, input_root: str, others: Others) -> int:
    """Brings uploads and `__parsed__` back; returns how many names that are.

    Args:
        input_root: where the workspace's uploads lie, absolute; made when missing.
        others: what becomes of other files of the same name.

    Raises:
        ConflictError: another file is there, and nothing was changed.
    """
    core = await repository.require()
    if not await in_thread(lambda: any(_is_upload(name) for name, *_ in core.body(snapshot_id)[1])):
        return 0
    async with Staging(input_root, shared=True) as staging:
        uploads = Wanted(snapshot_id, items=[INPUTS])
        await staging.fill(repository, uploads, planned=await plan(repository, uploads, None))
        names = await in_thread(_lift, staging.path)
        if others is not Others.REPLACE:
            other = await in_thread(lambda: set(_others(staging.path, input_root, names)))
            if other and others is Others.REFUSE:
                first = os.path.join(input_root, min(other))
                raise ConflictError(
                    f"{first!r} is there already and is another file: move it away, or say replace (--replace)",
                    op="restore",
                    target=first,
                )
            names = [name for name in names if name not in other]
        await staging.publish(names, [])
    return len(names)


def _is_upload(name: str) -> bool:
    return name.partition("/")[0] == INPUTS


def _lift(staged: str) -> list[str]:
    """Puts what is below `inputs/` in the place of that; returns all names, in byte order."""
    below = os.path.join(staged, STAGING_PREFIX)  # no item's name: an upload may be called `inputs` too
    os.rename(os.path.join(staged, INPUTS), below)
    for name in os.listdir(below):
        os.rename(os.path.join(below, name), os.path.join(staged, name))
    os.rmdir(below)
    sync_directory(staged)
    return sorted(names_below(staged), key=os.fsencode)


def _others(staged: str, root: str, names: list[str]) -> Iterator[str]:
    """Names that are there already and are other files."""
    for name in names:
        new, old = os.path.join(staged, name), os.path.join(root, name)
        if os.path.isdir(new) or not os.path.lexists(old):
            continue
        if os.path.islink(new) or os.path.islink(old) or not filecmp.cmp(new, old, shallow=False):
            yield name
