"""A progress bar that appears after a second and leaves nothing on the terminal."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

DELAY_SECONDS = 1.0
"""Work that is done sooner shows no bar."""


class Bar:
    """A progress bar on stderr. Rich draws it, and is loaded only when the bar appears."""

    def __init__(self, title: str, *, enabled: bool) -> None:
        self._title = title
        self._enabled = enabled
        self._started = time.monotonic()
        self._shown: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        if self._shown is not None:
            self._shown[0].stop()

    def update(self, done: int, total: int | None, note: str = "", title: str | None = None) -> None:
        """Set the work done, of a total that may be unknown; another title begins another count."""
        if not self._enabled or time.monotonic() - self._started < DELAY_SECONDS:
            return
        if self._shown is None:
            self._shown = self._show()
        progress, task = self._shown
        title = title or self._title
        if progress.tasks[task].description == title:
            progress.update(task, completed=done, total=total, note=note)
        else:
            progress.reset(task, completed=done, total=total, description=title, note=note)

    def _show(self) -> "tuple[Progress, TaskID]":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        task = progress.add_task(self._title, total=None, note="")
        progress.start()
        return progress, task
