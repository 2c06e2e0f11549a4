"""Profiles of the learned codecs: the weights and entropy tables of the networks, and the levels of a feature.

Trained weights are a profile without levels, which cannot code anything yet: `fit` adds the levels of a feature. The
same weights may serve many features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
DENSITIES = "density."
"""Prefix of the parameters of the densities that the tables of the hyper latent come from."""
_NET = "net."
_MAX_CHANNELS = 4096
_UNNAMED_CONTEXT = (224, 128)
"""Widths of each channel context of a profile whose config has none: those of CompressAI 1.2.8."""
_DEVICE_NETWORKS = ("g_a", "g_s", "h_a")
"""Networks that may run in float32: the writer rounds their results, or no entropy table depends on them."""


@dataclass(frozen=True)
class LearnedOptions:
    """The config of a profile."""

    inner: int
    latent: int
    groups: tuple[int, ...] = ()
    context: tuple[tuple[int, ...], ...] = ()
    """Widths of both inner layers of the channel context of each group after the first."""
    lmbda: float | None = None
    """Weight of distortion against rate in the training, None if it is not known."""
    weights: str | None = None
    """Id of the trained weights, in a fitted profile."""
    channels: int | None = None
    assign: str = "nearest"
    tile: int = 256
    """Most rows and columns that are coded at once; 0 for the whole plane."""
    fill: str = "edge"
    """Padding of a tile: its own edge, or zeros as in the published code."""
    planes: bool = False
    """Whether records say how many planes they hold."""
    range: Any = None
    """The range that values are clipped to and scaled by, or such a range for each feature; None where levels are."""
    parts: Any = ()
    """Names and widths of the features of a group."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> LearnedOptions:
        """Read the options from a config, or refuse a config that no codec wrote."""
        try:
            groups = tuple(config.get("groups", ()))
            context = tuple(map(tuple, config.get("context", [_UNNAMED_CONTEXT] * len(groups[1:]))))
            made = cls(**{**config, "groups": groups, "context": context})
        except TypeError as error:
            raise CodecError(f"config {dict(config)!r}: {error}", "train again") from error
        made._check_counts()
        if type(made.tile) is not int or made.tile < 0 or made.tile % 64:
            raise UnsupportedInput(f"tile={made.tile!r}", "give a multiple of 64, or 0 for the whole plane")
        if made.fill not in ("edge", "zero") or made.assign not in ASSIGN:
            raise UnsupportedInput(
                f"fill={made.fill!r}, assign={made.assign!r}", f"fill: edge or zero; assign: one of {ASSIGN}"
            )
        return made

    def _check_counts(self) -> None:
        """Refuse channel counts that no network has."""
        counts = (self.inner, self.latent, *self.groups)
        if not _in_range(counts) or self.inner % 2 or self.latent % 2 or sum(self.groups) not in (0, self.latent):
            raise CodecError(
                f"inner={self.inner!r}, latent={self.latent!r}, groups={self.groups!r}", "give even numbers"
            )
        paired = [len(widths) for widths in self.context] == [2] * len(self.groups[1:])
        if not paired or not _in_range(width for widths in self.context for width in widths):
            raise CodecError(
                f"context={self.context!r} for {len(self.groups)} groups",
                f"give two widths, from 1 to {_MAX_CHANNELS}, for each group after the first",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the options as a profile's config holds them."""
        config = {**asdict(self), "groups": list(self.groups), "context": [list(widths) for widths in self.context]}
        left_out = [name for name in ("planes", "range", "parts") if not config[name]]
        if set(self.context) <= {_UNNAMED_CONTEXT}:
            left_out.append("context")
        return {name: value for name, value in config.items() if name not in left_out}

    def sizes(self, arch: str) -> Sizes:
        """Return the channel counts of the networks of an architecture."""
        if (arch == "elic") != bool(self.groups):
            raise CodecError(f"groups {list(self.groups)} of codec {arch}", "ELIC has groups, Hyperprior has none")
        context = tuple((first, second) for first, second in self.context)
        return Sizes(arch, self.inner, self.latent, self.groups, context)


def _in_range(counts: Iterable[object]) -> bool:
    """Say whether all are integers that a network may have as channels."""
    return all(type(count) is int and 1 <= count <= _MAX_CHANNELS for count in counts)


def weights_profile(
    sizes: Sizes, weights: Mapping[str, Tensor], tables: Mapping[str, Tensor], lmbda: float | None = None
) -> Profile:
    """Make a profile of trained weights.

    `tables` holds the medians, the scales, and the cdf, length and offset of the hyper latent and of the latent; and
    the parameters of the densities, where they are known.
    """
    config = LearnedOptions(sizes.inner, sizes.latent, sizes.groups, sizes.context, lmbda)
    named = {f"{_NET}{name}": tensor.to(torch.float32) for name, tensor in weights.items()}
    made = Profile(sizes.arch, config.to_json(), {**named, **tables})
    model_of(made)
    return made


def weights_of(weights: object, arch: str) -> Profile:
    """Return trained weights, from a profile or from its file, and check that they are of the architecture."""
    if weights is None:
        raise UnsupportedInput(
            f"codec {arch} needs trained weights", "give weights=FILE; lamofc codec train and import make one"
        )
    profile = weights if isinstance(weights, Profile) else Profile.load(Path(str(weights)))
    if profile.codec != arch:
        raise UnsupportedInput(f"weights of {profile.codec}, not of {arch}", f"give codec {profile.codec}, or others")
    return profile


def fitted(weights: Profile, options: Mapping[str, Any], levels: Tensor | None, bulk: Bulk | None) -> Profile:
    """Make the profile of features from trained weights, options and, if values are not scaled to a range, levels."""
    names = {field.name for field in fields(LearnedOptions)}
    chosen = {name: value for name, value in options.items() if name in names}
    own = {name: tensor for name, tensor in weights.tensors.items() if not name.startswith(("bulk_", "levels"))}
    channels = None if bulk is None else len(bulk.mean)
    base = weights.config.get("weights") or weights.id
    config = LearnedOptions.of({**weights.config, **chosen, "weights": base, "channels": channels})
    added = {} if bulk is None else bulk.tensors()
    added |= {} if levels is None else {"levels": levels}
    return Profile(weights.codec, config.to_json(), {**own, **added})


def model_of(profile: Profile) -> Model:
    """Build the networks of a profile, and check their weights and tables."""
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
    cdfs = Cdfs(*(np.ascontiguousarray(part.numpy()) for part in (table, lengths, offsets)))
    cdfs.check()
    return cdfs
