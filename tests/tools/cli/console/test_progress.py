"""A progress bar shows counts one after another, each with its own estimate."""

import pytest
from rich.progress import Progress

from lamofc_tools.cli.console import Bar
from lamofc_tools.cli.console import progress as module


def shown(bar: Bar) -> tuple[object, ...]:
    assert bar._shown is not None
    drawn, task = bar._shown
    assert isinstance(drawn, Progress)
    current = drawn.tasks[task]
    return current.description, current.completed, current.total, current.fields["note"]


def test_another_title_begins_another_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELAY_SECONDS", 0.0)
    with Bar("ingest", enabled=True) as bar:
        bar.update(0, 9)
        assert shown(bar) == ("ingest", 0, 9, "")
        bar.update(50, 100, "%", "fit x[/y]")
        bar.update(80, 100, "%", "fit x[/y]")
        assert shown(bar) == ("fit x[/y]", 80, 100, "%")
        bar.update(3, 9, "1 kB")
        assert shown(bar) == ("ingest", 3, 9, "1 kB")
        assert bar._shown is not None and bar._shown[0].tasks[0].speed is None  # not that of the fit


def test_nothing_is_shown_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELAY_SECONDS", 0.0)
    with Bar("ingest", enabled=False) as bar:
        bar.update(1, 2)
        assert bar._shown is None
