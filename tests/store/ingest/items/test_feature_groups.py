"""Features coded together: one record, a row each; read alone, at a lower rate, moved and forgotten as before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Quality, Sample
from lamofc_store.errors import BadArgument
from lamofc_store.ingest.items.feature_groups import expand_braces

MIXING = torch.randn(16, 96, generator=torch.Generator().manual_seed(0))


def _sample(number: int) -> Sample:
    """Keys and values of two layers, images of one stream; a pooled vector and a token count of their own."""
    draw = torch.Generator().manual_seed(1 + number)
    tokens = 40 + number % 5
    stream = torch.randn(tokens, 16, generator=draw) @ MIXING + 0.1 * torch.randn(tokens, 96, generator=draw)
    features = {f"layer.{layer}.{kind}": stream[:, 24 * at : 24 * at + 24] for at, (layer, kind) in enumerate(NAMES)}
    features["layer.1.v"] = features["layer.1.v"].half()
    return Sample(f"s{number:02d}", {**features, "pooled": stream.mean(0), "ids": torch.arange(tokens)}, {"n": number})


NAMES = ((0, "k"), (0, "v"), (1, "k"), (1, "v"))
CACHES = [f"layer.{layer}.{kind}" for layer, kind in NAMES]
SAMPLES = [_sample(number) for number in range(20)]


@pytest.fixture
def grouped(quick_place: tuple[str, dict[str, object]]) -> Iterator[lamofc.Store]:
    url, options = quick_place
    with lamofc.open(url, "a", storage_options=options) as store:
        store.ingest(SAMPLES, quality=Quality(snr_db=15), groups=("layer.*.{k,v}",))
        yield store


def _check(store: lamofc.Store, samples: list[Sample], aim: float = 15) -> None:
    for sample in samples:
        found = store.get(sample.id)
        assert sorted(found) == sorted(sample.features)
        for name, tensor in sample.features.items():
            assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
            if name in CACHES:
                away = (tensor.float() - tensor.float().mean(0)).square().sum()
                error = (found[name].float() - tensor.float()).square().sum()
                assert float(10 * torch.log10(away / error)) > aim - 4
        assert torch.equal(found["ids"], sample.features["ids"])


def test_one_record_for_all_features_of_a_group(grouped: lamofc.Store) -> None:
    rows = grouped.sql(
        "SELECT sample, count(DISTINCT (segment, record)), count(*), sum(stored_bits), max(8 * length) "
        "FROM records WHERE feature LIKE 'layer%' GROUP BY 1"
    ).fetchall()
    assert len(rows) == 20
    assert all(records == 1 and count == 4 and bits == length for _, records, count, bits, length in rows)
    _check(grouped, SAMPLES)
    assert grouped.verify().ok
    for sample in SAMPLES[:3]:
        for name in CACHES:
            assert torch.equal(grouped[sample.id, name], grouped.get(sample.id)[name])


def test_the_figures_of_each_row_are_its_own(grouped: lamofc.Store) -> None:
    for sample, feature, elements, sse, total, layers in grouped.sql(
        "SELECT sample, feature, elements, sse, \"sum\", layers FROM records WHERE feature LIKE 'layer%'"
    ).fetchall():
        source = next(one for one in SAMPLES if one.id == sample).features[feature].double()
        assert elements == source.numel()
        assert sse == pytest.approx(float((grouped[sample, feature].double() - source).square().sum()), rel=1e-4)
        assert total == pytest.approx(float(source.sum()), rel=1e-3, abs=1e-2)
        assert layers is None or layers[-1]["sse"] == pytest.approx(sse, rel=1e-4)


def test_it_takes_fewer_bytes_than_apart(grouped: lamofc.Store, tmp_path: Path) -> None:
    with lamofc.open(str(tmp_path / "apart"), "a") as apart:
        apart.ingest(SAMPLES, quality=Quality(snr_db=15))
        query = "SELECT sum(stored_bits) FROM records WHERE feature LIKE 'layer%'"
        assert grouped.sql(query).fetchall()[0][0] < 0.6 * apart.sql(query).fetchall()[0][0]


def test_the_same_again_changes_nothing_and_more_is_added(grouped: lamofc.Store) -> None:
    report = grouped.ingest([*SAMPLES, _sample(30)], quality=Quality(snr_db=15), groups=("layer.*.{k,v}",))
    assert (report.samples, report.already) == (1, 6 * 20)
    profiles = grouped.sql("SELECT DISTINCT profile FROM records WHERE feature LIKE 'layer%'").fetchall()
    assert len(profiles) == 1
    _check(grouped, [*SAMPLES, _sample(30)])


def test_datasets_read_a_shared_record_once_and_at_any_rate(grouped: lamofc.Store) -> None:
    whole = grouped.dataset(CACHES, target="n")
    for index, example in enumerate(whole.__getitems__(list(range(20)))):
        assert example["n"] == index
        for name in CACHES:
            assert torch.equal(example[name], grouped[example["sample"], name])
    coarse = grouped.dataset(CACHES[:2], quality=Quality(snr_db=4))
    assert len(coarse.packed([3])[0].buffer) < len(whole.packed([3])[0].buffer)
    assert coarse[3][CACHES[0]].shape == whole[3][CACHES[0]].shape
    capped = grouped.dataset(CACHES[:1], max_bpfp=0.5)
    bits = 8 * len(capped.packed([3])[0].buffer) / (4 * whole[3][CACHES[0]].numel())
    assert bits <= 0.55


def test_compaction_moves_a_shared_record_once(quick_place: tuple[str, dict[str, object]]) -> None:
    url, options = quick_place
    with lamofc.open(url, "a", storage_options=options) as store:
        for number in range(0, 20, 5):
            some = SAMPLES[number : number + 5]
            store.ingest(some, quality=Quality(snr_db=15), groups=("layer.*.{k,v}",))
        before = {(sample, name): store[sample, name] for sample in store for name in CACHES}
        held = store.sql("SELECT sum(stored_bits) FROM records").fetchall()
        store.forget(["s03", "s11"])
        assert store.compact(live=1.0).segments > 1
        store.gc("0s")
        assert store.verify().ok
        for (sample, name), tensor in before.items():
            if sample not in ("s03", "s11"):
                assert torch.equal(store[sample, name], tensor)
        assert store.sql("SELECT sum(stored_bits) FROM records").fetchall()[0][0] < held[0][0]


def test_the_zarr_view_shows_each_feature(grouped: lamofc.Store) -> None:
    if not grouped.url.startswith("/"):
        pytest.skip("the view is the same everywhere; its codec opens the store by its url")
    array = grouped.zarr["layer.0.v"]
    for index, sample in enumerate(SAMPLES[:4]):
        values: Any = array[index]
        own = grouped[sample.id, "layer.0.v"].numpy()
        assert np.array_equal(values[: len(own)], own)
        assert np.isnan(values[len(own) :]).all()


def test_what_cannot_go_together_is_coded_apart(tmp_path: Path) -> None:
    odd = Sample("odd", {**SAMPLES[0].features, "layer.0.k": torch.randn(7, 24)})
    broken = {name: tensor.clone() for name, tensor in SAMPLES[1].features.items()}
    broken["layer.0.k"][0, 0] = float("nan")
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest([*SAMPLES[2:], odd], quality=Quality(snr_db=15), groups=("layer.*.{k,v}",))
        assert store["odd", "layer.0.k"].shape == (7, 24)
        shared = store.sql("SELECT count(DISTINCT record) FROM records WHERE sample = 'odd'").fetchall()
        assert shared == [(4,)]
        report = store.ingest(
            [Sample("broken", broken)], quality=Quality(snr_db=15), groups=("layer.*.{k,v}",), on_error="raw"
        )
        assert report.samples == 1
        assert store["broken", "layer.0.k"].isnan().sum() == 1
        assert store.verify().ok


def test_wrong_wishes() -> None:
    assert expand_braces("a.{k,v}.*.{x,y}") == ["a.k.*.x", "a.k.*.y", "a.v.*.x", "a.v.*.y"]
    assert expand_braces("plain*") == ["plain*"]
    with (
        lamofc.open("memory://groups-wrong", "w") as store,
        pytest.raises(BadArgument, match="codes each feature by itself"),
    ):
        store.ingest(SAMPLES, codec="uniform", groups=("layer.*",))


def test_groups_are_found_by_what_they_save(tmp_path: Path) -> None:
    """Two caches of one stream are coded together, another feature is not; a second ingest stays with that."""

    def made(numbers: range) -> list[tuple[str, dict[str, torch.Tensor]]]:
        found = []
        for number in numbers:
            draw = torch.Generator().manual_seed(number)
            stream = torch.randn(60, 16, generator=draw)
            mixed = stream @ torch.randn(16, 96, generator=torch.Generator().manual_seed(1))
            other = torch.randn(60, 48, generator=draw)
            found.append((f"s{number}", {"key[0]": mixed[:, :48], "value*": mixed[:, 48:], "own": other}))
        return found

    store = lamofc.open(tmp_path / "store", mode="a")
    store.ingest(made(range(48)), groups=("auto",), quality=lamofc.Quality(snr_db=15))
    parts = "SELECT feature, max(part) FROM records GROUP BY 1 ORDER BY 1"
    assert store.sql(parts).fetchall() == [("key[0]", 0), ("own", 0), ("value*", 1)]
    profiles = set(store.snapshot.profiles)
    report = store.ingest(made(range(58)), groups=("auto",), quality=lamofc.Quality(snr_db=15))
    assert (report.samples, report.already) == (10, 144)
    assert set(store.snapshot.profiles) == profiles
    assert store.sql(parts).fetchall()[2] == ("value*", 1)
    plain = lamofc.open(tmp_path / "plain", mode="a")
    plain.ingest(made(range(48)), quality=lamofc.Quality(snr_db=15), block=1)
    size = "SELECT sum(stored_bits) / sum(elements) FROM records WHERE feature <> 'own'"
    assert store.sql(size).fetchall()[0][0] < 0.75 * plain.sql(size).fetchall()[0][0]
    assert set(lamofc.fit_profiles(made(range(48)), groups=("auto",))) == {"key[0]+value*", "own"}
