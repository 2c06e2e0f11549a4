"""Weights as CompressAI and its forks save them, whatever the version: names, sizes and values, nothing of their code.

A checkpoint is read with `weights_only`: tensors, numbers, lists and mappings; anything else in it is refused.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.learned.networks import Sizes

_HOLDERS = ("network", "state_dict", "model_state_dict", "model")
_RENAMED = (
    (re.compile(r"^(module\.)+"), ""),
    (re.compile(r"\._?matri(x|ces)\.?(\d)$"), r".matrices.\2"),
    (re.compile(r"\._?bias(es)?\.?(\d)$"), r".biases.\2"),
    (re.compile(r"\._?factors?\.?(\d)$"), r".factors.\1"),
    (re.compile(r"^latent_codec\.(hyper\.)?(h_[as])\."), r"\2."),
    (re.compile(r"^latent_codec\.(hyper|z)\.entropy_bottleneck\."), "entropy_bottleneck."),
    (re.compile(r"^latent_codec\.y\.channel_context\.y(\d)\."), r"channel.\1."),
    (re.compile(r"^latent_codec\.y\.latent_codec\.y(\d)\.context_prediction\."), r"spatial.\1.0."),
    (re.compile(r"^latent_codec\.y\.latent_codec\.y(\d)\.entropy_parameters\."), r"combine.\1."),
)
_PEDESTAL = 2.0**-36
"""What CompressAI's GDN adds below its square roots."""
_BETA_LEAST = 1e-6


def load(file: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint by the names that `networks` has, and the entropy bottleneck's own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # older checkpoints hold storages of a kind that torch warns of
            document = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises whatever its unpickler met
        raise UnsupportedInput(
            f"{file} is no checkpoint of tensors alone: {str(error).splitlines()[0]}",
            "save its state_dict again with torch.save; what would run code is not read",
        ) from error
    return canonical(_state(document, file))


def canonical(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same under the names of `networks`."""
    found: dict[str, Tensor] = {}
    for given, tensor in state.items():
        name = given
        for pattern, new in _RENAMED:
            name = pattern.sub(new, name)
        found[name] = tensor
    return found


def _state(document: Any, file: Path) -> dict[str, Tensor]:
    """The mapping of tensors in it."""
    for holder in _HOLDERS:
        if isinstance(document, Mapping) and isinstance(document.get(holder), Mapping):
            document = document[holder]
            break
    found = (
        {str(name): value for name, value in document.items() if isinstance(value, Tensor)}
        if isinstance(document, Mapping)
        else {}
    )
    if not found:
        raise UnsupportedInput(f"{file} holds no state_dict", f"expected it at the top or under {', '.join(_HOLDERS)}")
    return found


def sizes_of(state: Mapping[str, Tensor]) -> Sizes:
    """Architecture and sizes, as the weights tell them."""
    try:
        inner = len(state["g_a.0.weight"])
        if state["g_a.0.weight"].shape[1] != 1:
            raise UnsupportedInput(
                f"weights for {state['g_a.0.weight'].shape[1]} channels in", "codecs of features have one"
            )
        if "g_a.6.weight" in state:
            return Sizes("hyperprior", inner, len(state["g_a.6.weight"]))
        groups: list[int] = []
        while f"spatial.{len(groups)}.0.weight" in state:
            groups.append(state[f"spatial.{len(groups)}.0.weight"].shape[1])
        return Sizes("elic", inner, len(state["g_a.13.weight"]), tuple(groups))
    except (KeyError, IndexError) as error:
        raise UnsupportedInput(
            f"weights of no known architecture: {error} is not there", "Hyperprior and ELIC of CompressAI are known"
        ) from error


def weights_from(state: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
    """What `networks` runs on: GDN's parameters as they act, masked weights with what the mask leaves."""
    found = {}
    for name, shape in sizes.shapes().items():
        if name not in state or tuple(state[name].shape) != shape:
            there = tuple(state[name].shape) if name in state else "nothing"
            raise UnsupportedInput(f"weight {name!r} must be {shape}, the checkpoint has {there}", "give another file")
        tensor = state[name].detach().to(torch.float32)
        if name.endswith((".beta", ".gamma")):
            least = _BETA_LEAST if name.endswith(".beta") else 0.0
            tensor = tensor.clamp(min=(least + _PEDESTAL) ** 0.5) ** 2 - _PEDESTAL
        if name.startswith("spatial.") and name.endswith(".weight"):
            tensor = tensor * _checkerboard(tensor)
        found[name] = tensor
    return found


def _checkerboard(weight: Tensor) -> Tensor:
    """1 where a cell of the other colour lies."""
    side = torch.arange(weight.shape[-1])
    return ((side[:, None] + side) % 2).to(weight.dtype)
