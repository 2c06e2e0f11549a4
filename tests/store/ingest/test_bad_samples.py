"""Samples that cannot be coded or fitted on: named, skipped, or stored raw, wherever in the source they stand."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Quality, Sample
from lamofc_store.errors import SourceError

COUNT = 12


def features(*spoiled: int, value: float = float("nan"), name: str = "x") -> list[Sample]:
    """Samples of two features each, some with a value that no lossy codec takes."""
    samples = []
    for number in range(COUNT):
        noise = torch.Generator().manual_seed(number)
        tensors = {key: torch.randn(20, 8, generator=noise) for key in ("x", "y")}
        if number in spoiled:
            tensors[name][3, 2] = value
        samples.append(Sample(f"s{number:02d}", tensors))
    return samples


@pytest.fixture
def store(tmp_path: Path) -> Iterable[lamofc.Store]:
    with lamofc.open(str(tmp_path / "store"), "a") as opened:
        yield opened


@pytest.mark.parametrize("once", [False, True])
def test_a_sample_that_a_fit_reads_is_named(store: lamofc.Store, once: bool) -> None:
    samples = features(2)
    with pytest.raises(SourceError, match=r"sample 's02', feature 'x': .* 1 non-finite values of 160") as caught:
        store.ingest(iter(samples) if once else samples, "uniform")
    assert "on_error= skip or raw" in caught.value.cure
    assert len(store) == 0


@pytest.mark.parametrize("make", [list, iter])
@pytest.mark.parametrize("on_error", ["skip", "raw"])
@pytest.mark.parametrize("options", [{"codec": "uniform"}, {"groups": ("*",)}, {"groups": ("auto",)}])
def test_samples_that_a_fit_reads_are_skipped_or_stored_raw(
    store: lamofc.Store, make: Callable[[list[Sample]], Iterable[Sample]], on_error: str, options: dict[str, object]
) -> None:
    samples = features(2, 7)
    report = store.ingest(make(samples), quality=Quality(snr_db=10), on_error=on_error, **options)  # type: ignore[arg-type]
    if on_error == "skip":
        assert (report.samples, report.skipped) == (COUNT - 2, 2)
        assert [row[0] for row in store.sql("SELECT sample FROM skipped ORDER BY 1").fetchall()] == ["s02", "s07"]
        assert "s02" not in store
    else:
        assert (report.samples, report.skipped) == (COUNT, 0)
        stored = store["s02", "x"]
        assert torch.equal(stored[~stored.isnan()], samples[2].features["x"][~stored.isnan()])
    again = store.ingest(make(samples), quality=Quality(snr_db=10), on_error=on_error, **options)  # type: ignore[arg-type]
    assert (again.records, again.already) == (0, report.records)


@pytest.mark.parametrize("on_error", ["skip", "raw"])
def test_a_feature_of_which_no_sample_can_be_fitted_on(store: lamofc.Store, on_error: str) -> None:
    samples = features(*range(COUNT))
    report = store.ingest(samples, "uniform", on_error=on_error)  # type: ignore[arg-type]
    if on_error == "skip":
        assert (report.samples, report.skipped) == (0, COUNT)
        messages = [row[0] for row in store.sql("SELECT message FROM skipped ORDER BY sample").fetchall()]
        assert messages[4] == "sample 's04', feature 'x': no sample to fit on is finite"
    else:
        assert report.samples == COUNT
        codecs = "SELECT feature, codec FROM records GROUP BY ALL ORDER BY 1"
        assert store.sql(codecs).fetchall() == [("x", "raw"), ("y", "uniform")]
        assert store.ingest(samples, "uniform", on_error="raw").already == 2 * COUNT


@pytest.mark.parametrize("on_error", ["skip", "raw"])
def test_a_sample_of_other_width_among_those_fitted_on(store: lamofc.Store, on_error: str) -> None:
    samples = features()
    samples[0] = Sample("odd", {"x": torch.ones(4, 5), "y": torch.ones(4, 8)})
    report = store.ingest(samples, "uniform", on_error=on_error)  # type: ignore[arg-type]
    assert ("odd" in store) is (on_error == "raw")
    assert report.samples == COUNT - (on_error == "skip")


def test_a_sample_without_the_features_is_skipped(store: lamofc.Store) -> None:
    samples = [Sample("none", {"z": torch.ones(2, 8)}), *features()]
    report = store.ingest(samples, "uniform", features=("x",), on_error="skip")
    assert (report.samples, report.skipped) == (COUNT, 1)


def test_options_that_are_wrong_for_all_samples_stop_whatever_on_error_says(store: lamofc.Store) -> None:
    with pytest.raises(SourceError, match="qp"):
        store.ingest(features(), quality=Quality(qp=20), on_error="skip")


@pytest.mark.parametrize("name", [5, "", "\ud800"])
def test_feature_names_are_text(name: object) -> None:
    with pytest.raises(SourceError, match="sample 'a'"):
        Sample("a", {name: torch.ones(2, 3)})  # type: ignore[dict-item]
