"""A progress bar that waits a second before it shows itself, and leaves nothing behind."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_SECONDS = 1.0


class Bar:
    """Told how far the work is; drawn on stderr by rich, which is loaded only when there is something to draw."""

    def __init__(self, title: str, *, wanted: bool) -> None:
        self._title = title
        self._wanted = wanted
        self._began = time.monotonic()
        self._drawn: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        if self._drawn is not None:
            self._drawn[0].stop()

    def tell(self, done: int, total: int | None, note: str = "") -> None:
        """Work done of a total that may be unknown."""
        if not self._wanted or time.monotonic() - self._began < PATIENCE_SECONDS:
            return
        if self._drawn is None:
            self._drawn = self._draw()
        progress, task = self._drawn
        progress.update(task, completed=done, total=total, note=note)

    def _draw(self) -> "tuple[Progress, TaskID]":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        task = progress.add_task(self._title, total=None, note="")
        progress.start()
        return progress, task
