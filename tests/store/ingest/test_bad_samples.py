"""Samples that cannot be coded or fitted on: named, skipped, or stored raw, wherever in the source they stand."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Quality, Sample
from lamofc_store.errors import SourceError
from lamofc_store.ingest.run import Ingest

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
        assert (
            messages[4] == "sample 's04', feature 'x': no sample to fit on has only finite values that float32 can hold"
        )
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


def test_a_group_of_a_skipped_sample_is_not_stored(store: lamofc.Store) -> None:
    """Its joint record is made before its other feature fails."""
    samples = features()
    for sample in samples:
        sample.features["z"] = torch.randn(5, 8)
    samples[3].features["z"][0, 0] = float("nan")
    report = store.ingest(samples, quality=Quality(snr_db=10), on_error="skip", groups=["[xy]"])
    assert (report.samples, report.skipped) == (COUNT - 1, 1)
    assert "s03" not in store
    assert store.sql("SELECT count(*) FROM records WHERE sample = 's03'").fetchall() == [(0,)]
    assert report.records == 3 * (COUNT - 1)


def test_a_sample_with_the_content_of_one_that_was_skipped_is_skipped_whole(store: lamofc.Store) -> None:
    samples = features(2, 5)
    samples[5].features["x"] = samples[2].features["x"].clone()
    report = store.ingest(samples, "uniform", on_error="skip")
    assert (report.samples, report.skipped) == (COUNT - 2, 2)
    rows = "SELECT sample FROM skipped ORDER BY 1"
    assert store.sql(rows).fetchall() == [("s02",), ("s05",)]
    assert store.sql("SELECT count(*) FROM records WHERE sample IN ('s02', 's05')").fetchall() == [(0,)]


@pytest.mark.parametrize("block", [1, 8])
def test_content_shared_with_a_skipped_sample_is_stored_for_the_others(store: lamofc.Store, block: int) -> None:
    samples = features(2, name="y")
    for number in (5, 9):
        samples[number].features["x"] = samples[2].features["x"].clone()
    report = store.ingest(samples, "uniform", on_error="skip", block=block)
    assert (report.samples, report.skipped, report.shared) == (COUNT - 1, 1, 1)
    assert torch.equal(store["s05", "x"], store["s09", "x"])
    assert (store["s05", "x"] - samples[2].features["x"]).square().mean() < 0.1


@pytest.mark.parametrize("value", [1e300, 1e-300])
def test_a_value_beyond_float32_is_one_samples_fault(store: lamofc.Store, value: float) -> None:
    samples = [
        Sample(sample.id, {name: tensor.double() for name, tensor in sample.features.items()}) for sample in features()
    ]
    samples[4].features["x"][3, 2] = value
    with pytest.raises(SourceError, match=r"sample 's04', feature 'x': .*token 3, channel 2"):
        store.ingest(samples, "uniform")
    report = store.ingest(samples, "uniform", on_error="skip")
    assert (report.samples, report.skipped, "s04" in store) == (COUNT - 1, 1, False)
    store.ingest(samples, "uniform", on_error="raw")
    assert store["s04", "x"][3, 2] == value


def test_an_ingest_that_fails_leaves_the_records_of_another_alone(store: lamofc.Store) -> None:
    """Both spool their records in one folder until their segments are full."""
    samples = features()

    def source() -> Iterable[Sample]:
        for number, sample in enumerate(samples):
            if number == COUNT // 2:
                with pytest.raises(SourceError):
                    store.ingest([Sample("bad", {"w": torch.full((20, 8), torch.nan)})], "uniform")
            yield sample

    report = store.ingest(source(), "uniform", segment_bytes=4096)
    assert report.samples == COUNT
    assert store.verify().ok and set(store) == {sample.id for sample in samples}


def test_equal_contents_that_are_refused_are_tried_together(
    store: lamofc.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, to_encode = [], Ingest._to_encode
    monkeypatch.setattr(Ingest, "_to_encode", lambda self, *given: rounds.append(1) or to_encode(self, *given))
    bad = [Sample(f"t{number:03d}", {"x": torch.full((2, 8), torch.nan)}) for number in range(60)]
    report = store.ingest([*features(), *bad], "uniform", on_error="skip")
    assert (report.samples, report.skipped) == (COUNT, 60)
    assert len(rounds) <= 3
