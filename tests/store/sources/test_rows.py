"""A row is a sample, where that is asked for or plain."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from lamofc_store import sources
from lamofc_store.errors import SourceError
from lamofc_store.sources import Spreadable

Refused = Callable[..., SourceError]


def test_rows_are_samples(tmp_path: Path, refused: Refused) -> None:
    hidden, label = torch.randn(4, 3, 2).half(), torch.tensor([5, 6, 7, 8])
    save_file({"hidden": hidden, "label": label}, tmp_path / "all.safetensors")
    np.savez(tmp_path / "all.npz", hidden=hidden.numpy(), label=label.numpy(), name=np.array(list("abcd")))
    source = sources.open(tmp_path / "all.safetensors")
    assert (len(source), len(list(source))) == (4, 4)
    assert "4 rows of" in source.describe()
    third = list(source)[2]
    assert (third.id, third.attributes) == ("all/000002", {"label": 7})
    assert_close(dict(third.features), {"hidden": hidden[2]}, rtol=0, atol=0)
    named = list(sources.open(tmp_path / "all.npz", "rows", id_column="name"))
    assert [sample.id for sample in named] == list("abcd")
    assert_close(dict(named[1].features), {"hidden": hidden[1]}, rtol=0, atol=0)
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
    save_file({"hidden": torch.randn(1, 4, 2), "label": torch.arange(1)}, path)
    assert next(iter(sources.open(path))).id == "one"
    save_file({"hidden": torch.randn(6, 4, 2), "scale": torch.ones(6)}, path)
    assert len(sources.open(path)) == 1


def test_rows_of_an_npy_and_unequal_rows(tmp_path: Path, refused: Refused) -> None:
    array = np.random.default_rng(0).normal(size=(5, 3))
    np.save(tmp_path / "x.npy", array)
    samples = list(sources.open(tmp_path / "x.npy", "rows"))
    assert [sample.id for sample in samples][-1] == "x/000004"
    assert np.array_equal(samples[4].features["feature"].numpy(), array[4])
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(3, 3)}, tmp_path / "y.safetensors")
    refused(tmp_path / "y.safetensors", "not one number of rows", format="rows")
    torch.save(torch.zeros(2, 3), tmp_path / "z.pt")
    refused(tmp_path / "z.pt", "rows cannot be read from .pt", format="rows")


def test_a_fit_sees_rows_of_all_files(tmp_path: Path) -> None:
    for number, count in enumerate((5, 40, 1, 12)):
        save_file({"hidden": torch.full((count, 3, 2), number)}, tmp_path / f"{number}.safetensors")
    source = sources.open(tmp_path, "rows")
    assert isinstance(source, Spreadable)
    seen = list(source.spread())
    assert {sample.id for sample in seen} == {sample.id for sample in source}
    assert len(seen) == 58
    assert all(f"{int(sample.features['hidden'][0, 0])}/" in sample.id for sample in seen)
    assert len({sample.id[0] for sample in seen[:12]}) >= 3
