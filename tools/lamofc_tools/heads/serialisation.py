"""Heads as files: safetensors, with all that they were made of in the header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from lamofc_store.errors import BadArgument
from lamofc_store.exporting import atomic_file
from lamofc_tools.heads.contract import Head, Task
from lamofc_tools.heads.registry import KINDS

_KEY = "lamofc_head"


def save(head: Head, file: Path, told: Mapping[str, Any]) -> None:
    """Write a head, and beside it what it was trained on; whole or not at all."""
    document = {
        "kind": head.kind,
        "widths": head.widths,
        "task": vars(head.task),
        "options": head.options,
        "told": dict(told),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()}
    with atomic_file(file) as out:
        out.write(to_bytes(tensors, {_KEY: json.dumps(document, sort_keys=True)}))


def load(file: Path) -> tuple[Head, dict[str, Any]]:
    """A head, and what it was trained on."""
    try:
        with safe_open(file, framework="pt") as opened:
            document = json.loads((opened.metadata() or {})[_KEY])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
        kind = KINDS[document["kind"]]
        head = kind(document["widths"], Task(**document["task"]), **document["options"])
        head.load_state_dict(tensors)
        return head.eval(), dict(document["told"])
    except FileNotFoundError:
        raise BadArgument(f"there is no head {file}", "lamofc train linear STORE -o HEAD.safetensors") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise BadArgument(f"{file} is no head: {first}", "lamofc train linear STORE -o HEAD.safetensors") from error
