"""What a restore is asked for: quick to import, unlike what does it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..models import BackupSnapshot, ProgressCallback


@dataclass(frozen=True)
class Request:
    """What to restore, where to and how; see `GraphBackup.restore`.

    `rag` is the graph's running LightRAG, or None; `server_url` that of another process which may have it open;
    `keep_uploads`: other uploads of the same name stay; `allow_unusable`: an unusable graph may replace what is there.
    """

    snapshot: BackupSnapshot
    target_dir: str
    items: Sequence[str] | None = None
    dry_run: bool = False
    workspace: str | None = None
    input_dir: str | None = None
    replace: bool = False
    keep_uploads: bool = False
    allow_unusable: bool = False
    progress: ProgressCallback | None = None
    rag: Any = None
    server_url: str | None = None
