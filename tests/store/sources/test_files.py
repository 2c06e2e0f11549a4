"""A file is a sample: every format yields what an independent writer put in."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from lamofc_store import sources
from lamofc_store.errors import BadArgument, SourceError
from lamofc_store.sample import structure
from lamofc_store.sources import Spreadable, spread_order

Refused = Callable[..., SourceError]


def test_folder_of_safetensors(tmp_path: Path, pair: dict[str, torch.Tensor]) -> None:
    for number, name in enumerate(
        ("b/2.x.safetensors", "a.safetensors", "b/1.safetensors", ".hidden.safetensors", ".h/3.safetensors")
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_file({**pair, "number": torch.tensor(number)}, tmp_path / name)
    (tmp_path / "notes.txt").write_text("no features")
    source = sources.open(tmp_path)
    assert len(source) == 3
    assert "3 .safetensors" in source.describe()
    for _ in range(2):
        assert [sample.id for sample in source] == ["a", "b/1", "b/2.x"]
    assert_close(dict(list(source)[2].features), {**pair, "number": torch.tensor(0)}, rtol=0, atol=0)


def test_features_by_glob(tmp_path: Path, pair: dict[str, torch.Tensor]) -> None:
    save_file(pair, tmp_path / "a.safetensors")
    (sample,) = sources.open(tmp_path, features=["*.1"])
    assert sample.structure is None
    assert list(sample.features) == ["layer.1"]
    with pytest.raises(SourceError, match=r"no feature that matches keys: it has layer\.0, layer\.1"):
        list(sources.open(tmp_path, features=["keys"]))
    with pytest.raises(BadArgument, match="is one text"):
        sources.open(tmp_path, features="keys")


def test_nesting_of_safetensors(tmp_path: Path, refused: Refused, pair: dict[str, torch.Tensor]) -> None:
    flat, nesting = structure.flatten({"kv": [pair["layer.0"]]})
    assert nesting is not None
    save_file(flat, tmp_path / "a.safetensors", {"lamofc.structure": nesting})
    assert next(iter(sources.open(tmp_path))).structure == nesting
    assert next(iter(sources.open(tmp_path, features=["kv.*"]))).structure == nesting
    save_file(flat, tmp_path / "a.safetensors", {"lamofc.structure": '{"tensor":"other"}'})
    refused(tmp_path, "needs feature 'other'")


def test_some_tensors_of_a_nesting_come_flat(tmp_path: Path, pair: dict[str, torch.Tensor]) -> None:
    flat, nesting = structure.flatten({"kv": list(pair.values())})
    assert nesting is not None
    save_file(flat, tmp_path / "a.safetensors", {"lamofc.structure": nesting})
    torch.save({"kv": list(pair.values())}, tmp_path / "b.pt")
    for sample in sources.open(tmp_path, features=["kv.1"]):
        assert sample.structure is None
        assert_close(dict(sample.features), {"kv.1": pair["layer.1"]}, rtol=0, atol=0)


def test_npz_and_npy(tmp_path: Path) -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3)
    np.savez(tmp_path / "a.npz", hidden=array, label=3, split="train", empty=np.zeros((0, 4), np.float16))
    np.save(tmp_path / "b.npy", array)
    first, second = sources.open(tmp_path)
    assert first.attributes == {"label": 3, "split": "train"}
    assert_close(
        dict(first.features),
        {"hidden": torch.arange(6.0).reshape(2, 3), "empty": torch.zeros(0, 4).half()},
        rtol=0,
        atol=0,
    )
    assert_close(dict(second.features), {"feature": torch.arange(6.0).reshape(2, 3)}, rtol=0, atol=0)


def test_pt_nested_and_bare(tmp_path: Path, pair: dict[str, torch.Tensor]) -> None:
    one, two = pair.values()
    torch.save({"blocks.9": [one], "kv": (one, two), "label": 7}, tmp_path / "a.pt")
    torch.save(two, tmp_path / "b.pth")
    first, second = sources.open(tmp_path)
    assert list(first.features) == ["blocks.9.0", "kv.0", "kv.1"]
    assert first.attributes == {"label": 7}
    nested = structure.restore(first.features, first.structure)
    assert isinstance(nested["kv"], tuple)
    assert torch.equal(nested["blocks.9"][0], one)
    assert_close(dict(second.features), {"feature": two}, rtol=0, atol=0)


def test_another_suffix_reads_by_format(tmp_path: Path, pair: dict[str, torch.Tensor]) -> None:
    torch.save(pair, tmp_path / "a.h5")
    (sample,) = sources.open(tmp_path / "a.h5", "pt")
    assert_close(dict(sample.features), pair, rtol=0, atol=0)


def test_one_id_twice(tmp_path: Path, refused: Refused, pair: dict[str, torch.Tensor]) -> None:
    save_file(pair, tmp_path / "a.safetensors")
    torch.save(pair, tmp_path / "a.pt")
    error = refused(tmp_path, "both make the sample id 'a'")
    assert "a.safetensors" in str(error)
    assert "a.pt" in str(error)
    assert len(sources.open(tmp_path, "pt")) == 1


def test_a_fit_sees_files_from_all_over_the_folder(tmp_path: Path, pair: dict[str, torch.Tensor]) -> None:
    for number in range(90):
        save_file(pair, tmp_path / f"{number:02}.safetensors")
    source = sources.open(tmp_path)
    assert isinstance(source, Spreadable)
    seen = [int(sample.id) for sample in source.spread()]
    assert sorted(seen) == list(range(90))
    assert all(len({place // 30 for place in seen[start : start + 6]}) == 3 for start in range(84))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 64, 1000, 1597])
def test_a_spread_order_holds_every_place_once(count: int) -> None:
    order = list(spread_order(count))
    assert sorted(order) == list(range(count))
    for size in (8, 64):
        if count > 2 * size:
            gaps = np.diff(sorted(order[:size]))
            assert gaps.max() <= 3 * count / size
