"""Segments as any Zarr reader sees them, and the decoded view with its codec."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import torch
import zarr

import lamofc_store as lamofc
from lamofc_store import Quality, Sample
from lamofc_store.zarr_view.codec import NumcodecsRecord, RecordCodec

Make = Callable[..., list[lamofc.Sample]]


def _in_fresh_process(code: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_segments_open_in_plain_zarr_without_our_package_and_without_a_warning(store: lamofc.Store) -> None:
    code = """
        import json, sys, warnings
        for name in ("lamofc_store", "lamofc_codecs", "lamofc_catalog"):
            sys.modules[name] = None
        import zarr
        root = zarr.open_group(sys.argv[1] + "/segments", mode="r")
        segments = list(root.groups())
        assert len(segments) == 1, segments
        for _, segment in segments:
            arrays = dict(segment.arrays())
            assert sorted(arrays) == ["ids", "ids_offsets", "offsets", "payload"], arrays
            payload, offsets, ids, ids_offsets = (arrays[n][:] for n in ("payload", "offsets", "ids", "ids_offsets"))
            assert len(payload) == offsets[-1]
            streams = segment.attrs["streams"]
            assert sum(stream["count"] for stream in streams) == len(offsets) - 1
            for stream in streams:
                for number in range(stream["first"], stream["first"] + stream["count"]):
                    record = payload[offsets[number] : offsets[number + 1]].tobytes()
                    assert record[:4] == b"LMFC"
                    name = ids[ids_offsets[number] : ids_offsets[number + 1]].tobytes().decode()
                    print(*(json.loads(name) if stream.get("several") else [name]))
    """
    told = _in_fresh_process(code, store.url).split()
    assert sorted(set(told)) == list(store)
    assert len(told) == 72


def test_the_decoded_view_gives_the_same_numbers_as_the_store(tmp_path: Path, make_samples: Make) -> None:
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest(make_samples(9), codec="uniform", quality=Quality(snr_db=20))
        view = store.zarr
        ids = list(store)
        assert sorted(view.array_keys()) == ["cache", "hidden", "ids", "none", "one", "pooled", "sample_ids"]
        assert view["sample_ids"][:].tobytes().decode().split("\n") == ids
        for feature in ("hidden", "cache", "pooled", "one"):
            lengths = view[f"lengths/{feature}"][:]
            for index, sample in enumerate(ids):
                expected = store[sample, feature].float().numpy()
                found = view[feature][index]
                inside = tuple(slice(0, length) for length in expected.shape)
                np.testing.assert_array_equal(found[inside].astype(np.float32), expected)
                assert np.isnan(found).sum() == found.size - expected.size
                assert lengths[index] > 0
        assert view["cache"].dtype == np.float32
        assert view["pooled"].dtype == np.float16


def test_samples_without_a_feature_are_all_nan_and_have_length_minus_one(tmp_path: Path) -> None:
    samples = [Sample("a", {"x": torch.ones(2, 3)}), Sample("b", {"y": torch.ones(4)})]
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest(samples, codec="raw")
        assert np.isnan(store.zarr["x"][1]).all()
        assert store.zarr["lengths/x"][:].tolist() == [2, -1]


def test_features_that_vary_in_two_axes_are_shown_as_tokens_by_channels(tmp_path: Path) -> None:
    samples = [Sample(str(n), {"grid": torch.randn(n + 1, 3 - n, 5)}) for n in range(3)]
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest(samples, codec="raw")
        assert store.zarr["grid"].shape == (3, 4, 5)
        np.testing.assert_array_equal(store.zarr["grid"][1], samples[1].features["grid"].reshape(4, 5).numpy())


def test_names_with_slashes_become_one_node(tmp_path: Path) -> None:
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest([Sample("a", {"blocks/3/out": torch.ones(2)})], codec="raw")
        assert store.zarr["blocks%2F3%2Fout"][0].tolist() == [1, 1]


def test_a_feature_named_like_an_object_of_the_view_has_its_first_letter_encoded(tmp_path: Path) -> None:
    names = ("sample_ids", "lengths", "zarr.json", "__x")
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest([Sample("a", {name: torch.full((2,), float(at)) for at, name in enumerate(names)})], codec="raw")
        view = store.zarr
        assert view["sample_ids"][:].tobytes() == b"a"
        nodes = ["%73ample_ids", "%6Cengths", "%7Aarr.json", "%5F_x"]
        assert sorted(view.array_keys()) == sorted(["sample_ids", *nodes])
        assert sorted(view["lengths"].array_keys()) == sorted(nodes)
        assert [view[node][0].tolist() for node in nodes] == [[at, at] for at in range(4)]


def test_xarray_reads_the_view(store: lamofc.Store) -> None:
    import xarray

    ids = list(store)
    with xarray.open_zarr(store.zarr.store, consolidated=False, zarr_format=3) as opened:
        np.testing.assert_array_equal(opened["pooled"][4].values, store[ids[4], "pooled"].numpy())
        assert opened["pooled"].dims[0] == "sample"


def test_the_view_opens_in_another_process_by_the_entry_point(store: lamofc.Store) -> None:
    code = """
        import sys
        import lamofc_store
        with lamofc_store.open(sys.argv[1]) as store:
            print(store.zarr["pooled"][3].tolist())
    """
    assert _in_fresh_process(code, store.url).strip() == str(store[list(store)[3], "pooled"].tolist())


def test_the_view_refuses_writes(store: lamofc.Store) -> None:
    with pytest.raises(Exception, match="read"):
        store.zarr["pooled"][0] = 1


def test_the_codec_writes_and_reads_arrays_of_its_own(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((5, 4, 6)).astype(np.float32)
    array = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=values.shape,
        chunks=(1, 4, 6),
        dtype="float32",
        serializer=RecordCodec(),
        compressors=None,
    )
    array[:] = values
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "a.zarr"))[:], values)


def test_a_codec_configuration_with_unknown_settings_is_refused() -> None:
    with pytest.raises(lamofc.errors.BadArgument, match=r"no configuration of lamofc\.record"):
        RecordCodec.from_dict({"name": "lamofc.record", "configuration": {"level": 3}})
    codec = RecordCodec("place", ("ab",), "t c -> t c")
    assert RecordCodec.from_dict(codec.to_dict()) == codec


def test_numcodecs_finds_the_same_codec() -> None:
    values = np.arange(12, dtype="<i4").reshape(3, 4)
    codec = numcodecs.get_codec({"id": "lamofc.record", "shape": [3, 4], "dtype": "<i4"})
    assert isinstance(codec, NumcodecsRecord)
    np.testing.assert_array_equal(codec.decode(codec.encode(values)), values)
    out = np.empty_like(values)
    codec.decode(codec.encode(values), out)
    np.testing.assert_array_equal(out, values)
    assert numcodecs.get_codec(codec.get_config()) == codec


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_numbers_of_two_halves_are_shown_as_complex64(tmp_path: Path) -> None:
    values = torch.complex(torch.arange(6.0), -torch.arange(6.0)).reshape(3, 2)
    with lamofc.open(str(tmp_path / "store"), "a") as store:
        store.ingest([Sample("s", {"x": values.to(torch.complex32)})], codec="raw")
        shown = store.zarr["x"][0]
    assert shown.dtype == np.complex64
    assert np.array_equal(shown, values.numpy())
