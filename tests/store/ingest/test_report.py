"""The report of an ingest counts what its commits hold, also where another ingest brought the same first."""

from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample


def samples(first: int, last: int) -> list[Sample]:
    made = []
    for number in range(first, last):
        noise = torch.Generator().manual_seed(number)
        own = {"x": torch.randn(5, 16, generator=noise), "y": torch.randn(16, generator=noise)}
        made.append(Sample(f"s{number:03d}", {**own, "same": torch.ones(4, 16)}))
    return made


def race(url: str, ours: list[Sample], theirs: list[Sample]) -> tuple[lamofc.Report, lamofc.Report]:
    """Ingest, and let another ingest commit while the segment of the first is still open."""
    other: list[lamofc.Report] = []

    def interrupt(progress: object) -> None:
        if not other:
            with lamofc.open(url, "r+") as store:
                other.append(store.ingest(theirs, "raw"))

    with lamofc.open(url, "a") as store:
        report = store.ingest(ours, "raw", progress=interrupt)
    return report, other[0]


@pytest.mark.parametrize(("first", "last"), [(0, 20), (10, 30), (0, 10), (20, 40)])
def test_reports_of_a_race_add_up(tmp_path: Path, first: int, last: int) -> None:
    url = str(tmp_path / "store")
    report, other = race(url, samples(0, 20), samples(first, last))
    new = len(set(range(20)) - set(range(first, last)))
    assert (other.samples, other.records, other.already) == (last - first, 3 * (last - first), 0)
    assert (report.samples, report.records, report.already) == (new, 3 * new, 60 - 3 * new)
    assert report.raw_bytes == new * 4 * (5 * 16 + 16 + 4 * 16)
    assert bool(report.commits) is bool(report.stored_bytes) is bool(new)
    assert not set(report.commits) & set(other.commits)
    with lamofc.open(url) as store:
        assert len(store) == report.samples + other.samples
        assert store.sql("SELECT count(*) FROM records").fetchall() == [(report.records + other.records,)]
        assert store.verify().ok


def test_progress_tells_of_the_fit_of_each_feature_before_samples_are_stored(tmp_path: Path) -> None:
    told: list[lamofc.Progress] = []
    with lamofc.open(str(tmp_path / "store"), "a") as store:
        store.ingest(samples(0, 20), quality=lamofc.Quality(snr_db=10), progress=told.append)
    fits = [now.fit for now in told if now.fit is not None]
    assert {fit.name for fit in fits} == {"same", "x", "y"}
    assert all(now.samples == 0 and now.total == 20 for now in told if now.fit is not None)
    for name in ("same", "x", "y"):
        shares = [fit.share for fit in fits if fit.name == name]
        assert shares == sorted(shares) and 0 < shares[0] < shares[-1] < 1
    assert told[-1].samples == 20 and told[-1].fit is None
