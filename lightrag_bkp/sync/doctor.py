"""The same as `lightrag_bkp.doctor` without `await`; to be had as `lightrag_bkp.sync`."""

import os

from .. import doctor
from .running import run


def diagnose(
    *, passphrase_file: str | os.PathLike[str] | None = None, key_file: str | os.PathLike[str] | None = None
) -> doctor.Diagnosis:
    """As the original."""
    return run(doctor.diagnose(passphrase_file=passphrase_file, key_file=key_file))
