"""Heads as files: safetensors with the architecture, the options and a record of the training in the header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from lamofc_store.errors import BadArgument, NotFound, first_line
from lamofc_store.exporting import atomic_file
from lamofc_tools.heads.architectures import HEADS
from lamofc_tools.heads.contract import Head, Task

_METADATA_KEY = "lamofc_head"
_PROVENANCE_KEY = "told"
"""Word for the record of a training in files; it is older than the word in the code."""


def save(head: Head, file: Path, provenance: Mapping[str, Any]) -> None:
    """Write a head with the record of its training, whole or not at all."""
    document = {
        "kind": head.kind,
        "widths": head.widths,
        "task": vars(head.task),
        "options": head.options,
        _PROVENANCE_KEY: dict(provenance),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()}
    with atomic_file(file) as out:
        out.write(to_bytes(tensors, {_METADATA_KEY: json.dumps(document, sort_keys=True)}))


def is_trained_head(file: Path) -> bool:
    """Tell whether a file bears the record of a training."""
    try:
        with safe_open(file, framework="pt") as opened:
            return _METADATA_KEY in (opened.metadata() or {})
    except (OSError, SafetensorError):
        return False


def load(file: Path) -> tuple[Head, dict[str, Any]]:
    """Read a head and the record of its training."""
    try:
        with safe_open(file, framework="pt") as opened:
            document = json.loads((opened.metadata() or {})[_METADATA_KEY])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
        head = HEADS[document["kind"]](document["widths"], Task(**document["task"]), **document["options"])
        head.load_state_dict(tensors)
        return head.eval(), dict(document[_PROVENANCE_KEY])
    except FileNotFoundError:
        raise NotFound(f"there is no head {file}", "`lamofc train` writes heads") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise BadArgument(f"{file} is no head: {first_line(error)}", "`lamofc train` writes heads") from error
