"""The progress bar. It is drawn on a terminal only, and not before an operation has taken a moment."""

import sys
import time
from typing import TYPE_CHECKING

from ..models import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Drawing
    from rich.progress import TaskID

_PATIENCE_S = 0.3
"""Importing rich takes longer than most operations; one that ends before needs no bar."""


class Bar:
    """A progress callback that draws on stderr; to be closed."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._drawing: Drawing | None = None
        self._task: TaskID | None = None

    def __call__(self, at: Progress) -> None:
        if self._drawing is None:
            if time.monotonic() - self._started < _PATIENCE_S:
                return
            self._draw(at.phase)
        assert self._drawing is not None and self._task is not None
        self._drawing.update(
            self._task, description=at.phase, completed=at.bytes_in, total=at.bytes_total or None, items=_items(at)
        )

    def close(self) -> None:
        """Takes the bar off the terminal."""
        if self._drawing is not None:
            self._drawing.stop()

    def _draw(self, phase: str) -> None:
        from rich import progress
        from rich.console import Console

        self._drawing = progress.Progress(
            progress.TextColumn("{task.description:8}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[items]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._drawing.add_task(phase, total=None, items="")
        self._drawing.start()


def bar() -> Bar | None:
    """A bar, where there is a terminal to draw it on."""
    return Bar() if sys.stderr.isatty() else None


def _items(at: Progress) -> str:
    return f"{at.items_done}/{at.items_total} items" if at.items_total else ""
