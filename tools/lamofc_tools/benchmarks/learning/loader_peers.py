"""Other ways to keep float16 features for training: each writes them once, and reads them batch after batch."""

from __future__ import annotations

import contextlib
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_tools.benchmarks.learning.throttle import Bucket

Halves = NDArray[np.float16]
Batches = Iterator[tuple[Tensor, Tensor]]


class Peer(ABC):
    """Features, samples x anything, and a label for each."""

    name: str
    needs: str | None = None
    """A package that may not be installed."""

    def __init__(self, folder: Path, bucket: Bucket) -> None:
        self.folder, self.bucket = folder, bucket
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def usable(cls) -> bool:
        """Whether its package is there."""
        if cls.needs is None:
            return True
        with contextlib.suppress(ImportError):
            import_module(cls.needs)
            return True
        return False

    @abstractmethod
    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Put them there."""

    @abstractmethod
    def epoch(self, batch: int, seed: int) -> Batches:
        """One pass in a random order."""


class Memmap(Peer):
    """One `.npy` file, mapped into memory."""

    name = "npy memmap"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Two files."""
        np.save(self.folder / "x.npy", features)
        np.save(self.folder / "y.npy", labels)

    def epoch(self, batch: int, seed: int) -> Batches:
        """Samples copied out of the map."""
        mapped, labels = np.load(self.folder / "x.npy", mmap_mode="r"), np.load(self.folder / "y.npy")
        order = np.random.default_rng(seed).permutation(len(labels))
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            self.bucket.take(mapped[0].nbytes * len(chosen), len(chosen))
            yield torch.from_numpy(mapped[chosen]), torch.from_numpy(labels[chosen])


class Safetensors(Peer):
    """One file, a slice a sample."""

    name = "safetensors"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """One tensor of all samples."""
        from safetensors.numpy import save_file

        save_file({"x": features, "y": labels}, self.folder / "x.safetensors")

    def epoch(self, batch: int, seed: int) -> Batches:
        """A slice a sample, stacked."""
        from safetensors import safe_open

        with safe_open(self.folder / "x.safetensors", framework="pt") as opened:
            whole, labels = opened.get_slice("x"), opened.get_tensor("y")
            order = np.random.default_rng(seed).permutation(len(labels))
            for start in range(0, len(order), batch):
                chosen = order[start : start + batch].tolist()
                found = torch.cat([whole[index : index + 1] for index in chosen])
                self.bucket.take(found.nbytes, len(chosen))
                yield found, labels[chosen]


class _Throttled(io.RawIOBase):
    """A file read through a bucket."""

    def __init__(self, file: Any, bucket: Bucket) -> None:
        self.file, self.bucket, self.requests = file, bucket, 1

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes; the whole file is one request."""
        data: bytes = self.file.read(size)
        self.bucket.take(len(data), self.requests)
        self.requests = 0
        return data

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        super().close()


class WebDataset(Peer):
    """Tar files, read from end to end, with a buffer to shuffle in."""

    name, needs = "webdataset", "webdataset"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Shards of 32 MiB."""
        from webdataset import ShardWriter

        with ShardWriter(str(self.folder / "%04d.tar"), maxsize=1 << 25, verbose=0) as out:
            for number, (one, label) in enumerate(zip(features, labels, strict=True)):
                out.write({"__key__": f"{number:06d}", "x.npy": one, "y.cls": int(label)})

    def epoch(self, batch: int, seed: int) -> Batches:
        """Shards in a random order."""
        import webdataset
        from webdataset.gopen import gopen_schemes

        def opened(url: str, mode: str = "rb", bufsize: int = 8192) -> Any:
            return _Throttled(Path(url.removeprefix("throttled:")).open("rb"), self.bucket)

        gopen_schemes["throttled"] = opened
        shards = [f"throttled:{path}" for path in sorted(self.folder.glob("*.tar"))]
        source = webdataset.WebDataset(shards, shardshuffle=len(shards), seed=seed, empty_check=False)
        for one, label in source.shuffle(64).decode().to_tuple("x.npy", "y.cls").batched(batch):
            yield torch.from_numpy(np.stack(list(one))), torch.as_tensor(np.asarray(label))


def _counted(kind: Any, bucket: Bucket) -> Any:
    """A kind of dataset whose samples are taken from the bucket."""

    class Counted(kind):  # type: ignore[misc]
        def __getitem__(self, at: Any) -> Any:
            found = super().__getitem__(at)
            bucket.take(found["x"].nbytes)
            return found

    return Counted


def _loaded(data: Any, batch: int) -> Batches:
    """Its batches, by torch's loader."""
    for found in torch.utils.data.DataLoader(data, batch_size=batch):
        yield found["x"], found["y"]


class Mds(Peer):
    """MosaicML Streaming."""

    name, needs = "mds", "streaming"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Shards of 64 MiB."""
        from streaming import MDSWriter

        shape = ",".join(map(str, features.shape[1:]))
        columns = {"x": f"ndarray:float16:{shape}", "y": "int"}
        with MDSWriter(out=str(self.folder / "mds"), columns=columns) as out:
            for one, label in zip(features, labels, strict=True):
                out.write({"x": one, "y": int(label)})

    def epoch(self, batch: int, seed: int) -> Batches:
        """Its own shuffle."""
        from streaming import StreamingDataset

        kind = _counted(StreamingDataset, self.bucket)
        data = kind(local=str(self.folder / "mds"), shuffle=True, shuffle_seed=seed, batch_size=batch)
        return _loaded(data, batch)


class LitData(Peer):
    """LitData's chunks."""

    name, needs = "litdata", "litdata"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Chunks of 64 MiB."""
        from litdata.streaming.writer import BinaryWriter

        writer = BinaryWriter(str(self.folder / "lit"), chunk_bytes="64MB")
        (self.folder / "lit").mkdir(exist_ok=True)
        for number, (one, label) in enumerate(zip(features, labels, strict=True)):
            writer[number] = {"x": torch.from_numpy(one), "y": int(label)}
        writer.done()
        writer.merge()

    def epoch(self, batch: int, seed: int) -> Batches:
        """Its own shuffle."""
        from litdata import StreamingDataset

        kind = _counted(StreamingDataset, self.bucket)
        return _loaded(kind(str(self.folder / "lit"), shuffle=True, seed=seed), batch)


class HuggingFace(Peer):
    """An Arrow table of HF datasets, mapped into memory."""

    name, needs = "hf datasets", "datasets"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Rows flattened: Arrow's nested lists take minutes."""
        from datasets import Dataset, Features, Sequence, Value

        flat = features.reshape(len(features), -1)
        kinds = Features({"x": Sequence(Value("float16"), length=flat.shape[1]), "y": Value("int64")})
        Dataset.from_dict({"x": list(flat), "y": labels}, features=kinds).save_to_disk(str(self.folder / "hf"))
        (self.folder / "shape").write_text(" ".join(map(str, features.shape[1:])))

    def epoch(self, batch: int, seed: int) -> Batches:
        """Rows by their numbers."""
        from datasets import load_from_disk

        data = load_from_disk(str(self.folder / "hf")).with_format("numpy")
        shape = [int(size) for size in (self.folder / "shape").read_text().split()]
        order = np.random.default_rng(seed).permutation(len(data))
        for start in range(0, len(order), batch):
            found = data[order[start : start + batch]]
            rows = np.asarray(found["x"], np.float16).reshape(-1, *shape)
            self.bucket.take(rows.nbytes, len(rows))
            yield torch.from_numpy(rows), torch.from_numpy(found["y"])


PEERS: tuple[type[Peer], ...] = (Memmap, Safetensors, WebDataset, Mds, LitData, HuggingFace)
