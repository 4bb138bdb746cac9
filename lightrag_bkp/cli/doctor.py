"""`doctor`: what is the matter with this installation."""

from collections.abc import Iterator
from dataclasses import replace

from .failures import Exit
from .session import Session
from .text import table


def doctor(session: Session) -> int:
    """Say where each setting comes from, and try what they name.

    Storage, keys, graphs, their servers, targets and clocks are tried, and nothing is changed. Exit code 1: something
    does not work; 2: the settings themselves cannot be used. Warnings are no failure.
    """
    from .. import doctor as examination

    session.use_storage()
    found = session.run(examination.diagnose(passphrase_file=session.passphrase_file, key_file=session.key_file))
    if session.storage is not None:
        settings = (replace(one, origin="--storage") if one.name == "storage_path" else one for one in found.settings)
        found = replace(found, settings=tuple(settings))

    def lines() -> Iterator[str]:
        yield from table(("SETTING", "VALUE", "FROM"), [(one.name, one.value, one.origin) for one in found.settings])
        if found.settings:
            yield ""
        rows = [(one.state.upper(), one.area, one.message) for one in found.findings]
        yield from table(("STATE", "OF", "FOUND"), rows)

    code = session.answer(found.document, lines)
    if found.healthy:
        return code
    return code or (Exit.FAILED if found.configured else Exit.USAGE)
