"""What interrupted restores left in the directories of a LightRAG that is served by several processes."""

import os

from ..graph.known import KnownGraph, root_of
from ..sources.mending import Finish
from ..threads import in_thread
from .restore import finish
from .staging import is_half_done, waits


def finisher(working_dir: str, workspace: str, graph: KnownGraph | None) -> Finish:
    """Finishes and clears them; see `sources.mending`.

    Args:
        graph: says where its uploads lie.
    """

    root = root_of(working_dir, workspace)

    async def finish_all(may_change: bool) -> bool:
        if graph is not None and graph.input_dir is not None:
            await _finish(root_of(graph.input_dir, workspace))
        changing = await in_thread(is_half_done, root)
        if changing and not may_change:
            return False
        return await _finish(root) and changing

    return finish_all


async def _finish(root: str) -> bool:
    return await in_thread(_is_left, root) and await finish(root)


def _is_left(root: str) -> bool:
    return os.path.isdir(root) and waits(root)
