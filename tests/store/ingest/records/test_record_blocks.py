"""Small features of neighbouring samples in one record: each sample is still a sample of its own."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

import lamofc_store as lamofc
from lamofc_codecs import Quality, inspect
from lamofc_store.sample.sample import Sample

CHANNELS = 64
MIXING = torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(1))
MIXING *= torch.exp(-torch.arange(CHANNELS) / 16)[:, None]


def vector(number: int) -> torch.Tensor:
    """An embedding, some louder than others."""
    draw = torch.Generator().manual_seed(number)
    return torch.randn(CHANNELS, generator=draw) @ MIXING * (0.5 + number % 3)


def samples(count: int, first: int = 0) -> Iterator[Sample]:
    """Embeddings, and some tokens of half the precision."""
    for number in range(first, first + count):
        tokens = torch.stack([vector(10_000 * number + token) for token in range(4)])[: number % 4]
        features = {"vector": vector(number), "tokens": tokens.half()}
        yield Sample(f"s{number:04}", features, {"label": number % 5})


@pytest.fixture
def store(tmp_path: Path) -> lamofc.Store:
    """Two hundred samples."""
    found = lamofc.open(tmp_path / "store", mode="a")
    found.ingest(list(samples(200)), quality=Quality(snr_db=12))
    return found


def rows(store: lamofc.Store, feature: str = "vector") -> list[dict[str, object]]:
    """All that the catalog tells."""
    return list(store.sql("FROM records WHERE feature = ? ORDER BY sample", [feature]).to_arrow_table().to_pylist())


def payload(store: lamofc.Store) -> dict[str, bytes]:
    """Every segment's payload."""
    root = Path(store.url.removeprefix("file://")) / "segments"
    return {path.parts[-4]: path.read_bytes() for path in root.glob("*/payload/c/0")}


def test_neighbours_share_a_record(store: lamofc.Store, tmp_path: Path) -> None:
    found = rows(store)
    assert [row["item"] for row in found] == [number % 64 for number in range(200)]
    assert len({row["record"] for row in found}) == 4
    alone = lamofc.open(tmp_path / "alone", mode="a")
    report = alone.ingest(list(samples(200)), quality=Quality(snr_db=12), block=1)
    assert {row["item"] for row in rows(alone)} == {0}
    assert report.records == 400
    sizes = [one.sql("SELECT sum(stored_bits) FROM records").fetchall()[0][0] for one in (store, alone)]
    assert sizes[0] < 0.6 * sizes[1]
    assert 8 * sum(entry.bytes for entry in store.snapshot.segments.values()) == sizes[0]


def test_each_sample_is_as_good_as_asked_for_and_told_as_it_is(store: lamofc.Store) -> None:
    given = {sample.id: sample for sample in samples(200)}
    for row in rows(store):
        decoded, source = store[row["sample"]]["vector"], given[str(row["sample"])].features["vector"]
        assert (decoded.shape, decoded.dtype) == (source.shape, source.dtype)
        assert row["sse"] == pytest.approx(float((decoded - source).double().square().sum()), rel=1e-4)
        assert row["snr_db"] > 11.8
        assert row["elements"] == CHANNELS
    for row in rows(store, "tokens"):
        assert tuple(store[row["sample"]]["tokens"].shape) == (int(str(row["sample"])[1:]) % 4, CHANNELS)
    assert np.median([float(str(row["snr_db"])) for row in rows(store)]) < 12.6


def test_batches_single_reads_and_zarr_agree(store: lamofc.Store) -> None:
    dataset = store.dataset(["vector", "tokens"], target="label")
    chosen = [5, 199, 70, 5, 64, 63, 128]
    for index, example in zip(chosen, dataset.__getitems__(chosen), strict=True):
        assert example["sample"] == f"s{index:04}"
        for feature in ("vector", "tokens"):
            assert torch.equal(example[feature], store[f"s{index:04}"][feature])
    for index in (0, 63, 64, 199):
        assert np.array_equal(store.zarr["vector"][index], store[f"s{index:04}", "vector"].numpy())
        tokens = store[f"s{index:04}", "tokens"].numpy()
        assert np.array_equal(store.zarr["tokens"][index][: len(tokens)], tokens)


def test_blocks_are_read_at_lower_rates(tmp_path: Path) -> None:
    store = lamofc.open(tmp_path / "fine", mode="a")
    wide = [(f"w{number}", {"v": vector(number).repeat(16)}) for number in range(128)]
    store.ingest(wide, quality=Quality(snr_db=25))
    coarse = store.dataset("v", quality=Quality(snr_db=8))
    sizes = [len(one.packed([3])[0].buffer) for one in (coarse, store.dataset("v"))]
    assert sizes[0] < 0.6 * sizes[1]
    for index, example in enumerate(coarse.__getitems__(list(range(128)))):
        source = wide[int(example["sample"][1:])][1]["v"]
        away = float((example["v"] - source).square().sum() / (source - source.mean()).square().sum())
        assert -10 * np.log10(away) > 6.5, index


def test_what_is_forgotten_is_gone_once_compacted_and_collected(store: lamofc.Store) -> None:
    before = {sample: store[sample] for sample in store}
    forgotten = [f"s{number:04}" for number in range(200) if number % 3 == 0 or 64 <= number < 128]
    store.forget(forgotten)
    assert len(rows(store)) == 200 - len(forgotten)
    with pytest.raises(lamofc.errors.NotFound):
        store["s0003"]
    old = payload(store)
    done = store.compact()
    assert done.segments == 1
    assert done.bytes_after < 0.75 * done.bytes_before
    store.gc(keep="0s")
    assert store.verify().ok
    assert set(store) == set(before) - set(forgotten)
    for sample in store:
        for feature, tensor in store[sample].items():
            assert torch.equal(tensor, before[sample][feature])
    new = payload(store)
    assert not set(new) & set(old)
    for row in rows(store):
        record = new[str(row["segment"])][row["offset"] : row["offset"] + row["length"]]  # type: ignore[operator,misc]
        held = [one for one in rows(store) if one["record"] == row["record"]]
        assert inspect(record).items == len(held)
        assert int(str(row["item"])) < len(held)
    bits = store.sql("SELECT sum(stored_bits) FROM records").fetchall()[0][0]
    assert bits == 8 * sum(entry.bytes for entry in store.snapshot.segments.values())
    again = store.compact(live=1.0)
    assert again.segments == 0


def test_a_sample_that_cannot_be_coded_spoils_no_other(tmp_path: Path) -> None:
    store = lamofc.open(tmp_path / "store", mode="a")
    given = list(samples(100))
    given[70].features["vector"][3] = float("nan")  # type: ignore[index]
    report = store.ingest(given, quality=Quality(snr_db=12), on_error="skip", fit_samples=60)
    assert (report.samples, report.skipped) == (99, 1)
    assert set(store) == {sample.id for sample in given} - {"s0070"}
    assert {row["sample"] for row in rows(store, "tokens")} == set(store)
    assert store.verify().ok
    kept = lamofc.open(tmp_path / "raw", mode="a")
    kept.ingest(given, quality=Quality(snr_db=12), on_error="raw", fit_samples=60)
    assert torch.equal(kept["s0070"]["vector"].isnan(), given[70].features["vector"].isnan())


def test_one_sample_of_a_block_is_replaced(store: lamofc.Store) -> None:
    others = {sample: store[sample]["vector"] for sample in store if sample != "s0007"}
    changed = Sample("s0007", {"vector": vector(99_999), "tokens": torch.zeros(0, CHANNELS).half()})
    with pytest.raises(lamofc.errors.Conflict):
        store.ingest([changed], quality=Quality(snr_db=12))
    store.ingest([changed], quality=Quality(snr_db=12), overwrite=True)
    away = store["s0007"]["vector"] - changed.features["vector"]
    assert float(away.norm() / changed.features["vector"].norm()) < 0.3
    assert all(torch.equal(store[sample]["vector"], tensor) for sample, tensor in others.items())
    assert store.ingest(list(samples(200))[8:], quality=Quality(snr_db=12)).already == 2 * 192


def test_large_features_have_a_record_each(tmp_path: Path) -> None:
    store = lamofc.open(tmp_path / "store", mode="a")
    draw = torch.Generator().manual_seed(3)
    store.ingest([(f"l{number}", {"f": torch.randn(130, 32, generator=draw)}) for number in range(9)])
    assert len({row["record"] for row in rows(store, "f")}) == 9


def test_segments_tell_whose_records_are_shared(store: lamofc.Store) -> None:
    group = zarr.open_group(f"{store.url.removeprefix('file://')}/segments", mode="r")
    (segment,) = [found for _, found in group.groups()]
    streams = {stream["feature"]: stream for stream in segment.attrs["streams"]}
    assert streams["vector"]["several"]
    ends = segment["ids_offsets"][:]
    text = bytes(segment["ids"][:])
    first = streams["vector"]["first"]
    assert text[int(ends[first]) : int(ends[first + 1])].decode().startswith('["s0000", "s0001", ')


@pytest.mark.parametrize("block", [0, -1])
def test_a_block_of_nothing_is_refused(tmp_path: Path, block: int) -> None:
    with pytest.raises(lamofc.errors.BadArgument, match="block"):
        lamofc.open(tmp_path / "store", mode="a").ingest([], block=block)
