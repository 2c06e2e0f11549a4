"""What a profile of a learned codec holds: its networks' weights and entropy tables, and a feature's levels.

Trained weights are such a profile without levels, of no use by itself: `fit` adds the levels of a feature. The same
weights may serve many features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.codebook import ASSIGN
from lamofc_codecs.errors import CodecError, UnsupportedInput
from lamofc_codecs.learned.latent_coder import Model
from lamofc_codecs.learned.networks import Sizes
from lamofc_codecs.learned.rans64 import Cdfs
from lamofc_codecs.profile import Profile
from lamofc_codecs.stats import Bulk

TABLES = ("hyper", "latent")
_NET = "net."
_MOST_CHANNELS = 4096
_DEVICE_NETWORKS = ("g_a", "g_s", "h_a")
"""Those whose outcome is rounded by the writer, or read by nobody else."""


@dataclass(frozen=True)
class LearnedOptions:
    """A profile's config."""

    inner: int
    latent: int
    groups: tuple[int, ...] = ()
    lmbda: float | None = None
    """What the weights were trained for, where it is known."""
    weights: str | None = None
    """The id of the trained weights, in a fitted profile."""
    channels: int | None = None
    assign: str = "nearest"
    tile: int = 256
    """Most rows and columns that are coded at once; 0 for the whole plane."""
    fill: str = "edge"
    """What fills a tile up: its own edge, or zero as in the published code."""

    @classmethod
    def of(cls, config: Mapping[str, Any], cure: str = "train again") -> LearnedOptions:
        """Check a config."""
        try:
            made = cls(**{**config, "groups": tuple(config.get("groups", ()))})
        except TypeError as error:
            raise CodecError(f"config {dict(config)!r}: {error}", cure) from error
        counts = (made.inner, made.latent, *made.groups)
        whole = all(type(count) is int and 1 <= count <= _MOST_CHANNELS for count in counts)
        if not whole or made.inner % 2 or made.latent % 2 or (made.groups and sum(made.groups) != made.latent):
            raise CodecError(
                f"inner={made.inner!r}, latent={made.latent!r}, groups={made.groups!r}", "give even numbers"
            )
        if type(made.tile) is not int or made.tile < 0 or made.tile % 64:
            raise UnsupportedInput(f"tile={made.tile!r}", "give a multiple of 64, or 0 for the whole plane")
        if made.fill not in ("edge", "zero") or made.assign not in ASSIGN:
            raise UnsupportedInput(
                f"fill={made.fill!r}, assign={made.assign!r}", f"fill: edge or zero; assign: one of {ASSIGN}"
            )
        return made

    def to_json(self) -> dict[str, Any]:
        """Return what a profile's config holds."""
        return {**asdict(self), "groups": list(self.groups)}

    def sizes(self, arch: str) -> Sizes:
        """What the networks have of channels."""
        if (arch == "elic") != bool(self.groups):
            raise CodecError(f"groups {list(self.groups)} of codec {arch}", "ELIC has groups, Hyperprior has none")
        return Sizes(arch, self.inner, self.latent, self.groups)


def weights_profile(
    sizes: Sizes, weights: Mapping[str, Tensor], tables: Mapping[str, Tensor], lmbda: float | None = None
) -> Profile:
    """Trained weights. `tables`: medians, scales, and for hyper and latent their cdf, length and offset."""
    config = LearnedOptions(sizes.inner, sizes.latent, sizes.groups, lmbda)
    named = {f"{_NET}{name}": tensor.to(torch.float32) for name, tensor in weights.items()}
    made = Profile(sizes.arch, config.to_json(), {**named, **tables})
    model_of(made)
    return made


def weights_of(given: object, arch: str) -> Profile:
    """Trained weights: a profile, or the file of one."""
    if given is None:
        raise UnsupportedInput(
            f"codec {arch} needs trained weights", "give weights=FILE; lamofc codec train and import make one"
        )
    profile = given if isinstance(given, Profile) else Profile.load(Path(str(given)))
    if profile.codec != arch:
        raise UnsupportedInput(f"weights of {profile.codec}, not of {arch}", f"give codec {profile.codec}, or others")
    return profile


def fitted(weights: Profile, options: Mapping[str, Any], levels: Tensor, bulk: Bulk | None) -> Profile:
    """The profile of a feature."""
    known = {field.name for field in fields(LearnedOptions)}
    chosen = {name: value for name, value in options.items() if name in known}
    own = {name: tensor for name, tensor in weights.tensors.items() if not name.startswith(("bulk_", "levels"))}
    channels = None if bulk is None else len(bulk.mean)
    base = weights.config.get("weights") or weights.id
    config = LearnedOptions.of({**weights.config, **chosen, "weights": base, "channels": channels})
    added = {} if bulk is None else bulk.tensors()
    return Profile(weights.codec, config.to_json(), {**own, **added, "levels": levels})


def model_of(profile: Profile) -> Model:
    """The networks, checked."""
    sizes = LearnedOptions.of(profile.config).sizes(profile.codec)
    networks = sizes.networks()
    weights, exact = {}, {}
    for name, shape in sizes.shapes().items():
        tensor = profile.tensor(f"{_NET}{name}", torch.float32, *shape)
        if not torch.isfinite(tensor).all():
            raise CodecError(f"profile {profile.id[:12]}: weight {name!r} is not finite", "train again")
        if name.startswith(_DEVICE_NETWORKS):
            weights[name] = tensor
        else:
            exact[name] = tensor.to(torch.float64)
    medians = profile.tensor("medians", torch.float32, sizes.inner)
    hyper, latent = (_cdfs(profile, name) for name in TABLES)
    scales = profile.tensor("scales", torch.float32, len(latent.lengths))
    if len(hyper.lengths) != sizes.inner or not (scales.diff() > 0).all():
        raise CodecError(f"profile {profile.id[:12]}: entropy tables do not fit its networks", "train again")
    return Model(sizes, networks, weights, exact, medians, scales, hyper, latent)


def _cdfs(profile: Profile, name: str) -> Cdfs:
    table = profile.tensor(f"{name}_cdf", torch.int32, -1, -1)
    lengths, offsets = (profile.tensor(f"{name}_{part}", torch.int32, len(table)) for part in ("length", "offset"))
    found = Cdfs(*(np.ascontiguousarray(part.numpy()) for part in (table, lengths, offsets)))
    found.check()
    return found
