"""Ways to the key of a sealed storage path."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class KeySlot:
    """One way to the master key of a storage path.

    Attributes:
        slot_id: 32 hex digits. kind: "passphrase" or "key file".
        created_at: as the clock said there. in_use: whether the passphrase named here opened it.
    """

    slot_id: str
    kind: str
    created_at: datetime
    in_use: bool
