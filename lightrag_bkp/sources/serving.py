"""Which graphs a LightRAG server of ours has open: it says so with a lock, for as long as its process lives.

    <working directory>/.lightrag_bkp/server[.<workspace>].lock

A server shares the lock with others and with the workers it forks. Whoever is about to replace the files from another
process takes it alone: that fails while a server is up, and one that starts meanwhile waits. The kernel lets go when a
process ends, however it does, so that a file which is left says nothing.
"""

import fcntl
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from .. import locking
from ..errors import ConfigurationError, RefusedError, ServerError
from ..threads import held
from .names import OWN_DIR

logger = logging.getLogger("lightrag_bkp")


def enter(working_dir: str, workspace: str = "") -> int:
    """Says that this process serves a graph; waits while its files are being replaced.

    Args:
        working_dir: of LightRAG; made when missing. workspace: the one it serves; "" is the unnamed one.

    Returns:
        A descriptor that forked processes share. The graph counts as served until the last of them closes it or ends.
    """
    path = _path(working_dir, workspace)
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
    except OSError as error:  # it serves all the same
        logger.warning("event=serving_unseen path=%r advice='restore through this server alone' error=%s", path, error)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextmanager
def alone(working_dir: str, workspace: str = "") -> Iterator[None]:
    """Keeps servers of ours from starting on a graph whose files are about to be replaced from outside.

    Raises:
        RefusedError: one is up there.
    """
    path = _path(working_dir, workspace)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # nobody ever served it, or what is there is not ours
        yield
        return
    try:
        with locking.released(fd):
            if not _locked(fd, fcntl.LOCK_EX) and _locked(fd, fcntl.LOCK_SH):  # not another restore: it says so itself
                raise _refusal(working_dir, workspace, "a LightRAG server has it open")
            yield
    finally:
        os.close(fd)


@asynccontextmanager
async def unserved(working_dir: str, workspace: str, server_url: str | None, *, check: bool) -> AsyncIterator[None]:
    """As `alone`, and looks for any LightRAG server that has the graph open by what it says itself: one that does not
    answer, or not to us, is not seen.

    Args:
        server_url: of a server that is known for this graph, or None. check: without it as nothing.

    Raises:
        RefusedError: one is up.
    """
    if not check:
        yield
        return
    async with held(alone(working_dir, workspace)):
        if server_url is not None and await _says_it_serves(server_url, working_dir, workspace):
            raise _refusal(working_dir, workspace, f"the LightRAG server at {server_url} has it open")
        yield


async def refuse_served(working_dir: str, workspace: str, server_url: str | None) -> None:
    """As `unserved`, for this moment only."""
    async with unserved(working_dir, workspace, server_url, check=True):
        pass


async def _says_it_serves(url: str, working_dir: str, workspace: str) -> bool:
    from .server_status import KEY_VARIABLE, Server  # only where a server is named: it costs start-up time

    with suppress(ServerError, ConfigurationError):
        return await Server(url, os.environ.get(KEY_VARIABLE)).serves(working_dir, workspace)
    return False


def _locked(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _refusal(working_dir: str, workspace: str, why: str) -> RefusedError:
    root = os.path.join(working_dir, workspace) if workspace else working_dir
    return RefusedError(
        f"nothing is restored into {root!r}, for {why}: it would go on with what is in its memory and write that over"
        " the restored files; restore through it (--server URL), or stop it first",
        op="restore",
        target=root,
    )


def _path(working_dir: str, workspace: str) -> str:
    name = f"server.{workspace}.lock" if workspace else "server.lock"
    return os.path.join(os.path.realpath(working_dir), OWN_DIR, name)
