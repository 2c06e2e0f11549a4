"""Any rate on read: fewer bytes fetched, a coarser copy decoded, from disk, memory and S3 alike."""

from collections.abc import Iterator

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Quality, Sample
from lamofc_store.errors import BadArgument
from lamofc_store.reading import layer_selection
from lamofc_store.storage.interface import Range


def _correlated(number: int) -> torch.Tensor:
    mixing = torch.randn(48, 48, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 49) ** -0.8
    return torch.randn(200, 48, generator=torch.Generator().manual_seed(1 + number)) @ mixing.T


@pytest.fixture
def layered(quick_place: tuple[str, dict[str, object]]) -> Iterator[lamofc.Store]:
    url, options = quick_place
    with lamofc.open(url, "a", storage_options=options) as store:
        samples = [Sample(f"s{number}", {"x": _correlated(number)}) for number in range(12)]
        store.ingest(samples, quality=Quality(snr_db=20))
        store.ingest([Sample("exact", {"x": _correlated(99)})], codec="raw")
        yield store


def _snr_db(store: lamofc.Store, sample: str, decoded: torch.Tensor) -> float:
    signal = store.sql("SELECT signal FROM records WHERE sample = ?", [sample]).fetchall()[0]
    source = _correlated(int(sample[1:]))
    return float(10 * torch.log10(signal[0] / (decoded - source).square().sum()))


def test_a_lower_rate_is_read_as_it_was_asked_for(layered: lamofc.Store) -> None:
    layers = layered.sql("SELECT layers FROM records WHERE sample = 's3'").fetchall()[0]
    assert len(layers[0]) == 3
    whole = layered.get("s3", ["x"])["x"]
    assert _snr_db(layered, "s3", whole) == pytest.approx(20, abs=0.2)
    found = [_snr_db(layered, "s3", layered.get("s3", quality=Quality(snr_db=wish))["x"]) for wish in (20, 10, 4)]
    assert found[0] == pytest.approx(20, abs=0.2)
    assert 10 <= found[1] < 14
    assert 4 <= found[2] < 8
    assert torch.equal(layered.get("s3", quality=Quality(snr_db=60))["x"], whole)
    assert torch.equal(layered.get("s3", quality=Quality(bpfp=32))["x"], whole)
    assert torch.equal(
        layered.get("s3", quality=Quality(bpfp=1e-9))["x"], layered.get("s3", quality=Quality(snr_db=1))["x"]
    )


def test_a_record_of_one_layer_is_read_whole(layered: lamofc.Store) -> None:
    assert torch.equal(layered.get("exact", quality=Quality(snr_db=5))["x"], _correlated(99))


def test_a_dataset_reads_no_byte_more(layered: lamofc.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    for wish in ({}, {"max_bpfp": 1.0}, {"quality": Quality(snr_db=4)}):
        dataset = layered.dataset(["x"], where="sample <> 'exact'", **wish)  # type: ignore[arg-type]
        packed = dataset.packed(range(12))[0]
        fetched.append(len(packed.buffer))
        examples = dataset.__getitems__(list(range(12)))
        assert all(example["x"].shape == (200, 48) for example in examples)
    assert fetched[0] > 2 * fetched[1] > 3 * fetched[2]
    bits = layered.sql("SELECT sum(length) * 8 FROM records WHERE sample <> 'exact'").fetchall()[0]
    assert fetched[0] * 8 == bits[0]
    assert fetched[1] * 8 <= 1.0 * 12 * 200 * 48


def test_the_prefix_is_one_range(layered: lamofc.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Range] = []
    read = type(layered.storage).read_ranges
    if not hasattr(layered.storage, "options"):
        pytest.skip("local files are read in place")

    def watched(self: object, ranges: list[Range]) -> list[bytes]:
        asked.extend(ranges)
        return read(self, ranges)  # type: ignore[arg-type]

    monkeypatch.setattr(type(layered.storage), "read_ranges", watched)
    layered.get("s5", ["x"], quality=Quality(snr_db=4))
    row = layered.sql("SELECT layers[1].bytes, length FROM records WHERE sample = 's5'").fetchall()[0]
    assert [one.length for one in asked] == [row[0]]
    assert row[0] < row[1] / 3


def test_wishes_that_cannot_be_met_on_reading_are_refused(layered: lamofc.Store) -> None:
    with pytest.raises(BadArgument, match=r"step=0\.5 cannot be chosen on reading"):
        layered.get("s3", quality=Quality(step=0.5))
    with pytest.raises(BadArgument, match=r"max_bpfp=1\.0 beside snr_db=5"):
        layered.dataset(["x"], quality=Quality(snr_db=5), max_bpfp=1.0)
    with pytest.raises(BadArgument, match="quality=15 is no Quality") as refused:
        layered.get("s3", quality=15)  # type: ignore[arg-type]
    assert refused.value.cure == "give lamofc_store.Quality(snr_db=15)"
    assert layer_selection.read_quality(None) is None
