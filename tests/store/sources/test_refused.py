"""Damage, pickles, links and wrong paths are refused with the path and a cure."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from lamofc_store import sources
from lamofc_store.errors import BadArgument, NotFound, SourceError
from lamofc_store.sources.readers import numpy_files

Refused = Callable[..., SourceError]


def test_object_arrays_are_refused(tmp_path: Path, refused: Refused) -> None:
    np.savez(tmp_path / "a.npz", hidden=np.array([{}, 1], dtype=object))
    refused(tmp_path, "Python objects")
    np.save(tmp_path / "b.npy", np.array([{}, 1], dtype=object))
    refused(tmp_path / "b.npy", "Python objects")


def test_archives_of_zeros_are_refused(tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_files, "LARGE_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(1 << 20))
    refused(tmp_path, "bytes would become 83")


class Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickles_that_run_code_are_refused(tmp_path: Path, legacy: bool, refused: Refused) -> None:
    target = tmp_path / "ran"
    torch.save({"x": Bomb(str(target))}, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    refused(tmp_path, f"{tmp_path / 'a.pt'} holds more than tensors")
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Bomb(str(target))))
    refused(tmp_path, str(tmp_path / "a.pt"))
    assert not target.exists()


def test_wrong_paths_are_refused(tmp_path: Path, refused: Refused) -> None:
    with pytest.raises(NotFound, match="absent does not exist"):
        sources.open(tmp_path / "absent")
    refused(tmp_path, "holds no file of .h5, .npy, .npz, .parquet")
    (tmp_path / "a.hdf5").write_bytes(b"")
    refused(tmp_path / "a.hdf5", "unknown suffix '.hdf5'")
    refused("s3://bucket/x", "is a URL")
    with pytest.raises(BadArgument, match="'zip' is no format"):
        sources.open(tmp_path, "zip")


@pytest.mark.parametrize("kind", ["safetensors", "npz", "npy", "pt", "parquet"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.97])
def test_truncated_files_are_named(tmp_path: Path, kind: str, keep: float, refused: Refused) -> None:
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


def test_links_out_and_devices_are_refused(tmp_path: Path, refused: Refused, pair: dict[str, torch.Tensor]) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    save_file(pair, outside / "a.safetensors")
    save_file(pair, inside / "b.safetensors")
    (inside / "c.safetensors").symlink_to("b.safetensors")
    assert len(sources.open(inside)) == 2
    (inside / "folder").symlink_to(outside)
    assert len(sources.open(inside)) == 2
    (inside / "d.safetensors").symlink_to(outside / "a.safetensors")
    refused(inside, "is a link out of the folder")
    (inside / "d.safetensors").unlink()
    os.mkfifo(inside / "e.safetensors")
    refused(inside, "is no regular file")
