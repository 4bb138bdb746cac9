"""The values this package hands out: plain frozen dataclasses, no behaviour beyond reading themselves."""

from .keys import KeySlot as KeySlot
from .listing import Listing as Listing
from .progress import Progress as Progress
from .progress import ProgressCallback as ProgressCallback
from .restored import RestoreAction as RestoreAction
from .restored import RestoredItem as RestoredItem
from .restored import RestoreOutcome as RestoreOutcome
from .retention import PruneOutcome as PruneOutcome
from .retention import RetentionPolicy as RetentionPolicy
from .snapshot import BackupSnapshot as BackupSnapshot
from .snapshot import BackupStatus as BackupStatus
from .snapshot import Consistency as Consistency
from .snapshot import Item as Item
from .snapshot import ItemType as ItemType
from .snapshot import SkippedItem as SkippedItem
from .snapshot import SnapshotBody as SnapshotBody
from .snapshot import age_of as age_of
from .snapshot import microseconds as microseconds
from .snapshot import moment as moment
from .snapshot import same_body as same_body
from .snapshot import stored_object as stored_object
from .verified import Finding as Finding
from .verified import VerifyLevel as VerifyLevel
from .verified import VerifyOutcome as VerifyOutcome
