"""The base class of codecs, whose instances are each bound to one profile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from torch import Tensor

from lamofc_codecs.errors import BadQuality, CodecError, CorruptRecord
from lamofc_codecs.options import Options
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.source import MAX_EXPANSION, Encoding, Source
from lamofc_codecs.stats import Bulk


class Codec(ABC):
    """Base of codecs of tokens x channels. An instance is bound to one profile, and threads share it.

    A codec must have an id, a number, a summary, `encode` and `decode`. It overrides `fit` and `__init__` if it derives
    parameters from samples, and implements the protocols of `abilities` for all else that it can do.
    `testing.CodecConformance` tests this contract. Id and number identify a byte format for ever: a codec that writes
    other bytes gets another id and another number.
    """

    id: ClassVar[str]
    """Name of the codec: lower-case letters, digits, `_` and `-`."""
    number: ClassVar[int]
    """Number of the codec in records: 1 to 127 for codecs of this package, 128 to 255 for those of others."""
    summary: ClassVar[str]
    """Description in one line."""
    qualities: tuple[str, ...] = ()
    """Targets of a `Quality` that the codec can aim at; none if its quality is fixed. An instance may have fewer."""
    options: ClassVar[type[Options]] = Options
    """Dataclass of the options of `fit`."""
    needs_profile: ClassVar[bool] = True
    """Whether a decoder needs the profile. If not, all profiles are alike and records name none."""
    fit_samples: ClassVar[int | None] = None
    """Number of samples that a fit needs; None if it depends on their length."""

    @classmethod
    def fit(cls, samples: Iterable[Any], quality: Quality | None, options: Any) -> Profile:
        """Make a profile from samples, tokens x channels each, read once and in bounded memory.

        `options` is an instance of the codec's own dataclass; the quality was checked. Unless overridden, no sample is
        read and the profile holds the options and the quality.
        """
        target = {} if quality is None else {"quality": quality.to_json()}
        return Profile(cls.id, {**options.to_json(), **target}, {})

    def __init__(self, profile: Profile) -> None:
        """Check the profile, and prepare everything that does not depend on a sample."""
        if profile.codec != self.id:
            raise CodecError(
                f"profile {profile.id[:12]} belongs to codec {profile.codec}, not to {self.id}",
                f"give a profile of {self.id}",
            )
        self.config = profile.config
        self.bulk = Bulk.of(profile)
        fitted_for = profile.config.get("quality")
        self.quality = Quality.from_json(fitted_for) if fitted_for else None

    @abstractmethod
    def encode(self, source: Source, quality: Quality | None) -> Encoding:
        """Code one tensor, without a quality at that of the profile. The result depends on nothing else."""

    @abstractmethod
    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out`, contiguous on the CPU and of the source's shape and dtype. Bad bytes raise `CorruptRecord`."""

    def check_length(self, layers: Sequence[memoryview], size: int) -> None:
        """Refuse layers that cannot hold a tensor of `size` bytes, before anything of that size is allocated.

        The entropy coder takes at least one bit for 2840 symbols; a codec that compresses further overrides this.
        """
        length = sum(map(len, layers))
        require(size <= length * MAX_EXPANSION, f"{length} bytes of layers cannot hold a tensor of {size} bytes")


def target_of(codec: Codec, quality: Quality | None) -> Quality:
    """Return the target of an encoding: `quality`, or the quality that the profile was fitted for."""
    target = quality or codec.quality
    if target is None:
        raise BadQuality("the profile was fitted without a quality, and none is given", "give Quality(snr_db=15)")
    return target


def check_channels(profile: Profile, bulk: Bulk | None) -> None:
    """Refuse a profile whose config and bulk differ in the number of channels."""
    stated, count = profile.config.get("channels"), None if bulk is None else len(bulk.mean)
    if stated != count:
        raise CodecError(f"profile {profile.id[:12]} says {stated} channels, but has {count}", "fit the profile again")


def require(condition: bool, what: str) -> None:
    """Raise `CorruptRecord` with this message unless the condition holds."""
    if not condition:
        raise CorruptRecord(what)
