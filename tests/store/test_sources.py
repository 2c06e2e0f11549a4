"""Every format yields what an independent writer put in; everything wrong is refused with the path and a cure."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from lamofc_store import sources, structure
from lamofc_store.errors import BadArgument, NotFound, SourceError
from lamofc_store.sample import Sample


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "layer.0": torch.randn(5, 4, generator=generator),
        "layer.1": torch.randn(3, generator=generator).bfloat16(),
    }


def refused(what: object, words: str, **options: str) -> SourceError:
    """The error of opening and reading; it must say `words` and have a cure."""
    with pytest.raises(SourceError) as caught:
        list(sources.open(what, **options))
    assert words in str(caught.value), str(caught.value)
    assert caught.value.cure
    return caught.value


def same(sample: Sample, features: dict[str, torch.Tensor]) -> bool:
    return list(sample.features) == list(features) and all(
        torch.equal(sample.features[name], value) and sample.features[name].dtype == value.dtype
        for name, value in features.items()
    )


def test_folder_of_safetensors(tmp_path: Path) -> None:
    for number, name in enumerate(("b/2.x.safetensors", "a.safetensors", "b/1.safetensors", ".hidden.safetensors")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_file(tensors(number), tmp_path / name)
    (tmp_path / "notes.txt").write_text("no features")
    source = sources.open(tmp_path)
    assert len(source) == 3
    assert "3 .safetensors" in source.describe()
    for _ in range(2):
        assert [sample.id for sample in source] == ["a", "b/1", "b/2.x"]
    assert same(list(source)[2], tensors(0))


def test_features_by_glob(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "a.safetensors")
    (sample,) = sources.open(tmp_path, features=["*.1"])
    assert list(sample.features) == ["layer.1"]
    with pytest.raises(SourceError, match=r"no feature that matches keys: it has layer\.0, layer\.1"):
        list(sources.open(tmp_path, features=["keys"]))
    with pytest.raises(BadArgument, match="is one text"):
        sources.open(tmp_path, features="keys")


def test_nesting_of_safetensors(tmp_path: Path) -> None:
    flat, nesting = structure.flatten({"kv": [tensors()["layer.0"]]})
    assert nesting is not None
    save_file(flat, tmp_path / "a.safetensors", {"lamofc.structure": nesting})
    assert next(iter(sources.open(tmp_path))).structure == nesting
    save_file(flat, tmp_path / "a.safetensors", {"lamofc.structure": '{"tensor":"other"}'})
    refused(tmp_path, "needs feature 'other'")


def test_npz_and_npy(tmp_path: Path) -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3)
    np.savez(tmp_path / "a.npz", hidden=array, label=3, split="train", empty=np.zeros((0, 4), np.float16))
    np.save(tmp_path / "b.npy", array)
    first, second = sources.open(tmp_path)
    assert first.attributes == {"label": 3, "split": "train"}
    assert same(first, {"hidden": torch.arange(6.0).reshape(2, 3), "empty": torch.zeros(0, 4).half()})
    assert same(second, {"feature": torch.arange(6.0).reshape(2, 3)})


def test_object_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", hidden=np.array([{}, 1], dtype=object))
    refused(tmp_path, "Python objects")
    np.save(tmp_path / "b.npy", np.array([{}, 1], dtype=object))
    refused(tmp_path / "b.npy", "Python objects")


def test_pt_nested_and_bare(tmp_path: Path) -> None:
    one, two = tensors().values()
    torch.save({"blocks.9": [one], "kv": (one, two), "label": 7}, tmp_path / "a.pt")
    torch.save(two, tmp_path / "b.pth")
    first, second = sources.open(tmp_path)
    assert list(first.features) == ["blocks.9.0", "kv.0", "kv.1"]
    assert first.attributes == {"label": 7}
    nested = structure.restore(first.features, first.structure)
    assert isinstance(nested["kv"], tuple)
    assert torch.equal(nested["blocks.9"][0], one)
    assert same(second, {"feature": two})


class Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickles_that_run_code_are_refused(tmp_path: Path, legacy: bool) -> None:
    target = tmp_path / "ran"
    torch.save({"x": Bomb(str(target))}, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    refused(tmp_path, f"{tmp_path / 'a.pt'} holds more than tensors")
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Bomb(str(target))))
    refused(tmp_path, str(tmp_path / "a.pt"))
    assert not target.exists()


def test_rows_are_samples(tmp_path: Path) -> None:
    hidden, label = torch.randn(4, 3, 2).half(), torch.tensor([5, 6, 7, 8])
    save_file({"hidden": hidden, "label": label}, tmp_path / "all.safetensors")
    np.savez(tmp_path / "all.npz", hidden=hidden.numpy(), label=label.numpy(), name=np.array(list("abcd")))
    source = sources.open(tmp_path / "all.safetensors")
    assert (len(source), len(list(source))) == (4, 4)
    assert "4 rows of" in source.describe()
    third = list(source)[2]
    assert (third.id, third.attributes) == ("all/000002", {"label": 7})
    assert same(third, {"hidden": hidden[2]})
    named = list(sources.open(tmp_path / "all.npz", "rows", id_column="name"))
    assert [sample.id for sample in named] == list("abcd")
    assert same(named[1], {"hidden": hidden[1]})
    refused(tmp_path / "all.npz", "no tensor 'id' of one axis; it has label, name", format="rows", id_column="id")
    refused(tmp_path, "both make the sample id 'all'", format="rows")


def test_rows_only_where_that_is_plain(tmp_path: Path) -> None:
    """Hidden states beside their token ids are one sample, unless rows are asked for."""
    path = tmp_path / "one.safetensors"
    save_file({"hidden": torch.randn(6, 4), "input_ids": torch.arange(6)}, path)
    assert len(sources.open(path)) == 1
    assert len(sources.open(path, "rows")) == 6
    save_file({"hidden": torch.randn(6, 4, 2), "label": torch.arange(6)}, path)
    assert len(sources.open(path)) == 6
    assert len(sources.open(path, "safetensors")) == 1
    assert len(sources.open(tmp_path)) == 1


def test_rows_of_an_npy_and_unequal_rows(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(5, 3))
    np.save(tmp_path / "x.npy", array)
    samples = list(sources.open(tmp_path / "x.npy", "rows"))
    assert [sample.id for sample in samples][-1] == "x/000004"
    assert np.array_equal(samples[4].features["feature"].numpy(), array[4])
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(3, 3)}, tmp_path / "y.safetensors")
    refused(tmp_path / "y.safetensors", "not one number of rows", format="rows")
    torch.save(torch.zeros(2, 3), tmp_path / "z.pt")
    refused(tmp_path / "z.pt", "rows cannot be read from .pt", format="rows")


def embeddings(path: Path, first: int, rows: int = 10) -> pa.Table:
    values = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3) + first
    table = pa.table(
        {
            "id": pa.array([f"s{first + row}" for row in range(rows)]),
            "fixed": pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 3),
            "ragged": pa.array([[float(row)] * (row % 3) for row in range(rows)], pa.list_(pa.float64())),
            "matrix": pa.array([[[row, 1], [2, 3], [4, 5]] for row in range(rows)], pa.list_(pa.list_(pa.int16()))),
            "label": pa.array(range(rows), pa.int32()),
            "day": pa.array([None, *range(rows - 1)], pa.date32()),
            "kind": pa.array(["a"] * rows).dictionary_encode(),
            "odd": pa.array([{"x": 1}] * rows),
        }
    )
    pq.write_table(table, path, row_group_size=4)
    return table


def test_parquet_of_embeddings(tmp_path: Path) -> None:
    embeddings(tmp_path / "a.parquet", 0)
    embeddings(tmp_path / "b.parquet", 100)
    source = sources.open(tmp_path)
    assert len(source) == 20
    assert "left out: odd" in source.describe()
    samples = list(source)
    assert [sample.id for sample in samples] == [f"s{n}" for n in (*range(10), *range(100, 110))]
    sample = samples[15]
    assert torch.equal(sample.features["fixed"], torch.tensor([115.0, 116.0, 117.0]))
    assert torch.equal(sample.features["ragged"], torch.tensor([5.0, 5.0], dtype=torch.float64))
    assert samples[0].features["ragged"].shape == (0,)
    assert torch.equal(sample.features["matrix"], torch.tensor([[5, 1], [2, 3], [4, 5]], dtype=torch.int16))
    assert sample.attributes == {"label": 5, "day": "1970-01-05", "kind": "a"}
    assert samples[0].attributes["day"] is None


def test_parquet_is_read_group_by_group(tmp_path: Path) -> None:
    """Damage in the last group does not keep the first from being read."""
    path = tmp_path / "a.parquet"
    embeddings(path, 0, 400)
    source = iter(sources.open(path))
    assert next(source).id == "s0"
    metadata = pq.ParquetFile(path).metadata.row_group(99).column(1)
    with path.open("r+b") as file:
        file.seek(metadata.data_page_offset)
        file.write(b"\xff" * 30)
    with pytest.raises(SourceError, match=r"a\.parquet .* is no readable \.parquet file"):
        list(source)


def test_wrong_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    vectors = pa.array([[1.0], [2.0]])
    pq.write_table(pa.table({"key": ["a", "b"], "x": vectors}), path)
    refused(path, "no column 'sample or id' of sample ids; it has key, x")
    assert [sample.id for sample in sources.open(path, id_column="key")] == ["a", "b"]
    pq.write_table(pa.table({"id": ["a", "a"], "x": vectors}), path)
    refused(path, "the id 'a' stands in several rows")
    pq.write_table(pa.table({"id": ["a", None], "x": vectors}), path)
    refused(path, "1 rows have no 'id'")
    pq.write_table(pa.table({"id": ["a", "b"], "x": ["no", "list"]}), path)
    refused(path, "no list column of numbers")
    pq.write_table(pa.table({"id": ["a", "b"], "x": pa.array([[1.0], [None]])}), path)
    refused(path, "1 empty values")
    pq.write_table(pa.table({"id": ["a", "b"], "x": pa.array([[[1.0]], [[1.0], [2.0, 3.0]]])}), path)
    refused(path, "lists of lengths [1, 2]")


def test_absent_parquet_list_is_an_absent_feature(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"id": ["a", "b"], "x": pa.array([[1.0], None]), "y": pa.array([[1], [2]])}), tmp_path / "a.parquet"
    )
    assert [list(sample.features) for sample in sources.open(tmp_path)] == [["x", "y"], ["y"]]


def test_iterables() -> None:
    pair = tensors()
    items = [Sample("a", pair, {"label": 1}), ("b", pair), {"id": 3, "x": np.ones(2), "label": 4}, {"x": torch.ones(1)}]
    source = sources.open(items)
    assert (len(source), source.reiterable) == (4, True)
    for _ in range(2):
        samples = list(source)
    assert [sample.id for sample in samples] == ["a", "b", "3", "00000003"]
    assert samples[2].attributes == {"label": 4}
    assert same(samples[1], pair)
    assert [sample.id for sample in sources.open({"x": pair, "y": pair})] == ["x", "y"]
    assert sources.open(source) is source
    assert [list(sample.features) for sample in sources.open(items[:2], features=["*.0"])] == [["layer.0"]] * 2


def test_generators_are_read_once() -> None:
    def generate() -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
        yield "a", tensors()

    source = sources.open(generate())
    assert not source.reiterable
    with pytest.raises(TypeError, match="does not know its length"):
        len(source)
    assert len(list(source)) == 1
    with pytest.raises(SourceError, match="was read before"):
        list(source)


class Indexed(torch.utils.data.Dataset[dict[str, object]]):
    """A map-style dataset that never raises IndexError, as many do."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"sample": f"s{index}", "x": torch.full((2,), index)}


def test_map_style_datasets() -> None:
    assert [sample.id for sample in sources.open(Indexed())] == ["s0", "s1", "s2"]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (7, "int is no source"),
        ([torch.ones(2)], "item 0 is a Tensor, no sample"),
        ([(torch.ones(2), 1)], "item 0 is a tuple, no sample"),
        ([("a", tensors()), ("a", tensors())], "item 1 has the id 'a' of an earlier one"),
        ([("a", {"label": 1})], "sample 'a' holds no tensor"),
        ([("", tensors())], "sample id '' is not"),
        ([{"id": torch.ones(1), "x": torch.ones(1)}], "no text or number under 'id'"),
        ([("a", {"x": object()})], "sample 'a': value 'x' is of type"),
    ],
)
def test_wrong_items_are_refused(what: object, words: str) -> None:
    refused(what, words)


def test_wrong_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="absent does not exist"):
        sources.open(tmp_path / "absent")
    refused(tmp_path, "holds no file of .npy, .npz, .parquet")
    (tmp_path / "a.h5").write_bytes(b"")
    refused(tmp_path / "a.h5", "unknown suffix '.h5'")
    refused("s3://bucket/x", "is a URL")
    with pytest.raises(BadArgument, match="'zip' is no format"):
        sources.open(tmp_path, "zip")


def test_another_suffix_reads_by_format(tmp_path: Path) -> None:
    torch.save(tensors(), tmp_path / "a.h5")
    (sample,) = sources.open(tmp_path / "a.h5", "pt")
    assert same(sample, tensors())


@pytest.mark.parametrize("kind", ["safetensors", "npz", "npy", "pt", "parquet"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.97])
def test_truncated_files_are_named(tmp_path: Path, kind: str, keep: float) -> None:
    path = tmp_path / f"a.{kind}"
    match kind:
        case "safetensors":
            save_file({"x": torch.randn(500)}, path)
        case "npz":
            np.savez(path, x=np.random.default_rng(0).normal(size=500))
        case "npy":
            np.save(path, np.random.default_rng(0).normal(size=500))
        case "pt":
            torch.save({"x": torch.randn(500)}, path)
        case "parquet":
            pq.write_table(pa.table({"id": ["a"], "x": [[1.0]]}), path)
    assert len(list(sources.open(path))) == 1
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    refused(path, str(path))


def test_links_out_and_devices_are_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    save_file(tensors(), outside / "a.safetensors")
    save_file(tensors(), inside / "b.safetensors")
    (inside / "c.safetensors").symlink_to("b.safetensors")
    assert len(sources.open(inside)) == 2
    (inside / "folder").symlink_to(outside)
    assert len(sources.open(inside)) == 2
    (inside / "d.safetensors").symlink_to(outside / "a.safetensors")
    refused(inside, "is a link out of the folder")
    (inside / "d.safetensors").unlink()
    os.mkfifo(inside / "e.safetensors")
    refused(inside, "is no regular file")


def test_one_id_twice(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "a.safetensors")
    torch.save(tensors(), tmp_path / "a.pt")
    error = refused(tmp_path, "both make the sample id 'a'")
    assert "a.safetensors" in str(error)
    assert "a.pt" in str(error)
    assert len(sources.open(tmp_path, "pt")) == 1


def test_tables_of_attributes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sample,label\n007,1\na,2\n")
    assert sources.read_table(path).to_pydict() == {"sample": ["007", "a"], "label": [1, 2]}
    pq.write_table(pa.table({"sample": [7, 8], "split": ["x", "y"]}), tmp_path / "t.parquet")
    assert sources.read_table(tmp_path / "t.parquet").column("sample").to_pylist() == ["7", "8"]
    path.write_text("sample,label\na,1\na,2\n")
    with pytest.raises(SourceError, match="'a' stands twice"):
        sources.read_table(path)
    path.write_text("id,label\na,1\n")
    with pytest.raises(SourceError, match="no column 'sample'; it has id, label"):
        sources.read_table(path)
    path.write_text("sample,label\na\n")
    with pytest.raises(SourceError, match=r"is no readable \.csv table"):
        sources.read_table(path)
    with pytest.raises(NotFound, match="is no file"):
        sources.read_table(tmp_path / "absent.csv")
