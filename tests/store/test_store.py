"""A store as its users see it: what goes in comes out, in every place that a store can lie in."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Quality, Sample
from lamofc_store.errors import BadArgument, Conflict, NotAStore, NotFound, ReadOnly, SchemaConflict, SourceError

Make = Callable[..., list[lamofc.Sample]]


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)


def test_everything_comes_back_in_its_own_shape_and_dtype(
    place: tuple[str, dict[str, object]], make_samples: Make
) -> None:
    url, options = place
    samples = make_samples(12)
    with lamofc.open(url, "a", storage_options=options) as store:
        report = store.ingest(samples, codec="raw", segment_bytes=4000)
        assert (report.samples, report.records, report.already) == (12, 72, 0)
        assert len(report.commits) > 1
    with lamofc.open(url, storage_options=options) as store:
        assert list(store) == [sample.id for sample in samples]
        assert store.features == ["cache", "hidden", "ids", "none", "one", "pooled"]
        for sample in samples:
            found = store[sample.id]
            assert found.keys() == sample.features.keys()
            assert all(_same(found[name], tensor) for name, tensor in sample.features.items())
        assert store.verify().ok


def test_lossy_codecs_keep_shapes_and_whole_numbers(tmp_path: Path, make_samples: Make) -> None:
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest(make_samples(8), codec="uniform", quality=Quality(snr_db=20))
        for sample in make_samples(8):
            for name, tensor in store[sample.id].items():
                source = sample.features[name]
                assert (tensor.shape, tensor.dtype) == (source.shape, source.dtype)
                if name == "ids":
                    assert torch.equal(tensor, source)
        rows = store.sql("SELECT DISTINCT feature, codec FROM records WHERE feature IN ('ids', 'hidden')").fetchall()
        assert sorted(rows) == [("hidden", "uniform"), ("ids", "raw")]
        snr = store.sql("SELECT min(snr_db) FROM records WHERE feature = 'hidden' AND codec = 'uniform'").fetchall()[0][
            0
        ]
        assert snr >= 19.8


def test_modes_are_those_of_zarr(tmp_path: Path, make_samples: Make) -> None:
    url = str(tmp_path / "s")
    for mode in ("r", "r+"):
        with pytest.raises(NotFound, match="there is no store at"):
            lamofc.open(url, mode)
    lamofc.create(url).close()
    with pytest.raises(Conflict, match="is a store already"):
        lamofc.open(url, "w-")
    with lamofc.open(url, "a") as store:
        store.ingest(make_samples(1), codec="raw")
    with lamofc.open(url) as store, pytest.raises(ReadOnly, match="opened for reading"):
        store.ingest(make_samples(2), codec="raw")
    with lamofc.open(url, "r+") as store:
        assert len(store) == 1
    with lamofc.open(url, "w") as store:
        assert len(store) == 0
    with pytest.raises(BadArgument, match="mode 'x' is none of"):
        lamofc.open(url, "x")  # type: ignore[arg-type]


def test_a_folder_of_other_things_is_neither_opened_nor_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for mode in ("r", "a", "w", "w-"):
        with pytest.raises(NotAStore, match="is no store"):
            lamofc.open(str(tmp_path), mode)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_asking_for_what_is_not_there_names_what_is(store: lamofc.Store) -> None:
    with pytest.raises(NotFound, match="no sample 'nobody'"):
        store["nobody"]
    assert store.tensors("s/0001", []) == {}
    with pytest.raises(NotFound, match="has no feature 'layer.1'; it has cache, hidden, ids"):  # noqa: RUF043
        store["s/0001", "layer.1"]
    assert "s/0001" in store
    assert "nobody" not in store
    assert 3 not in store


def test_ingesting_again_adds_nothing(store: lamofc.Store, make_samples: Make) -> None:
    head = store.head
    report = store.ingest(make_samples(12), codec="raw")
    assert (report.records, report.already, report.commits, store.head) == (0, 72, [], head)


def test_other_content_under_a_key_is_a_conflict_unless_overwritten(store: lamofc.Store, make_samples: Make) -> None:
    changed = Sample("s/0003", {"hidden": torch.ones(1, 2, 24)})
    with pytest.raises(Conflict, match=r"sample 's/0003', feature 'hidden' is there with other content"):
        store.ingest([changed], codec="raw")
    before = store.head
    report = store.ingest([changed], codec="raw", overwrite=True)
    assert report.records == 1
    assert torch.equal(store["s/0003", "hidden"], torch.ones(1, 2, 24))
    assert _same(store["s/0003", "one"], make_samples(4)[3].features["one"])
    assert _same(store.as_of(before)["s/0003", "hidden"], make_samples(4)[3].features["hidden"])
    assert store.sql("SELECT count(*) FROM records").fetchall() == [(72,)]


def test_another_codec_under_a_key_is_a_conflict_too(store: lamofc.Store, make_samples: Make) -> None:
    with pytest.raises(Conflict, match=r"is there with other coding \(raw\)"):
        store.ingest(make_samples(1), codec="lloydmax")


def test_two_contents_under_one_id_in_one_source(tmp_path: Path) -> None:
    twins = [Sample("same", {"x": torch.zeros(2, 2)}), Sample("same", {"x": torch.ones(2, 2)})]
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        with pytest.raises(SourceError, match="item 1 has the id 'same' of an earlier one"):
            store.ingest(twins, codec="raw")
        assert len(store) == 0


def test_one_bad_sample_stops_or_is_skipped_or_kept_raw(tmp_path: Path, make_samples: Make) -> None:
    bad = Sample("bad", {"hidden": torch.full((1, 2, 24), float("nan"))})
    source = [*make_samples(3), bad, *make_samples(6, 3)]
    for on_error, count in (("skip", 6), ("raw", 7)):
        with lamofc.open(str(tmp_path / on_error), "a") as store:
            report = store.ingest(source, codec="uniform", on_error=on_error, features=("hidden",), fit_samples=3)
            assert (len(store), report.skipped) == (count, 7 - count)
            told = store.sql("SELECT sample, error FROM skipped").fetchall()
            assert told == ([("bad", "StoreError")] if on_error == "skip" else [])
            again = store.ingest(source, codec="uniform", on_error=on_error, features=("hidden",), fit_samples=3)
            assert again.records == 0
    with (
        lamofc.open(str(tmp_path / "stop"), "a") as store,
        pytest.raises(lamofc.errors.StoreError, match="sample 'bad', feature 'hidden': 48 of 48 values"),
    ):
        store.ingest(source, codec="uniform", features=("hidden",), fit_samples=3)


def test_unreadable_files_are_skipped_and_told(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    (tmp_path / "in").mkdir()
    for number in range(4):
        save_file({"x": torch.full((2, 3), float(number))}, tmp_path / "in" / f"{number}.safetensors")
    cut = tmp_path / "in" / "1.safetensors"
    cut.write_bytes(cut.read_bytes()[:-5])
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        with pytest.raises(SourceError, match=r"1\.safetensors"):
            store.ingest(str(tmp_path / "in"), codec="raw")
        report = store.ingest(str(tmp_path / "in"), codec="raw", on_error="skip")
        assert (report.samples, report.skipped, list(store)) == (3, 1, ["0", "2", "3"])
        assert store.sql("SELECT sample, source, error FROM skipped").fetchall() == [("1", str(cut), "SourceError")]


def test_forgotten_samples_stay_in_older_snapshots_until_collected(store: lamofc.Store, make_samples: Make) -> None:
    before = store.head
    forgotten = store.forget(["s/0002", "s/0005"])
    assert (forgotten.samples, forgotten.records) == (2, 12)
    assert len(store) == 10
    assert "s/0002" not in store
    assert len(store.as_of(before)) == 12
    assert _same(store.as_of(before)["s/0002", "one"], make_samples(3)[2].features["one"])
    with pytest.raises(NotFound, match="no sample 's/0002'"):
        store.forget(["s/0002"])
    store.ingest(make_samples(3, 2), codec="raw")
    assert len(store) == 11
    assert _same(store["s/0002", "one"], make_samples(3)[2].features["one"])


def test_compact_and_gc_give_the_bytes_back(store: lamofc.Store, make_samples: Make) -> None:
    store.forget([f"s/{number:04d}" for number in range(0, 12, 2)])
    was = store.as_of(store.head)
    done = store.compact(live=0.9)
    assert (done.segments, done.records) == (1, 36)
    assert done.bytes_after < done.bytes_before
    kept = {sample: store[sample] for sample in store}
    collected = store.gc("0s")
    assert collected.objects > 0
    assert store.verify().ok
    for sample in make_samples(12):
        if sample.id in kept:
            assert all(_same(store[sample.id, name], tensor) for name, tensor in sample.features.items())
    with pytest.raises(lamofc.errors.Expired):
        store.as_of(1)
    assert was.head == store.head - 2


def test_annotate_adds_columns_and_the_last_value_wins(store: lamofc.Store) -> None:
    store.annotate({"s/0001": {"score": 0.5, "note": "a"}, "s/0002": {"score": 1.5, "note": None}})
    store.annotate({"s/0001": {"score": 2.5, "label": None}})
    rows = store.sql("SELECT sample, label, score, note FROM samples ORDER BY 1 LIMIT 3").fetchall()
    assert rows == [("s/0000", 0, None, None), ("s/0001", 1, 2.5, "a"), ("s/0002", 2, 1.5, None)]
    with pytest.raises(NotFound, match=r"no sample 'nobody' \(1 of 1"):
        store.annotate({"nobody": {"score": 1.0}})


def test_what_names_no_samples_is_refused(store: lamofc.Store) -> None:
    for table in ([1, 2], [{"sample": "s/0001", "score": 1.0}]):
        with pytest.raises(BadArgument, match="is a list, neither a file nor a mapping nor an Arrow table") as caught:
            store.annotate(table)  # type: ignore[arg-type]
        assert caught.value.cure == "write {'img_0001': {'label': 3}}"
    with pytest.raises(BadArgument, match=r"the columns of sample 'sample' are \['s/0001'\], not a mapping"):
        store.annotate({"sample": ["s/0001"], "score": [1.0]})  # type: ignore[dict-item]
    for samples in ([3], 3):
        with pytest.raises(BadArgument, match=r"samples=.*3.* is no list of ids") as caught:
            store.forget(samples)  # type: ignore[arg-type]
        assert caught.value.cure == "write ['img_0001']; list(store) gives the ids"


def test_a_column_never_turns_into_text_silently(store: lamofc.Store, tmp_path: Path) -> None:
    with pytest.raises(SchemaConflict, match="label"):
        store.annotate({"s/0001": {"label": "cat"}})
    assert store.sql("SELECT typeof(label) FROM samples LIMIT 1").fetchall() == [("BIGINT",)]


def test_a_store_stays_at_its_snapshot_until_refreshed(store: lamofc.Store, make_samples: Make) -> None:
    other = lamofc.open(store.url)
    store.ingest(make_samples(14, 12), codec="raw")
    assert (len(other), len(other.refresh())) == (12, 14)
    other.close()


def test_a_pickled_store_is_the_same_snapshot(store: lamofc.Store) -> None:
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
    assert copy.head == store.head
    assert _same(copy["s/0001", "one"], store["s/0001", "one"])
    copy.close()


def test_two_phases_by_two_hands(tmp_path: Path, make_samples: Make) -> None:
    url = str(tmp_path / "s")
    with lamofc.open(url, "a") as store:
        first = store.write(make_samples(4), codec="raw")
        second = store.write(make_samples(8, 4), codec="raw")
        assert len(lamofc.open(url)) == 0
        store.commit(pickle.loads(pickle.dumps(first + second)))  # noqa: S301 - our own bytes
        assert len(store) == 8
        again = store.write(make_samples(4), codec="raw")
        assert again == []


def test_a_row_written_twice_is_kept_once(tmp_path: Path, make_samples: Make) -> None:
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        twice = store.write(make_samples(4), codec="raw") + store.write(make_samples(6), codec="raw")
        store.commit(twice)
        assert store.sql("SELECT count(*), count(DISTINCT sample || feature) FROM records").fetchall() == [(36, 36)]
        assert len(store) == 6


def test_nested_sources_come_back_nested(tmp_path: Path) -> None:
    from lamofc_store.sample import structure

    nested = {"layers": [{"k": torch.ones(2, 3)}, {"k": torch.zeros(2, 3)}], "out": (torch.ones(4),)}
    tensors, text = structure.flatten(nested)
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest([Sample("a", tensors, {}, text)], codec="raw")
        found = store.get("a")
    assert isinstance(found["out"], tuple)
    assert torch.equal(found["layers"][1]["k"], nested["layers"][1]["k"])


def test_generators_are_read_once(tmp_path: Path, make_samples: Make) -> None:
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        report = store.ingest((sample for sample in make_samples(5)), codec="lloydmax")
        assert report.samples == 5
        assert len(store) == 5


def test_a_plan_tells_shapes_and_patterns(make_samples: Make) -> None:
    planned = {one.feature: one for one in lamofc.plan(make_samples(2))}
    assert (planned["hidden"].tokens, planned["hidden"].channels, planned["hidden"].dtype) == (3, 24, "float32")
    assert planned["ids"].pattern == "c -> 1 c"


@pytest.mark.parametrize("name", ["'; DROP VIEW samples; --", "../../etc/passwd", "ü/日本", "a\nb", " ", "x" * 3000])
def test_any_text_is_an_id(tmp_path: Path, name: str) -> None:
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest([Sample(name, {name: torch.ones(2, 2)})], codec="raw")
        assert list(store) == [name]
        assert torch.equal(store[name, name], torch.ones(2, 2))
        store.forget([name])
        assert len(store) == 0


def test_a_failed_ingest_leaves_the_store_usable(place: tuple[str, dict[str, object]], make_samples: Make) -> None:
    url, options = place
    with lamofc.open(url, "a", storage_options=options) as store:
        store.ingest(make_samples(2), codec="raw")
        for _ in range(2):
            with pytest.raises(Conflict):
                store.ingest([Sample("s/0001", {"hidden": torch.ones(1, 2, 24)})], codec="raw")
        store.ingest(make_samples(3), codec="raw")
        assert len(store) == 3
