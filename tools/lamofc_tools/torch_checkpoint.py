"""Checkpoints of trainings: whole or not there, and nothing in them is run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lamofc_store.errors import BadArgument


def write(file: Path, kept: Mapping[str, Any]) -> None:
    """Write all that is needed to go on; what was there before stays until the new one is whole."""
    unfinished = file.with_name(f"{file.name}.tmp")
    torch.save(dict(kept), unfinished)
    unfinished.replace(file)


def read(file: Path) -> dict[str, Any]:
    """What was written, on the CPU; modules and optimisers move it to where they are."""
    try:
        kept: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler met
        raise BadArgument(f"{file} is no checkpoint: {str(error).splitlines()[0]}", "name another file") from error
    return kept
