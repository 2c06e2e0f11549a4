"""Values that would crash, mislead or fill the memory: each is refused by name, or kept as it is."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample, sources
from lamofc_store.errors import SourceError, StoreError
from lamofc_store.sources.readers import torch_unpickle


def repacked(folder: Path, payload: object) -> Path:
    """What torch saved, its members compressed by a program that knows nothing of torch."""
    folder.mkdir()
    torch.save(payload, folder / "plain.zip")
    with (
        zipfile.ZipFile(folder / "plain.zip") as plain,
        zipfile.ZipFile(folder / "a.pt", "w", zipfile.ZIP_DEFLATED) as to,
    ):
        for name in plain.namelist():
            to.writestr(name, plain.read(name))
    (folder / "plain.zip").unlink()
    return folder


def test_compressed_members_are_read_and_not_mapped(tmp_path: Path) -> None:
    values = torch.arange(12.0).reshape(3, 4)
    (sample,) = sources.open(repacked(tmp_path / "packed", {"x": values}))
    assert torch.equal(sample.features["x"], values)


def test_members_that_become_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_unpickle, "LARGE_BYTES", 1 << 16)
    with pytest.raises(SourceError, match="would become"):
        list(sources.open(repacked(tmp_path / "packed", {"x": torch.zeros(1 << 20)})))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.zeros(1).expand(1 << 25, 1 << 25), "repeats 4 bytes to"),
        (lambda: torch.empty(3, device="meta"), "on the meta device"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "layout"),
        (lambda: torch.zeros(4, dtype=torch.uint8).view(torch.bits8), r"of torch\.bits8"),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested")
def test_tensors_that_are_none_are_passed_over(tmp_path: Path, make: Callable[[], torch.Tensor], said: str) -> None:
    items: list[dict[str, Any]] = [{"id": "a", "x": torch.ones(2, 3)}, {"id": "b", "x": make()}]
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        with pytest.raises(SourceError, match=said):
            store.ingest(items, "raw")
        assert store.ingest(items[:1], "raw").records == 1


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_views_of_complex_numbers_are_kept_as_what_they_show(tmp_path: Path) -> None:
    numbers = torch.tensor([[1 + 2j, 3 - 4j]])
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        views = {"conj": numbers.conj(), "neg": numbers.conj().imag, "half": numbers.to(torch.complex32)}
        store.ingest({"a": views}, "raw")
        assert torch.equal(store["a", "conj"], numbers.conj()) and torch.equal(store["a", "neg"], -numbers.imag)
        lamofc.export(store, tmp_path / "npz", "npz")
        with pytest.raises(StoreError, match="no place in safetensors"):
            lamofc.export(store, tmp_path / "safetensors")
    with np.load(tmp_path / "npz" / "a.npz") as found:
        assert found["half"].tolist() == [[1 + 2j, 3 - 4j]]


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"sample": 7}, "which the store has itself"),
        ({"structure": "abc"}, "which the store has itself"),
        ({"n": 2**70}, "more than 64 bits hold"),
        ({"text": "\ud800"}, "no Unicode text"),
    ],
)
def test_columns_that_the_store_cannot_have(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(SourceError, match=said):
        Sample("a", {"x": torch.ones(2, 3)}, attributes)


def test_plain_values_never_take_the_place_of_what_the_catalog_tells(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        payload = {"sample": 7, "structure": "abc", "x": torch.ones(2, 3)}
        torch.save(payload, tmp_path / "in" / f"s{number}.pt")
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(sources.open(tmp_path / "in"), "raw")
        assert list(store) == ["s0", "s1", "s2"]
        assert store.get("s1")["sample"] == 7 and store.get("s1")["structure"] == "abc"
        query = "SELECT DISTINCT my_sample, my_structure FROM samples"
        assert store.sql(query).fetchall() == [(7, "abc")]


def of_float32(scale: float) -> list[Sample]:
    noise = torch.Generator().manual_seed(5)
    return [Sample(f"s{n}", {"x": scale * torch.randn(32, 16, generator=noise)}) for n in range(4)]


@pytest.mark.parametrize("scale", [1e-40, 1e-36])
def test_values_whose_squares_vanish_come_back_as_they_are(tmp_path: Path, scale: float) -> None:
    samples = of_float32(scale)
    with lamofc.open(str(tmp_path / "store"), "a") as store:
        store.ingest(samples, quality=lamofc.Quality(snr_db=15))
        assert all(torch.equal(store[sample.id, "x"], sample.features["x"]) for sample in samples)


def test_values_whose_squares_overflow_have_two_lines(tmp_path: Path) -> None:
    with lamofc.open(str(tmp_path / "store"), "a") as store:
        with pytest.raises(SourceError, match="no usable covariance") as refused:
            store.ingest(of_float32(3e37), quality=lamofc.Quality(snr_db=15))
        assert refused.value.cure == "scale them, or use codec uniform or raw"


def test_a_tensor_without_values_is_refused(tmp_path: Path) -> None:
    with lamofc.open(str(tmp_path / "store"), "a") as store:
        with pytest.raises(SourceError, match="the device meta, which holds no values") as refused:
            store.ingest([Sample("s", {"x": torch.empty(4, 4, device="meta")})])
        assert refused.value.cure
