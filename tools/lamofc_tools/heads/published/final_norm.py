"""The final norm of a vision transformer, from a folder or a file of its weights; other weights are not read."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lamofc_store.errors import BadArgument, first_line
from lamofc_tools import torch_checkpoint
from lamofc_tools.heads.published.weights import real

_NORM = re.compile(r"(?:\w+\.)?(?:norm|layernorm)\.(weight|bias)")
"""Names of the final norm's parameters; those of blocks have numbers before them."""
_ROTARY = re.compile(r"(?:\w+\.)?rope_embed")
"""Beginning of names that only DINOv3 has."""
_EPSILONS = {False: 1e-6, True: 1e-5}
"""Numbers that are added to variances, by whether the model is DINOv3; files of weights do not hold it."""


def read_final_norm(location: Path) -> nn.LayerNorm:
    """Read the final norm from a folder of save_pretrained or from a released file of the backbone."""
    try:
        tensors, rotary = _read(location)
        epsilon = _config(location).get("layer_norm_eps", _EPSILONS[rotary])
        if isinstance(epsilon, bool) or not (0 <= float(epsilon) < math.inf):
            raise ValueError(f"layer_norm_eps is {epsilon!r}, expected a finite number from 0")
        norm = nn.LayerNorm(len(tensors["weight"]), eps=float(epsilon))
        norm.load_state_dict(tensors)
    except (
        AttributeError,
        KeyError,
        OSError,
        OverflowError,
        RecursionError,
        RuntimeError,
        SafetensorError,
        TypeError,
        ValueError,
    ) as error:
        raise BadArgument(
            f"{location} holds no final norm: {first_line(error)}",
            "name the folder or the file of the model that the features come from",
        ) from error
    return norm.requires_grad_(False)


def _read(location: Path) -> tuple[dict[str, Tensor], bool]:
    """Return weight and bias, and whether the model is DINOv3."""
    found: dict[str, Tensor] = {}
    rotary = False
    for name, tensor in _candidates(location):
        match = _NORM.fullmatch(name)
        if match is not None and tensor is not None:
            found[match[1]] = real(name, tensor)
        rotary |= _ROTARY.match(name) is not None
    return found, rotary


def _candidates(location: Path) -> Iterator[tuple[str, Tensor | None]]:
    """Yield the names of all weights, with the tensor where it may belong to the final norm."""
    files = sorted(location.glob("*.safetensors")) if location.is_dir() else [location]
    if not files:
        raise FileNotFoundError(f"no *.safetensors in {location}")
    for file in files:
        if file.suffix != ".safetensors":
            yield from ((name, tensor) for name, tensor in torch_checkpoint.read(file).items() if _is_tensor(tensor))
            continue
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - it is no mapping
                yield name, opened.get_tensor(name) if _NORM.fullmatch(name) else None


def _config(location: Path) -> dict[str, Any]:
    """Return the config of a folder; none of a file."""
    file = location / "config.json"
    config = json.loads(file.read_text()) if location.is_dir() and file.is_file() else {}
    return config if isinstance(config, dict) else {}


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)
