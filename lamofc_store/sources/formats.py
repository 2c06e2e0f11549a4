"""File formats that sources are read from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from lamofc_store.sample import Sample
from lamofc_store.sources.families import FAMILIES
from lamofc_store.sources.readers import (
    Wanted,
    compressai_vision,
    lamofc_npy,
    numpy_files,
    safetensors_files,
    torch_files,
)

Reader = Callable[[Path, str, Wanted], Sample]
READERS: dict[str, Reader] = {
    "safetensors": safetensors_files.read,
    "npz": numpy_files.read,
    "npy": numpy_files.read,
    "pt": torch_files.read,
    "zst": torch_files.read,
    "compressai-vision": compressai_vision.read,
    "lamofc-npy": lamofc_npy.read,
    **{family: partial(torch_files.read, family=family) for family in FAMILIES},
}
"""How each format is read; a new one is a line here and one in SUFFIXES."""
KEPT_AS = {"lamofc-npy": {"npy"}, **{family: {"pt", "zst"} for family in FAMILIES}}
"""Formats that are told by what is within, by the formats whose suffixes they have."""
SUFFIXES = {
    ".safetensors": "safetensors",
    ".npz": "npz",
    ".npy": "npy",
    ".pt": "pt",
    ".pth": "pt",
    ".zst": "zst",
    ".h5": "compressai-vision",
    ".parquet": "parquet",
}


def format_of(path: Path) -> str:
    """The format of a file by its suffix, and of an array by the tree in which it lies."""
    kind = SUFFIXES[path.suffix.lower()]
    return "lamofc-npy" if kind == "npy" and lamofc_npy.task_of(path) else kind
