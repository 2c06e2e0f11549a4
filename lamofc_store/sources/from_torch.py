"""A .pt or .pth file of `torch.save`: tensors, nested at will; never code."""

from __future__ import annotations

import pickle
from pathlib import Path

from lamofc_store.errors import SourceError
from lamofc_store.sample import Sample
from lamofc_store.sources.from_iterable import sample_of
from lamofc_store.sources.source import Wanted, reading


def read(path: Path, name: str, wanted: Wanted) -> Sample:
    """One sample: tensors are features by dotted path, plain values of the outermost dict are attributes."""
    import torch

    with reading(path, ".pt file"):
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            said = str(error).split("WeightsUnpickler error:")[-1].strip().splitlines()
            raise SourceError(
                f"{path} holds more than tensors and plain values, and loading it could run any code"
                f" ({said[0][:160] if said else 'no reason given'})",
                "if you trust it, load it yourself once and write its tensors with safetensors.torch.save_file",
            ) from None
    return sample_of(name, saved, wanted, str(path))
