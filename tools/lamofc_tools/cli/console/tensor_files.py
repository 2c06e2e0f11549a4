"""A sample's tensors in a single file; the suffix says which form."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias
from urllib.parse import quote

from lamofc_store.errors import BadArgument

if TYPE_CHECKING:
    from torch import Tensor

    Write: TypeAlias = Callable[[BinaryIO, Mapping[str, Tensor], str | None], None]


def file_name(feature: str) -> str:
    """A feature's name as a file name on every system."""
    return quote(feature, safe=" ,=+@()")


def write(target: Path, tensors: "Mapping[str, Tensor]", structure: str | None) -> None:
    """Write a sample: `.npy` one feature, `.npz` and `.safetensors` all by name, `.pt` as the source nested them."""
    from lamofc_store.exporting import FORMATS, atomic_file

    forms: dict[str, Write] = {**{form.suffix: form.write for form in FORMATS.values()}, ".npy": _npy, ".pt": _pt}
    writer = forms.get(target.suffix)
    if writer is None:
        raise BadArgument(
            f"{str(target)!r} ends in none of {', '.join(sorted(forms))}", "give the file one of these suffixes"
        )
    with atomic_file(target) as file:
        writer(file, tensors, structure)


def _npy(file: BinaryIO, tensors: "Mapping[str, Tensor]", structure: str | None) -> None:
    import numpy as np

    from lamofc_store.exporting import numpy_of

    if len(tensors) != 1:
        raise BadArgument(
            f".npy holds one feature, the sample has {len(tensors)}: {', '.join(tensors)}", "name one, or write .npz"
        )
    np.save(file, numpy_of(next(iter(tensors.values()))), allow_pickle=False)


def _pt(file: BinaryIO, tensors: "Mapping[str, Tensor]", structure: str | None) -> None:
    import torch

    from lamofc_store.sample import restore

    torch.save(restore(tensors, structure), file)
