"""What `torch.save` wrote, plain or as one zstd frame: tensors, nested at will; never code.

Tensors are mapped from disk where the file allows it, a compressed one from a temporary file beside others of the
system's, so that a sample is in memory only as far as it is looked at.
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
from lamofc_store.sources.readers.protocols import reading

LARGE, RATIO = 1 << 30, 200
"""A frame that becomes more bytes than LARGE, RATIO times its own size, is a trap and no feature."""
_ZSTD = b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 22


def load(path: Path) -> Any:
    """The saved object; SourceError where it holds more than tensors and plain values."""
    with reading(path, f"{path.suffix} file"), _uncompressed(path) as plain:
        try:
            return _load(plain)
        except pickle.UnpicklingError as error:
            said = str(error).split("WeightsUnpickler error:")[-1].strip().splitlines()
            raise SourceError(
                f"{path} holds more than tensors and plain values, and loading it could run any code"
                f" ({said[0][:160] if said else 'no reason given'})",
                "if you trust it, load it yourself once and write its tensors with safetensors.torch.save_file",
            ) from None


def _load(plain: Path) -> Any:
    """Files of the first form of `torch.save`, before 1.6, cannot be mapped, nor can what was packed once more."""
    import torch

    return torch.load(plain, map_location="cpu", weights_only=True, mmap=_mappable(plain))


def _mappable(plain: Path) -> bool:
    if not zipfile.is_zipfile(plain):
        return False
    with zipfile.ZipFile(plain) as archive:
        members = archive.infolist()
    _refuse_more(plain, sum(member.file_size for member in members), "unzip it yourself if you trust it")
    return all(member.compress_type == zipfile.ZIP_STORED for member in members)


@contextmanager
def _uncompressed(path: Path) -> Iterator[Path]:
    """The file itself, or where its frame was unpacked; gone afterwards, while what is mapped from it stays."""
    with path.open("rb") as file:
        compressed = file.read(len(_ZSTD)) == _ZSTD
    if not compressed:
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="lamofc-", suffix=".pt") as room:
        _unpack(path, room)  # type: ignore[arg-type]
        room.flush()
        yield Path(room.name)


def _unpack(path: Path, room: BinaryIO) -> None:
    import pyarrow as pa

    size = 0
    with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as frame:
        while chunk := frame.read(_CHUNK):
            size += len(chunk)
            _refuse_more(path, size, "unpack it yourself if you trust it: zstd -d")
            room.write(chunk)


def _refuse_more(path: Path, size: int, cure: str) -> None:
    """SourceError where a file becomes more bytes than a feature's does."""
    held = path.stat().st_size
    most = max(LARGE, RATIO * held)
    if size > most:
        raise SourceError(f"{path} of {held} bytes would become more than {most}", cure)
