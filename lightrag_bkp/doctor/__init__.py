"""What is the matter with an installation, before the day it counts.

    diagnosis = await doctor.diagnose()
    assert diagnosis.healthy, diagnosis.findings

Every setting with where it came from, and a live look at what they name: the storage path is read and written, keys
open what is stored, targets are asked, clocks compared. Nothing is changed.
"""

import asyncio
import os

from .. import arguments, config, secret
from ..backup import BackupManager
from ..errors import LightragBkpError
from ..threads import in_thread
from . import elsewhere, here, packages
from .findings import Diagnosis, Finding, Setting, State, in_order
from .shown import misspelt, shown

__all__ = ["Diagnosis", "Finding", "Setting", "State", "diagnose"]


async def diagnose(
    *, passphrase_file: str | os.PathLike[str] | None = None, key_file: str | os.PathLike[str] | None = None
) -> Diagnosis:
    """Looks at the installation that the environment and `lightrag-bkp.toml` describe. What is wrong is a finding and
    no exception. It takes as long as the slowest target, and some seconds where LightRAG is installed.

    Args:
        passphrase_file, key_file: one of them, in place of the configured one.

    Raises:
        InvalidInputError: an argument cannot be used.
    """
    if passphrase_file is not None:
        passphrase_file = arguments.check_path(passphrase_file, "passphrase_file")
    if key_file is not None:
        key_file = arguments.check_path(key_file, "key_file")
    try:
        settings = config.load()
    except LightragBkpError as error:
        return Diagnosis((), (_unusable(error),), configured=False)
    try:
        chosen = secret.named(None, passphrase_file, key_file) or settings.secret
        manager = BackupManager(passphrase_file=passphrase_file, key_file=key_file)
    except LightragBkpError as error:
        return Diagnosis(tuple(shown(settings, settings.secret)), (_unusable(error),), configured=False)
    async with manager, asyncio.TaskGroup() as looking:
        at_lightrag = looking.create_task(packages.lightrag())
        at_home = looking.create_task(in_thread(here.look, manager, settings, chosen))
        at_servers = looking.create_task(here.ask_servers(settings.graphs))
        at_targets = looking.create_task(elsewhere.look(manager))
    found = [Finding("settings", State.WARNING, said) for said in misspelt(os.environ)]
    found += [*at_home.result(), *at_servers.result(), *at_targets.result(), *packages.extras(), at_lightrag.result()]
    return Diagnosis(tuple(shown(settings, chosen)), in_order(found))


def _unusable(error: LightragBkpError) -> Finding:
    return Finding("settings", State.FAILED, str(error))
