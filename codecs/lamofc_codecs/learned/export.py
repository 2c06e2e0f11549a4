"""Export the weights of a profile in the layout of the papers' checkpoints, which are state dicts of CompressAI 1.2.

The names and the constant buffers are written here, so that no installed version decides on the layout.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import torch
from torch import Tensor

from lamofc_codecs.errors import CodecError, UnsupportedInput
from lamofc_codecs.learned.checkpoints import GDN_PEDESTAL, checkerboard, gdn_bound, gdn_parameter
from lamofc_codecs.learned.latent_coder import Model
from lamofc_codecs.learned.profile import DENSITIES, model_of
from lamofc_codecs.profile import Profile

ARCHITECTURES = ("hyperprior", "elic")
_ELIC_NAMES = (
    (re.compile(r"^(h_[as]|entropy_bottleneck)\."), r"latent_codec.hyper.\1."),
    (re.compile(r"^channel\.(\d)\."), r"latent_codec.y.channel_context.y\1."),
    (re.compile(r"^spatial\.(\d)\.0\."), r"latent_codec.y.latent_codec.y\1.context_prediction."),
    (re.compile(r"^combine\.(\d)\."), r"latent_codec.y.latent_codec.y\1.entropy_parameters."),
    (re.compile(r"^gaussian\.(\d)\."), r"latent_codec.y.latent_codec.y\1.y.gaussian_conditional."),
)
_TAIL_MASS = 1e-9
"""Probability outside of the outer quantiles, and the least likelihood that is trained with."""
_LEAST_SPREAD = 0.11
_TABLE_PARTS = {"_quantized_cdf": "cdf", "_cdf_length": "length", "_offset": "offset"}


def checkpoint_state(profile: Profile) -> dict[str, Tensor]:
    """Return the weights of a profile as the state dict that the papers' code loads strictly.

    Importing it gives the profile's networks and tables again; the levels of a feature have no place in it.
    """
    if profile.codec not in ARCHITECTURES:
        raise UnsupportedInput(
            f"a profile of {profile.codec} has no networks", f"give a profile of {' or '.join(ARCHITECTURES)}"
        )
    model = model_of(profile)
    state = dict(_network_tensors(model))
    state |= {f"entropy_bottleneck.{name}": tensor for name, tensor in _bottleneck(profile)}
    if profile.codec == "hyperprior":
        return state | {f"gaussian_conditional.{name}": tensor for name, tensor in _gaussian(profile)}
    for group in range(len(model.sizes.groups)):
        state |= {f"gaussian.{group}.{name}": tensor for name, tensor in _gaussian(profile)}
    return {_elic_name(name): tensor for name, tensor in state.items()}


def _network_tensors(model: Model) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights of the networks, and the buffers of their layers."""
    for name in model.sizes.shapes():
        tensor = model.weights[name] if name in model.weights else model.exact[name].to(torch.float32)
        if name.endswith((".beta", ".gamma")):
            tensor = gdn_parameter(tensor, gdn_bound(name))
            yield f"{name}_reparam.pedestal", torch.tensor([GDN_PEDESTAL])
            yield f"{name}_reparam.lower_bound.bound", torch.tensor([gdn_bound(name)])
        if name.startswith("spatial.") and name.endswith(".weight"):
            yield f"{name.removesuffix('weight')}mask", checkerboard(tensor).expand_as(tensor).contiguous()
        yield name, tensor


def _bottleneck(profile: Profile) -> Iterator[tuple[str, Tensor]]:
    """Yield the densities of the hyper latent, its tables, and the constants of the training."""
    densities = {
        name.removeprefix(DENSITIES): tensor for name, tensor in profile.tensors.items() if name.startswith(DENSITIES)
    }
    if not densities:
        raise CodecError(
            f"profile {profile.id[:12]} has the tables of the hyper latent, but not the densities they were made from",
            "import its checkpoint or train it again: profiles keep the densities since then",
        )
    yield from densities.items()
    yield from _tables(profile, "hyper")
    target = math.log(2 / _TAIL_MASS - 1)
    yield "target", torch.tensor([-target, 0.0, target])
    yield "likelihood_lower_bound.bound", torch.tensor([_TAIL_MASS])


def _gaussian(profile: Profile) -> Iterator[tuple[str, Tensor]]:
    """Yield the tables of the latent, and the constants of the training."""
    yield from _tables(profile, "latent")
    yield "scale_table", profile.tensors["scales"]
    yield "scale_bound", torch.tensor([_LEAST_SPREAD])
    yield "likelihood_lower_bound.bound", torch.tensor([_TAIL_MASS])
    yield "lower_bound_scale.bound", torch.tensor([_LEAST_SPREAD])


def _tables(profile: Profile, name: str) -> Iterator[tuple[str, Tensor]]:
    for there, here in _TABLE_PARTS.items():
        yield there, profile.tensors[f"{name}_{here}"]


def _elic_name(name: str) -> str:
    for pattern, new in _ELIC_NAMES:
        name = pattern.sub(new, name)
    return name
