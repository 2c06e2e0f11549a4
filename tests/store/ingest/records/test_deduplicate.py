"""Equal features of many samples: kept once, and each sample's own in every way."""

from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_codecs.testing.samples import picture
from lamofc_store import FeatureLoader, Quality, Sample

COUNT = 40


def samples(first: int = 0, last: int = COUNT) -> list[Sample]:
    """A prompt of each sample's own, and a negative prompt that is the same for every second one."""
    empty = torch.randn(7, 32, generator=torch.Generator().manual_seed(99))
    vector = torch.randn(16, generator=torch.Generator().manual_seed(98))
    found = []
    for number in range(first, last):
        own = torch.Generator().manual_seed(number)
        negative = empty if number % 2 else torch.randn(7, 32, generator=own)
        features = {"prompt": torch.randn(7, 32, generator=own), "negative": negative.clone(), "pooled": vector.clone()}
        found.append(Sample(f"s{number:03d}", features, {"number": number}))
    return found


def close(one: torch.Tensor, other: torch.Tensor, codec: str) -> bool:
    return torch.equal(one, other) if codec == "raw" else bool((one - other).square().mean() < 0.02)


@pytest.fixture(params=["raw", "klt"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A store by a codec, without blocks, and its report."""
    codec = str(request.param)
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        report = store.ingest(samples(), codec, Quality(snr_db=25) if codec == "klt" else None, block=1)
        yield store, report, codec


def test_a_record_is_kept_once_and_its_bits_are_shared_out(stored: Any) -> None:
    store, report, _ = stored
    assert report.records == 3 * COUNT and report.shared == (COUNT // 2 - 1) + (COUNT - 1)
    query = "SELECT feature, count(*), count(DISTINCT record), sum(stored_bits) FROM records GROUP BY 1 ORDER BY 1"
    negative, pooled, prompt = store.sql(query).fetchall()
    assert negative[:3] == ("negative", COUNT, COUNT // 2 + 1) and pooled[:3] == ("pooled", COUNT, 1)
    assert prompt[:3] == ("prompt", COUNT, COUNT)
    assert sum(row[3] for row in (negative, pooled, prompt)) == 8 * report.stored_bytes
    assert report.shared_bytes > 0 and store.verify().ok
    assert store.sql("SELECT count(*) FROM records WHERE payload_bits > stored_bits").fetchall() == [(0,)]
    whole = store.sql("SELECT sum(payload_bits), sum(stored_bits) FROM records").fetchall()[0]
    assert 0.3 < whole[0] / whole[1] <= 1


def test_everything_is_read_as_if_it_were_kept_for_each(stored: Any) -> None:
    store, _, codec = stored
    loader = FeatureLoader(store.dataset(["negative", "prompt"], target="number"), 7, shuffle=True, seed=1)
    seen = {}
    for batch in loader:
        for row, sample in enumerate(batch["sample"]):
            seen[sample] = batch["negative"][row], batch["prompt"][row]
    for sample in samples():
        assert close(store[sample.id, "negative"], sample.features["negative"], codec)
        assert torch.equal(seen[sample.id][0], store[sample.id, "negative"])
        assert close(seen[sample.id][1], sample.features["prompt"], codec)
    array = store.zarr()["negative"] if callable(store.zarr) else None
    assert array is None or array.shape[0] == COUNT


def test_what_shares_a_record_is_forgotten_replaced_and_moved_alone(stored: Any) -> None:
    store, _, codec = stored
    quality = Quality(snr_db=25) if codec == "klt" else None
    store.forget(["s001", "s003"])
    other = Sample("s005", {"negative": torch.ones(7, 32)}, {"number": 5})
    store.ingest([other], codec, quality, overwrite=True, block=1)
    store.compact(live=1.0)
    assert store.verify().ok and len(store) == COUNT - 2
    for sample in samples():
        if sample.id in ("s001", "s003"):
            continue
        wanted = other.features["negative"] if sample.id == "s005" else sample.features["negative"]
        assert close(store[sample.id, "negative"], wanted, codec), sample.id
    query = "SELECT count(*), count(DISTINCT (segment, record)) FROM records WHERE feature = 'pooled'"
    assert store.sql(query).fetchall() == [(COUNT - 2, 1)]


def test_a_second_ingest_passes_over_what_is_there(stored: Any) -> None:
    store, _, codec = stored
    again = store.ingest(samples(0, COUNT + 4), codec, Quality(snr_db=25) if codec == "klt" else None, block=1)
    assert (again.already, again.records, again.shared) == (3 * COUNT, 12, 1 + 3)
    assert close(store["s041", "negative"], samples(41, 42)[0].features["negative"], codec)


def test_small_features_share_within_blocks(tmp_path: Path) -> None:
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        report = store.ingest(samples(), "klt", Quality(snr_db=25))
        assert store.sql("SELECT count(*) FROM records WHERE payload_bits > stored_bits").fetchall() == [(0,)]
        assert report.shared == (COUNT // 2 - 1) + (COUNT - 1)
        store.forget(["s001", "s002"])
        store.compact(live=1.0)
        assert store.verify().ok
        for sample in samples()[3:]:
            for name, tensor in sample.features.items():
                assert close(store[sample.id, name], tensor, "klt")


def test_features_that_differ_in_nothing_but_their_shape_or_dtype_are_kept_apart(tmp_path: Path) -> None:
    flat = torch.arange(12.0)
    forms = [flat.reshape(3, 4), flat.reshape(4, 3), flat.reshape(3, 4).double(), flat.reshape(1, 3, 4)]
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        report = store.ingest([Sample(f"{n}", {"x": one}) for n, one in enumerate(forms)], "raw")
        assert report.shared == 0
        assert [store[f"{n}", "x"].shape for n in range(4)] == [one.shape for one in forms]


@pytest.mark.parametrize("groups", [("encoded_*",), ("auto",)])
def test_a_pair_equal_but_for_rounding_costs_little_more_than_one(tmp_path: Path, groups: tuple[str, ...]) -> None:
    def pair(number: int) -> dict[str, torch.Tensor]:
        one = picture(16, 16, 32, number)
        noise = torch.randn(one.shape, generator=torch.Generator().manual_seed(number))
        return {"encoded_0": one, "encoded_1": one + 1e-3 * noise}

    pairs = [Sample(str(number), pair(number)) for number in range(12)]
    sizes = []
    for names, together in ((["encoded_0"], ()), (["encoded_0", "encoded_1"], groups)):
        with lamofc.open(str(tmp_path / str(len(sizes))), "w-") as store:
            some = [Sample(one.id, {name: one.features[name] for name in names}) for one in pairs]
            store.ingest(some, "klt", Quality(snr_db=15), groups=together, grids={"*": "16x16"})
            sizes.append(store.sql("SELECT sum(stored_bits), min(signal / sse) FROM records").fetchall()[0])
    (one, as_asked), (two, both) = sizes
    assert two < 1.1 * one and min(as_asked, both) > 10**1.49
