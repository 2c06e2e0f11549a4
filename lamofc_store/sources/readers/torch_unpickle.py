"""Load a file of `torch.save`, plain or as one zstd frame: tensors and plain values at any nesting, but never code.

Tensors are mapped from disk where the file allows it, those of a compressed file from a temporary one, so that a sample
is in memory only as far as it is read.
"""

from __future__ import annotations

import pickle
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from lamofc_store.errors import SourceError
from lamofc_store.sources.contract import reading

LARGE_BYTES, MAX_EXPANSION = 1 << 30, 200
"""A file is refused as an attack if it expands to more than `LARGE_BYTES` and `MAX_EXPANSION` times its size."""
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_CHUNK_BYTES = 1 << 22


def load(path: Path) -> Any:
    """Load the saved object; SourceError if it holds more than tensors and plain values."""
    with reading(path, f"{path.suffix} file"), _uncompressed(path) as plain:
        try:
            return _load(plain)
        except pickle.UnpicklingError as error:
            reason = str(error).split("WeightsUnpickler error:")[-1].strip().splitlines()
            raise SourceError(
                f"{path} holds more than tensors and plain values, and loading it could run any code"
                f" ({reason[0][:160] if reason else 'no reason given'})",
                "if you trust it, load it yourself once and write its tensors with safetensors.torch.save_file",
            ) from None


def _load(plain: Path) -> Any:
    """Load a file that is not compressed, mapped where that is possible."""
    import torch

    return torch.load(plain, map_location="cpu", weights_only=True, mmap=_mappable(plain))


def _mappable(plain: Path) -> bool:
    """Whether tensors can be mapped: not in files from before torch 1.6, nor in compressed members of the archive."""
    if not zipfile.is_zipfile(plain):
        return False
    with zipfile.ZipFile(plain) as archive:
        members = archive.infolist()
    _refuse_expansion(plain, sum(member.file_size for member in members), "unzip it yourself if you trust it")
    return all(member.compress_type == zipfile.ZIP_STORED for member in members)


@contextmanager
def _uncompressed(path: Path) -> Iterator[Path]:
    """Yield the file itself, or a temporary one with its frame unpacked; what was mapped from that stays readable."""
    with path.open("rb") as file:
        compressed = file.read(len(_ZSTD_MAGIC)) == _ZSTD_MAGIC
    if not compressed:
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="lamofc-", suffix=".pt") as unpacked:
        _unpack(path, unpacked)  # type: ignore[arg-type]
        unpacked.flush()
        yield Path(unpacked.name)


def _unpack(path: Path, target: BinaryIO) -> None:
    """Write the content of a zstd frame to a file."""
    import pyarrow as pa

    size = 0
    with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as frame:
        while chunk := frame.read(_CHUNK_BYTES):
            size += len(chunk)
            _refuse_expansion(path, size, "unpack it yourself if you trust it: zstd -d")
            target.write(chunk)


def _refuse_expansion(path: Path, size: int, hint: str) -> None:
    """Raise SourceError where a file expands to more bytes than features do."""
    compressed = path.stat().st_size
    limit = max(LARGE_BYTES, MAX_EXPANSION * compressed)
    if size > limit:
        raise SourceError(f"{path} of {compressed} bytes would become more than {limit}", hint)
