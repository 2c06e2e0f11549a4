"""Import the weights that any version of CompressAI or its forks saved: names, sizes and values, but no code.

A checkpoint is read with `weights_only`, so it may hold tensors, numbers, lists and mappings alone.
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
GDN_PEDESTAL = 2.0**-36
"""Constant that CompressAI's GDN adds to its parameters before it takes their square roots."""
_MIN_BETA = 1e-6


def load(file: Path) -> dict[str, Tensor]:
    """Load the weights of a checkpoint by the names of `networks`, and those of the entropy bottleneck by its own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of the storage class of older checkpoints
            document = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch passes on any error of its unpickler
        raise UnsupportedInput(
            f"{file} is no checkpoint of tensors alone: {(str(error).splitlines() or [type(error).__name__])[0]}",
            "save its state_dict again with torch.save; a file that would run code is not read",
        ) from error
    return canonical(_state(document, file))


def canonical(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a state dict to the names of `networks`."""
    renamed: dict[str, Tensor] = {}
    for original, tensor in state.items():
        name = original
        for pattern, new in _RENAMED:
            name = pattern.sub(new, name)
        renamed[name] = tensor
    return renamed


def _state(document: Any, file: Path) -> dict[str, Tensor]:
    """Return the mapping of tensors that a checkpoint holds, or refuse a checkpoint without one."""
    for holder in _HOLDERS:
        if isinstance(document, Mapping) and isinstance(document.get(holder), Mapping):
            document = document[holder]
            break
    tensors = (
        {str(name): value for name, value in document.items() if isinstance(value, Tensor)}
        if isinstance(document, Mapping)
        else {}
    )
    if not tensors:
        raise UnsupportedInput(f"{file} holds no state_dict", f"expected it at the top or under {', '.join(_HOLDERS)}")
    return tensors


def sizes_of(state: Mapping[str, Tensor]) -> Sizes:
    """Derive the architecture and its sizes from the names and shapes of the weights."""
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
        context = [
            (state[f"channel.{k}.0.weight"].shape[0], state[f"channel.{k}.2.weight"].shape[0])
            for k in range(1, len(groups))
        ]
        return Sizes("elic", inner, len(state["g_a.13.weight"]), tuple(groups), tuple(context))
    except (KeyError, IndexError) as error:
        raise UnsupportedInput(
            f"weights of no known architecture: {error} is not there", "Hyperprior and ELIC of CompressAI are known"
        ) from error


def weights_from(state: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
    """Return the weights as `networks` uses them: effective parameters of GDN, and masked weights after their mask."""
    weights = {}
    for name, shape in sizes.shapes().items():
        if name not in state or tuple(state[name].shape) != shape:
            actual = tuple(state[name].shape) if name in state else "nothing"
            raise UnsupportedInput(f"weight {name!r} must be {shape}, the checkpoint has {actual}", "give another file")
        tensor = state[name].detach().to(torch.float32)
        if name.endswith((".beta", ".gamma")):
            tensor = _effective(tensor, gdn_bound(name))
        if name.startswith("spatial.") and name.endswith(".weight"):
            tensor = tensor * checkerboard(tensor)
        weights[name] = tensor
    return weights


def gdn_bound(name: str) -> float:
    """Return the least parameter of a GDN, by the name of its weight."""
    return float(((_MIN_BETA if name.endswith(".beta") else 0.0) + GDN_PEDESTAL) ** 0.5)


def _effective(parameter: Tensor, bound: float) -> Tensor:
    """Return the weights that a GDN computes from its parameters."""
    return parameter.clamp(min=bound) ** 2 - GDN_PEDESTAL


def gdn_parameter(weight: Tensor, bound: float) -> Tensor:
    """Return the parameters from which a GDN computes these weights, or those nearest to them in float32."""
    near = (weight.to(torch.float64) + GDN_PEDESTAL).sqrt().to(torch.float32)
    candidates = torch.stack([near, *(torch.nextafter(near, torch.tensor(end)) for end in (0.0, torch.inf))])
    errors = (_effective(candidates, bound).to(torch.float64) - weight).abs()
    return candidates.gather(0, errors.argmin(0, keepdim=True))[0].clamp(min=bound)


def checkerboard(weight: Tensor) -> Tensor:
    """Return a mask of the kernel that is 1 at the cells of the other colour, and 0 elsewhere."""
    side = torch.arange(weight.shape[-1])
    return ((side[:, None] + side) % 2).to(weight.dtype)
