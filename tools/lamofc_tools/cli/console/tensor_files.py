"""Write the tensors of a sample to one file, whose suffix chooses the format."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias
from urllib.parse import quote

from lamofc_store.errors import BadArgument

if TYPE_CHECKING:
    from torch import Tensor

    Write: TypeAlias = Callable[[BinaryIO, Mapping[str, Tensor], str | None], None]


def file_name(feature: str) -> str:
    """Quote the name of a feature so that it is a file name on every system."""
    return quote(feature, safe=" ,=+@()")


def write(target: Path, tensors: "Mapping[str, Tensor]", structure: str | None) -> None:
    """Write a sample: `.npy` holds one feature, `.npz` and `.safetensors` all by name, `.pt` the source's nesting."""
    from lamofc_store.exporting import FORMATS, atomic_file

    writers: dict[str, Write] = {
        **{format.suffix: format.write for format in FORMATS.values()},
        ".npy": _write_npy,
        ".pt": _write_pt,
    }
    writer = writers.get(target.suffix)
    if writer is None:
        raise BadArgument(
            f"{str(target)!r} ends in none of {', '.join(sorted(writers))}", "give the file one of these suffixes"
        )
    with atomic_file(target) as file:
        writer(file, tensors, structure)


def _write_npy(file: BinaryIO, tensors: "Mapping[str, Tensor]", structure: str | None) -> None:
    import numpy as np

    from lamofc_store.exporting import numpy_of

    if len(tensors) != 1:
        raise BadArgument(
            f".npy holds one feature, but the sample has {len(tensors)}: {', '.join(tensors)}",
            "name one feature, or write .npz",
        )
    np.save(file, numpy_of(next(iter(tensors.values()))), allow_pickle=False)


def _write_pt(file: BinaryIO, tensors: "Mapping[str, Tensor]", structure: str | None) -> None:
    import torch

    from lamofc_store.sample import restore

    torch.save(restore(tensors, structure), file)
