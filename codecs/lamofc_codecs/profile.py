"""Profile: the fitted, immutable parameters of a codec, identified by the sha256 of their file.

The file is safetensors with a single metadata key, because the format does not order several keys: the same content
would then get different ids from run to run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lamofc_codecs.errors import CodecError

Prepared = TypeVar("Prepared")

FORMAT = 1
_MAX_HEADER = 1 << 20
_KEYS = {"format", "codec", "config"}
_FILE_HINT = "give the file that Profile.save wrote, unchanged"


class Profile:
    """Parameters of one codec, equal if their bytes are. Tensors and config are shared, so never write to them."""

    __slots__ = ("_codec", "_config", "_data", "_id", "_prepared", "_tensors")

    def __init__(self, codec: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Make a profile of a codec's id, a JSON-able config and named tensors; the same arguments give the same id."""
        document = {"format": FORMAT, "codec": codec, "config": dict(config)}
        dense = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        self._fill(save_tensors(dense, metadata={"lamofc": _canonical(document)}))

    def _fill(self, data: bytes) -> None:
        document = _document(data)
        try:
            tensors = load_tensors(data)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise CodecError(
                f"profile of {len(data)} bytes is no valid safetensors file: {error}", _FILE_HINT
            ) from error
        self._data = data
        self._id = hashlib.sha256(data).hexdigest()
        self._codec: str = document["codec"]
        self._config: Mapping[str, Any] = MappingProxyType(document["config"])
        self._tensors: Mapping[str, Tensor] = MappingProxyType(tensors)
        self._prepared: Any = None

    @property
    def id(self) -> str:
        """Sha256 of the file, 64 hex digits."""
        return self._id

    @property
    def codec(self) -> str:
        """Id of the codec of the profile."""
        return self._codec

    @property
    def config(self) -> Mapping[str, Any]:
        """The codec's settings, as read from JSON."""
        return self._config

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The codec's fitted tensors by name."""
        return self._tensors

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return self._data

    def prepared(self, kind: type[Prepared], prepare: Callable[[Profile], Prepared]) -> Prepared:
        """Return the result of `prepare`, of class `kind`: computed at the first call and kept as long as the profile.

        It is computed anew for another class. Threads that call at once may each compute it; the results are equal.
        """
        if type(self._prepared) is not kind:
            self._prepared = prepare(self)
        made: Prepared = self._prepared
        return made

    def save(self, path: str | Path) -> None:
        """Write the file; `load` on any machine gives an equal profile."""
        Path(path).write_bytes(self._data)

    @classmethod
    def load(cls, source: str | Path | bytes) -> Profile:
        """Read a file, or its bytes."""
        return cls.from_bytes(source if isinstance(source, bytes) else Path(source).read_bytes())

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Profile:
        """Check and read a profile's bytes, without pickle; any fault in them raises a `CodecError`."""
        profile = cls.__new__(cls)
        profile._fill(bytes(data))
        return profile

    def tensor(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """Return a required tensor, or refuse another dtype or shape than the codec expects; -1 allows any length."""
        tensor = self._tensors.get(name)
        fits = tensor is not None and tensor.dtype == dtype and tensor.dim() == len(shape)
        if (
            tensor is None
            or not fits
            or any(length not in (-1, actual) for length, actual in zip(shape, tensor.shape, strict=True))
        ):
            actual_form = "nothing" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}"
            raise CodecError(
                f"profile {self._id[:12]} of {self._codec}: tensor {name!r} must be {dtype} {shape}, "
                f"but the file has {actual_form}",
                "fit the profile again",
            )
        return tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and self._id == other._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Profile.from_bytes, (self._data,))

    def __repr__(self) -> str:
        return f"Profile({self._codec}, {self._id[:12]}, {len(self._data)} bytes)"


def _canonical(document: Mapping[str, Any]) -> str:
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CodecError(
            f"config {document.get('config')!r} cannot be written as JSON: {error}",
            "use strings, finite numbers and lists",
        ) from error


def _document(data: bytes) -> dict[str, Any]:
    """Return the JSON under the key `lamofc`, which the reader of safetensors does not return."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(_MAX_HEADER, len(data) - 8):
        raise CodecError(
            f"profile of {len(data)} bytes claims a header of {length}; it is cut short or no safetensors", _FILE_HINT
        )
    try:
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__")
        text = metadata["lamofc"]
        document: dict[str, Any] = json.loads(text)
        canonical = isinstance(document, dict) and set(document) == _KEYS and _canonical(document) == text
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CodecError(
            f"profile of {len(data)} bytes has no readable metadata key 'lamofc': {error!r}", _FILE_HINT
        ) from error
    if not canonical or list(metadata) != ["lamofc"]:
        raise CodecError(
            f"profile metadata must be one canonical JSON with {sorted(_KEYS)}, got {text[:200]!r}", _FILE_HINT
        )
    if type(document["format"]) is not int or document["format"] != FORMAT:
        raise CodecError(
            f"profile has format {document['format']!r}; this version reads {FORMAT}", "upgrade lamofc-store"
        )
    if not isinstance(document["codec"], str) or not isinstance(document["config"], dict):
        raise CodecError(f"profile metadata must have a codec's id and a config object, got {text[:200]!r}", _FILE_HINT)
    return document
