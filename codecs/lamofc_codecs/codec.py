"""What every codec is: one file, one class, bound to one profile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.errors import BadQuality, CodecError, CorruptRecord, NonFiniteInput, UnsupportedInput
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Doubles
from lamofc_codecs.source import LOSSY_DTYPES, MOST_PER_BYTE, Coded, DecodeRequest, PartShape, Source
from lamofc_codecs.stats import Bulk


class Codec(ABC):
    """A way to code tokens x channels. Its instances are bound to one profile and shared by threads.

    A new codec is a new file with a class like this one and a line in registry.py; `testing.CodecConformance` holds
    what is promised. The id and the number name bytes for ever: other bytes, other id.
    """

    id: ClassVar[str]
    number: ClassVar[int]
    """In the header of every record, 0 to 255."""
    summary: ClassVar[str]
    """One line for people."""
    qualities: ClassVar[tuple[str, ...]] = ()
    """Targets that it takes; none for a codec that has only one quality."""
    layered: ClassVar[bool] = False
    """Whether a record may have several layers."""
    separable: ClassVar[bool] = False
    """Whether items can be taken out of a record of several."""
    options: ClassVar[tuple[str, ...]] = ()
    """Names of the keywords that `fit` takes."""
    fit_samples: ClassVar[int | None] = None
    """How many samples a fit wants if nobody says; None where the length of the samples tells."""

    @classmethod
    @abstractmethod
    def fit(cls, samples: Iterable[Any], quality: Quality | None = None, **options: object) -> Profile:
        """Make a profile from samples, tokens x channels each, read once and in bounded memory."""

    @abstractmethod
    def __init__(self, profile: Profile) -> None:
        """Check the profile and make ready all that does not depend on a sample."""

    @property
    def bulk(self) -> Bulk | None:
        """Where the profile's bulk lies; None for a codec without a fitted profile."""
        return None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the features that it codes together; none for a codec of single features."""
        return ()

    @abstractmethod
    def encode(self, source: Source, quality: Quality | None = None) -> Coded:
        """Code one tensor; the outcome depends on nothing but the arguments."""

    @abstractmethod
    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out`, contiguous, on the CPU, of the source's shape and dtype. Bad bytes raise `CorruptRecord`."""

    def decode_parts(
        self, layers: Sequence[memoryview], channels: Sequence[int], outs: Sequence[Tensor | None]
    ) -> None:
        """Fill those of `outs` that are not None, each as in `decode`: features of a group, of so many channels."""
        raise CorruptRecord(f"codec {self.id} codes one feature a record, this one holds {len(outs)}")

    def pooled(
        self, layers: Sequence[memoryview], like: Sequence[PartShape], parts: Sequence[int], weights: Doubles
    ) -> list[Tensor] | None:
        """What `weights`, tokens x rows, make of those parts, rows x channels, float32; None: decode, and see."""
        return None

    @classmethod
    def overhead(cls, layer: bytes) -> int:
        """Bytes of a layer that only frame what it holds, where that is somebody else's container."""
        return 0

    def quantised(self, tensor: Tensor) -> Tensor | None:
        """What quantisation alone makes of a tensor, for a codec that then loses more; else None."""
        return None

    def keep(self, layers: Sequence[memoryview], whole: Tensor, rows: NDArray[np.int64]) -> Sequence[bytes]:
        """Layers, as many, of some rows of what they hold, which is `whole`; they decode to the same values."""
        raise UnsupportedInput(f"codec {self.id} cannot take items out of a record", "decode and code them anew")

    def check_length(self, layers: Sequence[memoryview], size: int) -> None:
        """Refuse layers that cannot hold `size` bytes of a tensor, before anything of that size is made.

        The entropy coder needs a bit for 2840 symbols at the least, whatever a record claims.
        """
        length = sum(map(len, layers))
        require(size <= length * MOST_PER_BYTE, f"{length} bytes of layers cannot hold a tensor of {size} bytes")

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse options of `fit` that the codec does not have."""
        unknown = sorted(set(options) - set(cls.options))
        if unknown:
            raise UnsupportedInput(f"codec {cls.id} has no option {unknown}", f"options: {list(cls.options) or 'none'}")

    @classmethod
    def takes(cls, options: Mapping[str, object]) -> tuple[str, ...]:
        """Targets that it takes when told these options."""
        return cls.qualities

    @classmethod
    def options_for(cls, feature: str, options: Mapping[str, object]) -> Mapping[str, object]:
        """Options of `fit` as they are for one feature."""
        return options

    @classmethod
    def recorded(cls, options: Mapping[str, object]) -> dict[str, object]:
        """Options of `fit` as a profile's config tells them."""
        return dict(options)

    @classmethod
    def check_quality(cls, quality: Quality | None) -> None:
        """Refuse a target that the codec cannot aim at."""
        if quality is not None and quality.kind not in cls.qualities:
            aims = ", ".join(cls.qualities) if cls.qualities else "none, its quality is fixed"
            raise BadQuality(
                f"codec {cls.id} cannot aim at {quality}; targets that it takes: {aims}", "leave the quality out"
            )

    def check_lossy(self, source: Source, channels: int, *, exact: bool = False) -> None:
        """Refuse what a lossy codec would lose: exact dtypes, unknown channels, values that are not finite."""
        for tensor in source.tensors:
            if tensor.dtype not in LOSSY_DTYPES:
                raise UnsupportedInput(f"codec {self.id} would round {tensor.dtype} values", "use codec raw")
        if source.channels != channels:
            raise UnsupportedInput(
                f"the tensor has {source.channels} channels, the profile was fitted on {channels}",
                "use the profile of this feature, or fit one",
            )
        if source.sums.bad and not exact:
            row, column = divmod(
                int((~torch.isfinite(torch.from_numpy(source.values))).flatten().int().argmax()), channels
            )
            raise NonFiniteInput(
                f"{source.sums.bad} of {source.values.size} values are not finite in float32, "
                f"the first at token {row}, channel {column}",
                'use codec raw, or fit with nonfinite="exact"',
            )

    @staticmethod
    def check_width(profile: Profile, bulk: Bulk | None) -> None:
        """Refuse a profile that tells of other channels than its bulk has."""
        told, there = profile.config["channels"], None if bulk is None else len(bulk.mean)
        if told != there:
            raise CodecError(
                f"profile {profile.id[:12]} says {told} channels, but has {there}", "fit the profile again"
            )

    @classmethod
    def check_profile(cls, profile: Profile) -> None:
        """Refuse the profile of another codec."""
        if profile.codec != cls.id:
            raise CodecError(
                f"profile {profile.id[:12]} belongs to codec {profile.codec}, not to {cls.id}", "give its own"
            )


@runtime_checkable
class OnDevice(Protocol):
    """A codec that decodes to tensors on a device, such as a GPU, many records in one call."""

    def decode_on_device(self, requests: Sequence[DecodeRequest], device: torch.device) -> list[list[Tensor]]:
        """Decode the requested parts of each record to tensors on the device, in the dtypes of their sources."""


def require(condition: bool, what: str) -> None:
    """Raise `CorruptRecord` saying what is wrong unless the condition holds."""
    if not condition:
        raise CorruptRecord(what)
