"""An export holds what the store holds, goes on where it stopped, and touches nothing that is not its own."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from torch.testing import assert_close

import lamofc_store as lamofc
from lamofc_store import Sample, sources
from lamofc_store.errors import BadArgument, Conflict, NotFound, SourceError, StoreError
from lamofc_store.exporting import Exported, export
from lamofc_store.sample import structure
from lamofc_store.sample.file_names import id_of

BUFFER = torch.arange(8.0)
SAMPLES: dict[str, dict[str, torch.Tensor]] = {
    "a/1": {"h.0": torch.randn(3, 4), "h.1": torch.randn(2, 2).bfloat16(), "file": torch.arange(3)},
    "../b": {"h.0": torch.zeros(0, 4), "h.1": torch.tensor([[1.5]]).to(torch.float8_e4m3fn)},
    "c": {"other.0": BUFFER[:4], "other.1": BUFFER[2:]},
}


class Held:
    """The public face of a store, over plain dicts and a DuckDB connection."""

    url = "memory://held"
    head = 3

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        _, nesting = structure.flatten({"other": list(SAMPLES["c"].values())})
        self.samples = pa.table(
            {
                "sample": ["c", "a/1", "../b"],
                "structure": [nesting, None, None],
                "label": [7, 1, None],
                "split": ["x"] * 3,
            }
        )
        keys = [(sample, feature) for sample, features in SAMPLES.items() for feature in features]
        self.records = pa.table({"sample": [key[0] for key in keys], "feature": [key[1] for key in keys]})
        self.connection.register("samples", self.samples)
        self.connection.register("records", self.records)
        self.reads: list[str] = []

    @property
    def features(self) -> list[str]:
        return ["file", "h.0", "h.1", "other.0", "other.1"]

    def __iter__(self) -> Iterator[str]:
        return iter(self.find("true"))

    def find(self, where: str) -> list[str]:
        return [row[0] for row in self.sql(f"SELECT sample FROM samples WHERE {where} ORDER BY 1").fetchall()]

    def sql(self, query: str, params: Sequence[Any] | None = None) -> duckdb.DuckDBPyRelation:
        return self.connection.sql(query, params=params)

    def tensors(
        self, sample: str, features: Sequence[str] | None = None, quality: object = None
    ) -> dict[str, torch.Tensor]:
        self.reads.append(sample)
        assert quality is None
        return {feature: SAMPLES[sample][feature] for feature in features or SAMPLES[sample]}


@pytest.fixture
def store() -> Any:
    held = Held()
    yield held
    held.connection.close()


def test_safetensors_hold_the_store(store: Any, tmp_path: Path) -> None:
    done = export(store, tmp_path / "out")
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.rglob("*.safetensors"))
    assert {id_of(file, ".safetensors") for file in files} == set(SAMPLES)
    assert (done.samples, done.files) == (3, 3)
    assert done.bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    for file in files:
        with safe_open(tmp_path / "out" / file, "pt") as opened:
            read = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        assert_close(read, SAMPLES[id_of(file, ".safetensors")], rtol=0, atol=0)


def test_a_true_store_comes_out_and_in_again(tmp_path: Path) -> None:
    nested = {"kv": [(torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4).bfloat16())], "label": 3}
    place = str(tmp_path / "store")
    with lamofc.open(place, "a") as store:
        store.ingest([("odd/../id", nested), ("b", {"x": torch.arange(6).reshape(2, 3), "label": 4})], codec="raw")
        assert export(store, tmp_path / "out").samples == 2
        before = {sample: store.get(sample) for sample in store}
    with lamofc.open(str(tmp_path / "again"), "a") as store:
        store.ingest(tmp_path / "out", codec="raw", table=tmp_path / "out/index.parquet")
        after = {sample: store.get(sample) for sample in store}
        assert store.find("label = 3") == ["odd/../id"]
    assert_close(after, before, rtol=0, atol=0)


def test_an_export_is_a_source(store: Any, tmp_path: Path) -> None:
    export(store, tmp_path)
    samples = {sample.id: sample for sample in sources.open(tmp_path)}
    assert list(samples) == ["../b", "a/1", "c"]
    assert_close(dict(samples["a/1"].features), SAMPLES["a/1"], rtol=0, atol=0)
    assert json.loads(samples["c"].structure or "") == json.loads(store.samples["structure"][0].as_py())


def test_npz_holds_the_values(store: Any, tmp_path: Path) -> None:
    export(store, tmp_path, "npz")
    with np.load(tmp_path / "a/1.npz") as read:
        assert sorted(read) == ["file", "h.0", "h.1"]
        assert read["h.1"].dtype == np.float32
        assert np.array_equal(read["h.1"], SAMPLES["a/1"]["h.1"].float().numpy())
        assert np.array_equal(read["file"], np.arange(3))
    with np.load(tmp_path / "%2E%2E/b.npz") as read:
        assert read["h.0"].shape == (0, 4)
        assert read["h.1"].item() == 1.5


def test_index_holds_the_attributes(store: Any, tmp_path: Path) -> None:
    export(store, tmp_path)
    index = pq.read_table(tmp_path / "index.parquet").drop_columns("nesting").to_pylist()
    assert index == [
        {"sample": "../b", "label": None, "split": "x", "file": "%2E%2E/b.safetensors"},
        {"sample": "a/1", "label": 1, "split": "x", "file": "a/1.safetensors"},
        {"sample": "c", "label": 7, "split": "x", "file": "c.safetensors"},
    ]
    assert sources.read_table(tmp_path / "index.parquet").num_rows == 3


def test_some_features_of_some_samples(store: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    done = export(store, tmp_path, features=["h.*"], where="split = 'x'", progress=lambda *far: told.append(far))
    assert (done.samples, told) == (2, [(1, 3), (2, 3)])
    assert not (tmp_path / "c.safetensors").exists()
    with safe_open(tmp_path / "a/1.safetensors", "pt") as opened:
        assert sorted(opened.keys()) == ["h.0", "h.1"]
    with pytest.raises(NotFound, match="no sample of memory://held matches 'label = 99'"):
        export(store, tmp_path / "none", where="label = 99")
    with pytest.raises(NotFound, match="matches layer"):
        export(store, tmp_path / "none", features=["layer"])


def test_a_stopped_export_goes_on(store: Any, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(store, tmp_path, progress=stop)
    assert not (tmp_path / "index.parquet").exists()
    store.reads.clear()
    assert export(store, tmp_path) == Exported(3, 1, (tmp_path / "c.safetensors").stat().st_size)
    assert store.reads == ["c"]
    assert export(store, tmp_path).files == 0
    assert pq.read_metadata(tmp_path / "index.parquet").num_rows == 3
    assert not list(tmp_path.rglob("*.part"))


def test_a_file_is_whole_or_absent(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(StoreError, match="No space left") as caught:
            export(store, tmp_path)
        assert "goes on" in caught.value.cure
    assert not list(tmp_path.rglob("*.safetensors"))
    assert export(store, tmp_path).files == 3


def test_another_export_is_refused_until_told(store: Any, tmp_path: Path) -> None:
    export(store, tmp_path)
    with pytest.raises(Conflict, match="format 'safetensors' -> 'npz'"):
        export(store, tmp_path, "npz")
    store.head = 4
    with pytest.raises(Conflict, match="commit 3 -> 4"):
        export(store, tmp_path)
    assert export(store, tmp_path, features=["other.0"], overwrite=True).samples == 1
    assert [path.name for path in tmp_path.rglob("*.safetensors")] == ["c.safetensors"]


def test_other_folders_are_left_alone(store: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(Conflict, match="is neither empty nor an export"):
            export(store, tmp_path, overwrite=overwrite)
    (tmp_path / "export.json").write_text("[]")
    with pytest.raises(Conflict, match="is not readable as an export's marker"):
        export(store, tmp_path, overwrite=True)
    with pytest.raises(BadArgument, match="'zip' is no format"):
        export(store, tmp_path / "new", "zip")


@pytest.mark.parametrize("format", ["safetensors", "lamofcbench"])
def test_a_file_holds_its_own_sample_and_no_other(tmp_path: Path, format: str) -> None:
    samples = [Sample(f"{number:02d}", {"a": torch.randn(64, 32), "b": torch.randn(32)}) for number in range(32)]
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(samples, "klt", lamofc.Quality(snr_db=10))
        lamofc.export(store, tmp_path / "out", format)
    files = [path for path in (tmp_path / "out").iterdir() if path.stem.isdigit()]
    assert len(files) == 32
    assert all(path.stat().st_size < 4 * (64 * 32 + 32) + 2000 for path in files)


def test_an_id_too_long_for_any_file_system_is_exported_with_the_others(tmp_path: Path) -> None:
    samples = {name: {"x": torch.full((2, 3), float(at))} for at, name in enumerate(("a", "b" * 10_000, "c" * 3000))}
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(samples, "raw")
        assert export(store, tmp_path / "out").files == 3
        assert export(store, tmp_path / "out").files == 0
    index = pq.read_table(tmp_path / "out" / "index.parquet").to_pylist()
    files = {row["sample"]: row["file"] for row in index}
    assert files["a"] == "a.safetensors" and len(files["b" * 10_000]) < 80
    again = {sample.id: sample.features["x"] for sample in sources.open(tmp_path / "out")}
    assert again.keys() == samples.keys()
    assert all(torch.equal(again[name], samples[name]["x"]) for name in samples)
    (tmp_path / "out" / "index.parquet").unlink()
    with pytest.raises(SourceError, match="which holds its id") as caught:
        sources.open(tmp_path / "out")
    assert caught.value.cure == "complete the export"


def test_a_path_that_a_disk_refuses_is_shown_in_short(store: Any, tmp_path: Path) -> None:
    folder = Path(tmp_path, *["d" * 200] * 30)
    with pytest.raises(StoreError, match="File name too long") as caught:
        export(store, folder)
    assert len(caught.value.message) < 400


def test_a_store_and_its_export_are_apart(tmp_path: Path) -> None:
    url = tmp_path / "mine.lamofc"
    with lamofc.open(str(url), "w-") as store:
        store.ingest({"a": {"x": torch.ones(2, 3)}}, "raw")
        (tmp_path / "link").symlink_to(url)
        for out in (url, url / "x", tmp_path, tmp_path / "link" / "x"):
            with pytest.raises(BadArgument, match="lie in each other"):
                export(store, out, overwrite=True)
        assert store.verify().ok and not (url / "x").exists()
        assert export(store, tmp_path / "mine.lamofc-export").files == 1
