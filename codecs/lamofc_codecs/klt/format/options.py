"""Options of `klt`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from torch import Tensor

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.klt.transform import MAX_TYPICAL_TOKENS, Rotary, digest_of
from lamofc_codecs.options import Between, Options

_WORDS_FOR_KEYS = {"k", "key", "keys"}


@dataclass(frozen=True)
class KltOptions(Options):
    """Options of `fit("klt", ...)`."""

    later_keys = ("consumer_digest", "sinks")

    transform: Literal["klt", "none"] = "klt"
    """Whether channels are decorrelated; "none" codes each channel by itself."""
    means: Annotated[int, Between(0, MAX_TYPICAL_TOKENS)] | None = None
    """Size of the token codebook, 0 for none; by default as many entries as save bits on held-out samples."""
    components: Annotated[int, Between(1, 1 << 16)] | None = None
    """Most columns to keep; by default all whose deviation exceeds the step, or may do so at a finer one."""
    ranges: Annotated[int, Between(1, 1 << 10)] = 1
    """Ranges of neighbouring channels that are decorrelated each by itself. For thousands of channels this takes more
    bits and less time to fit, to encode and to decode."""
    waves: bool | None = None
    """Whether a cosine transform runs over the tokens of a sequence or an image; by default where it saves bits on
    held-out samples. It is not tried for a weighted group of more than 1024 channels, where a trial takes minutes."""
    levels: Annotated[int, Between(1, 7)] = 3
    """Most levels of a record: copies of lower rates, 9.5 dB apart, each cut into layers for rates in between."""
    layer_bytes: Annotated[int, Between(32, 1 << 30)] = 1024
    """Fewest bytes of a layer within a level; records of fewer than four times as many elements have one layer."""
    shared_by: Annotated[int, Between(1, 1 << 40)] = 10_000
    """Samples that the profile's bytes are spread over when the fit decides what saves bits."""
    weight: Annotated[
        Tensor | Mapping[str, Tensor] | str | None, "a tensor: a weight for each channel, or rows of them"
    ] = None
    """Weights of errors: one for each channel, a matrix of rows of them, or one of these for each of several features;
    a profile bears the digest. Qualities then speak of weighted errors, whose weights are 1 on average over all
    directions. A group takes the weights of all its features, whose sizes relative to each other count. Where positions
    are undone, a weight is for errors of features without their rotation."""
    rotary: Annotated[
        Rotary | Mapping[str, Rotary | Literal["find"] | None] | Literal["find", "keys"] | None,
        'a Rotary, "find", a mapping of features to these, or "keys"',
    ] = "keys"
    """Rotary positions of keys, which are undone before the transform: of one feature, or of each of several. "find"
    looks for them in the samples and undoes them where that saves bits; "keys" does so where errors are not weighed and
    the feature's name has the word k, key or keys, such as `layer.0.k_cache`; None leaves features as they are."""
    weight_floor: Annotated[float, Between(1e-4, 1)] = 0.03
    """Least weight of an error in any direction, where there is a weight."""
    weight_nats: Annotated[float, Between(1e-30, 1e30)] | None = None
    """Divergence in nats for each unit of squared error of a token as `weight` weighs it, 0.5 for the root of a Fisher
    matrix; it makes `Quality(kl=...)` a target."""
    consumer: str | None = None
    """Name of the consumer that `weight` was measured on, such as `MODEL@BLOCK`, which a profile bears. A later ingest
    for a consumer of this name takes the profile, however its own measurement turns out."""
    consumer_digest: str | None = None
    """Digest of the consumer's weights, which a profile bears. A profile that bears another is not taken for it."""
    sinks: bool = False
    """Whether tokens of massive energy, to which a language model attends whatever they say, have a step a fifteenth as
    wide, where errors are weighed: weights are measured without such tokens, and say too little of them. A profile that
    looks for none is taken where sinks are asked for, as those of earlier versions are."""
    nonfinite: Literal["raise", "exact"] = "raise"
    """Whether values that float32 cannot hold, such as NaN, are refused or stored as they are."""

    def to_json(self) -> dict[str, Any]:
        """Return what a profile's config says of them: a weight as its digest, no options without effect."""
        left_out = {"weight"} if self.weight is None else set()
        left_out |= {"weight_floor"} if self.weight is None and self.consumer is None else set()
        left_out |= {"ranges"} if self.ranges == 1 else set()
        left_out |= {"weight_nats"} if self.weight_nats is None else set()
        left_out |= set() if isinstance(self.rotary, Rotary | Mapping) else {"rotary"}
        left_out |= {"consumer"} if self.consumer is None else set()
        left_out |= {"sinks"} if not self.sinks else set()
        left_out |= {"consumer_digest"} if self.consumer_digest is None else set()
        digest = digest_of(self.weight) if isinstance(self.weight, Tensor | Mapping) else self.weight
        rotary = [None if part is None else part.to_json() for part in self.rotations]
        stored = {**super().to_json(), "weight": digest, "rotary": rotary}
        return {name: value for name, value in stored.items() if name not in left_out}

    @property
    def rotations(self) -> list[Rotary | None]:
        """The rotation of one feature, or of each part that `for_parts` named; none where no positions are undone.

        Rotations that are still to be found count as none.
        """
        if isinstance(self.rotary, Mapping):
            return [part if isinstance(part, Rotary) else None for part in self.rotary.values()]
        return [self.rotary] if isinstance(self.rotary, Rotary) else []

    def for_parts(self, names: Sequence[str]) -> Self:
        """Return the options of a group of these parts, or of one feature, with a rotation or None for each part.

        By default none has one, as where nothing was found; a rotation that is still to be found is an error.
        """
        if self.rotary is None or self.rotary == "keys":
            return replace(self, rotary=None)
        given: Mapping[str, Any] = self.rotary if isinstance(self.rotary, Mapping) else {"": self.rotary}
        known = set(given) <= set(names) if names else isinstance(self.rotary, Rotary)
        if not known or not all(isinstance(one, Rotary | None) for one in given.values()):
            raise UnsupportedInput(
                f"rotary={str(self.rotary)[:100]} for {list(names) or 'one feature'}",
                "give a Rotary for one feature, and a mapping of features to Rotary for a group",
            )
        return replace(self, rotary={name: given.get(name) for name in names}) if names else self

    def targets(self, qualities: tuple[str, ...]) -> tuple[str, ...]:
        """Return the targets: a divergence is one only where errors are known in nats."""
        return tuple(kind for kind in qualities if kind != "kl" or self.weight_nats is not None)

    def __post_init__(self) -> None:
        if self.weight_nats is not None and (self.weight is None or self.weight_floor == 1):
            raise UnsupportedInput(
                f"weight_nats={self.weight_nats} without a weight, or with weight_floor=1, which leaves nothing of it",
                "give the weight, too, and a floor below 1",
            )

    def for_features(self, features: Sequence[str]) -> Self:
        """Return the options with the weight and the rotation of these features, where there are several."""
        rotary = _of_features(self.rotary, features)
        if features and isinstance(rotary, Mapping):
            rotary = {name: rotary.get(name) for name in sorted(features)}
        weight = _of_features(self.weight, features)
        nats = None if weight is None else self.weight_nats
        is_read = self.weight is None or weight is not None
        consumer, digest = (self.consumer, self.consumer_digest) if is_read else (None, None)
        return replace(self, weight=weight, weight_nats=nats, rotary=rotary, consumer=consumer, consumer_digest=digest)

    def with_open_rotary(self, features: Sequence[str]) -> tuple[str, ...]:
        """Return those of all features of a fit whose rotation is to be found in the samples."""
        if isinstance(self.rotary, Mapping):
            return tuple(name for name in features if self.rotary.get(name) == "find")
        if self.rotary == "keys":
            return tuple(name for name in features if self.weight is None and _is_key(name))
        return tuple(features) if self.rotary == "find" else ()

    @classmethod
    def compared(cls, options: Mapping[str, Any], features: Sequence[str]) -> Mapping[str, Any]:
        """Leave out rotations that are found, and the weight of a consumer that is named.

        Measured twice, a weight may differ in its last bits.
        """
        rotary = _of_features(options.get("rotary"), features)
        if isinstance(rotary, str) or (isinstance(rotary, Mapping) and "find" in rotary.values()):
            options = {name: value for name, value in options.items() if name != "rotary"}
        if options.get("consumer") is None:
            return options
        weight = options.get("weight")
        reads = not isinstance(weight, Mapping) or not features or any(name in weight for name in features)
        kept = {name: value for name, value in options.items() if name not in ("weight", "weight_nats")}
        return kept if reads else {**kept, "consumer": None, "consumer_digest": None}


def _is_key(feature: str) -> bool:
    """Whether the name of a feature says that it is keys."""
    return not _WORDS_FOR_KEYS.isdisjoint(re.split("[^a-z]+", feature.lower()))


def _of_features(values: Any, features: Sequence[str]) -> Any:
    """Return what a mapping holds of one feature or of the features of a group; anything else as it is."""
    if not (features and isinstance(values, Mapping)):
        return values
    chosen = {name: values[name] for name in features if name in values}
    return chosen.get(features[0]) if len(features) == 1 else chosen or None
