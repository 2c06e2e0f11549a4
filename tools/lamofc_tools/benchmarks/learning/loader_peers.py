"""Other formats and loaders of float16 features: each writes the features once and reads them in batches."""

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
    """A format of features (samples x any shape) with a label for each sample."""

    name: str
    needs: str | None = None
    """Package that must be installed."""

    def __init__(self, folder: Path, bucket: Bucket) -> None:
        self.folder, self.bucket = folder, bucket
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def available(cls) -> bool:
        """Tell whether its package is installed."""
        if cls.needs is None:
            return True
        with contextlib.suppress(ImportError):
            import_module(cls.needs)
            return True
        return False

    @abstractmethod
    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Write features and labels into the folder."""

    @abstractmethod
    def epoch(self, batch: int, seed: int) -> Batches:
        """Read all samples once, in a random order."""


class Memmap(Peer):
    """One `.npy` file, mapped into memory."""

    name = "npy memmap"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Write one file of features and one of labels."""
        np.save(self.folder / "x.npy", features)
        np.save(self.folder / "y.npy", labels)

    def epoch(self, batch: int, seed: int) -> Batches:
        """Copy samples out of the map."""
        mapped, labels = np.load(self.folder / "x.npy", mmap_mode="r"), np.load(self.folder / "y.npy")
        order = np.random.default_rng(seed).permutation(len(labels))
        for start in range(0, len(order), batch):
            indices = order[start : start + batch]
            self.bucket.take(mapped[0].nbytes * len(indices), len(indices))
            yield torch.from_numpy(mapped[indices]), torch.from_numpy(labels[indices])


class Safetensors(Peer):
    """One safetensors file, read a slice a sample."""

    name = "safetensors"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Write one tensor of all samples."""
        from safetensors.numpy import save_file

        save_file({"x": features, "y": labels}, self.folder / "x.safetensors")

    def epoch(self, batch: int, seed: int) -> Batches:
        """Read a slice for each sample and stack them."""
        from safetensors import safe_open

        with safe_open(self.folder / "x.safetensors", framework="pt") as opened:
            features, labels = opened.get_slice("x"), opened.get_tensor("y")
            order = np.random.default_rng(seed).permutation(len(labels))
            for start in range(0, len(order), batch):
                indices = order[start : start + batch].tolist()
                samples = torch.cat([features[index : index + 1] for index in indices])
                self.bucket.take(samples.nbytes, len(indices))
                yield samples, labels[indices]


class _ThrottledFile(io.RawIOBase):
    """A file that is read through a bucket."""

    def __init__(self, file: Any, bucket: Bucket) -> None:
        self.file, self.bucket, self.requests = file, bucket, 1

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes; the whole file counts as one request."""
        data: bytes = self.file.read(size)
        self.bucket.take(len(data), self.requests)
        self.requests = 0
        return data

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        super().close()


class WebDataset(Peer):
    """Tar files, read from end to end, with a shuffle buffer."""

    name, needs = "webdataset", "webdataset"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Write shards of 32 MiB."""
        from webdataset import ShardWriter

        with ShardWriter(str(self.folder / "%04d.tar"), maxsize=1 << 25, verbose=0) as out:
            for number, (sample, label) in enumerate(zip(features, labels, strict=True)):
                out.write({"__key__": f"{number:06d}", "x.npy": sample, "y.cls": int(label)})

    def epoch(self, batch: int, seed: int) -> Batches:
        """Read the shards in a random order."""
        import webdataset
        from webdataset.gopen import gopen_schemes

        def open_throttled(url: str, mode: str = "rb", bufsize: int = 8192) -> Any:
            return _ThrottledFile(Path(url.removeprefix("throttled:")).open("rb"), self.bucket)

        gopen_schemes["throttled"] = open_throttled
        shards = [f"throttled:{path}" for path in sorted(self.folder.glob("*.tar"))]
        source = webdataset.WebDataset(shards, shardshuffle=len(shards), seed=seed, empty_check=False)
        for samples, label in source.shuffle(64).decode().to_tuple("x.npy", "y.cls").batched(batch):
            yield torch.from_numpy(np.stack(list(samples))), torch.as_tensor(np.asarray(label))


def _throttled_dataset(dataset_class: Any, bucket: Bucket) -> Any:
    """Subclass a dataset so that its samples pass through the bucket."""

    class ThrottledDataset(dataset_class):  # type: ignore[misc]
        def __getitem__(self, index: Any) -> Any:
            sample = super().__getitem__(index)
            bucket.take(sample["x"].nbytes)
            return sample

    return ThrottledDataset


def _torch_batches(dataset: Any, batch: int) -> Batches:
    """Batch a dataset with PyTorch's loader."""
    for examples in torch.utils.data.DataLoader(dataset, batch_size=batch):
        yield examples["x"], examples["y"]


class Mds(Peer):
    """MosaicML Streaming."""

    name, needs = "mds", "streaming"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Write shards of 64 MiB."""
        from streaming import MDSWriter

        shape = ",".join(map(str, features.shape[1:]))
        columns = {"x": f"ndarray:float16:{shape}", "y": "int"}
        with MDSWriter(out=str(self.folder / "mds"), columns=columns) as out:
            for sample, label in zip(features, labels, strict=True):
                out.write({"x": sample, "y": int(label)})

    def epoch(self, batch: int, seed: int) -> Batches:
        """Read in the order of its own shuffle."""
        from streaming import StreamingDataset

        dataset_class = _throttled_dataset(StreamingDataset, self.bucket)
        dataset = dataset_class(local=str(self.folder / "mds"), shuffle=True, shuffle_seed=seed, batch_size=batch)
        return _torch_batches(dataset, batch)


class LitData(Peer):
    """LitData's chunks."""

    name, needs = "litdata", "litdata"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Write chunks of 64 MiB."""
        from litdata.streaming.writer import BinaryWriter

        writer = BinaryWriter(str(self.folder / "lit"), chunk_bytes="64MB")
        (self.folder / "lit").mkdir(exist_ok=True)
        for number, (sample, label) in enumerate(zip(features, labels, strict=True)):
            writer[number] = {"x": torch.from_numpy(sample), "y": int(label)}
        writer.done()
        writer.merge()

    def epoch(self, batch: int, seed: int) -> Batches:
        """Read in the order of its own shuffle."""
        from litdata import StreamingDataset

        dataset_class = _throttled_dataset(StreamingDataset, self.bucket)
        return _torch_batches(dataset_class(str(self.folder / "lit"), shuffle=True, seed=seed), batch)


class HuggingFace(Peer):
    """An Arrow table of Hugging Face datasets, mapped into memory."""

    name, needs = "hf datasets", "datasets"

    def write(self, features: Halves, labels: NDArray[np.int64]) -> None:
        """Write flattened rows; Arrow's nested lists would take minutes."""
        from datasets import Dataset, Features, Sequence, Value

        flat = features.reshape(len(features), -1)
        columns = Features({"x": Sequence(Value("float16"), length=flat.shape[1]), "y": Value("int64")})
        Dataset.from_dict({"x": list(flat), "y": labels}, features=columns).save_to_disk(str(self.folder / "hf"))
        (self.folder / "shape").write_text(" ".join(map(str, features.shape[1:])))

    def epoch(self, batch: int, seed: int) -> Batches:
        """Read rows by their indices."""
        from datasets import load_from_disk

        data = load_from_disk(str(self.folder / "hf")).with_format("numpy")
        shape = [int(size) for size in (self.folder / "shape").read_text().split()]
        order = np.random.default_rng(seed).permutation(len(data))
        for start in range(0, len(order), batch):
            examples = data[order[start : start + batch]]
            rows = np.asarray(examples["x"], np.float16).reshape(-1, *shape)
            self.bucket.take(rows.nbytes, len(rows))
            yield torch.from_numpy(rows), torch.from_numpy(examples["y"])


PEERS: tuple[type[Peer], ...] = (Memmap, Safetensors, WebDataset, Mds, LitData, HuggingFace)
