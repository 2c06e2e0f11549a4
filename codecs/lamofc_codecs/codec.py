"""What every codec is: one class, whose instances are bound to one profile."""

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
    """A way to code tokens x channels. An instance is bound to one profile; threads share it.

    A codec must have an id, a number, a summary, `encode` and `decode`. It has a `fit` and an `__init__` of its own if
    it derives parameters from samples, and it shows what else it can do by the methods of a protocol in `abilities`.
    `testing.CodecConformance` tests what is promised here. Id and number name a byte format for ever: a codec that
    writes other bytes gets another id and another number.
    """

    id: ClassVar[str]
    """The name that people write: lower-case letters, digits, `_` and `-`."""
    number: ClassVar[int]
    """The name that records bear: 1 to 127 for codecs of this package, 128 to 255 for those of others."""
    summary: ClassVar[str]
    """One line for people."""
    qualities: tuple[str, ...] = ()
    """Targets of a `Quality` that it can aim at; none if it has only one quality. An instance may have fewer."""
    options: ClassVar[type[Options]] = Options
    """The dataclass of what `fit` may be told beside the samples and the quality."""
    needs_profile: ClassVar[bool] = True
    """Whether a decoder needs the profile. If not, all profiles are alike and records name none."""
    fit_samples: ClassVar[int | None] = None
    """How many samples a fit needs; None if that depends on their length."""

    @classmethod
    def fit(cls, samples: Iterable[Any], quality: Quality | None, options: Any) -> Profile:
        """Make a profile from samples, tokens x channels each, read once and in bounded memory.

        `options` is an instance of the codec's own dataclass; the quality was checked. Unless overridden, no sample is
        read and the profile holds the options and the quality.
        """
        target = {} if quality is None else {"quality": quality.to_json()}
        return Profile(cls.id, {**options.to_json(), **target}, {})

    def __init__(self, profile: Profile) -> None:
        """Check the profile and prepare all that does not depend on a sample."""
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
        """Code one tensor; without a quality, aim at the profile's. The result depends on nothing but these."""

    @abstractmethod
    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out`, contiguous on the CPU and of the source's shape and dtype. Bad bytes raise `CorruptRecord`."""

    def check_length(self, layers: Sequence[memoryview], size: int) -> None:
        """Refuse layers that cannot hold a tensor of `size` bytes, before anything of that size is allocated.

        The entropy coder spends a bit on 2840 symbols at the least. A codec that compresses further overrides this.
        """
        length = sum(map(len, layers))
        require(size <= length * MAX_EXPANSION, f"{length} bytes of layers cannot hold a tensor of {size} bytes")


def target_of(codec: Codec, quality: Quality | None) -> Quality:
    """Return the target to aim at: the given one, or the one that the profile was fitted for."""
    target = quality or codec.quality
    if target is None:
        raise BadQuality("the profile was fitted without a quality, and none is given", "give Quality(snr_db=15)")
    return target


def check_channels(profile: Profile, bulk: Bulk | None) -> None:
    """Refuse a profile whose config says another number of channels than its bulk has."""
    said, count = profile.config.get("channels"), None if bulk is None else len(bulk.mean)
    if said != count:
        raise CodecError(f"profile {profile.id[:12]} says {said} channels, but has {count}", "fit the profile again")


def require(condition: bool, what: str) -> None:
    """Raise `CorruptRecord` with this message unless the condition holds."""
    if not condition:
        raise CorruptRecord(what)
