"""Files of torch.save: written whole or not at all, and read without running any code in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lamofc_store.errors import BadArgument, first_line


def write(file: Path, state: Mapping[str, Any]) -> None:
    """Write a file beside the old one, then replace it, so that a killed process leaves one of the two."""
    unfinished = file.with_name(f"{file.name}.tmp")
    torch.save(dict(state), unfinished)
    unfinished.replace(file)


def read(file: Path) -> dict[str, Any]:
    """Read a file onto the CPU; `load_state_dict` of modules and optimisers moves tensors to their device."""
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler passes on any exception of the code that it calls
        raise BadArgument(f"{file} is no checkpoint: {first_line(error)}", "name another file") from error
    return state
