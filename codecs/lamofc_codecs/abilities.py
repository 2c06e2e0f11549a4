"""Abilities that a codec may have beside encoding and decoding, each a protocol.

A codec has an ability if its class has the methods, which `isinstance(codec, Poolable)` checks. Nothing is registered,
and a codec without an ability takes the general path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.profile import Profile
from lamofc_codecs.runtime import Doubles
from lamofc_codecs.source import DecodeRequest, PartShape


@runtime_checkable
class Layered(Protocol):
    """A codec that writes several layers, any prefix of which decodes."""

    @classmethod
    def layers_per_level(cls, first_layer: memoryview) -> tuple[int, ...]:
        """Return how many layers each refinement level of a record has, coarse first, read from its first layer."""


@runtime_checkable
class Grouped(Protocol):
    """A codec that can code several features of a sample jointly. Its `fit` takes mappings of features to tensors."""

    def part_names(self) -> tuple[str, ...]:
        """Return the features that the profile codes jointly, in their order; none if it codes a single feature."""

    def decode_parts(
        self, layers: Sequence[memoryview], channels: Sequence[int], outs: Sequence[Tensor | None]
    ) -> None:
        """Fill those of `outs` that are not None, each as `decode` does; `channels` has the width of every part."""


@runtime_checkable
class Poolable(Protocol):
    """A codec that decodes weighted sums of tokens without decoding the tokens."""

    def pool(
        self, layers: Sequence[memoryview], shapes: Sequence[PartShape], parts: Sequence[int], weights: Doubles
    ) -> list[Tensor]:
        """Return `weights.T @ tokens` of the requested parts, float32 of rows x channels.

        `weights` is tokens x rows, `shapes` describes every part. There is at least one token and one channel.
        """


@runtime_checkable
class Sliceable(Protocol):
    """A codec that cuts a record down to some of its tokens, without a second loss."""

    def keep(self, layers: Sequence[memoryview], decoded: Tensor, rows: NDArray[np.int64]) -> Sequence[bytes]:
        """Return the same number of layers, reduced to these rows, which decode to the same values.

        `decoded` is the tensor that all the layers decode to.
        """


@runtime_checkable
class Blockable(Sliceable, Protocol):
    """A codec that codes small features of several samples in fewer bits in one record than in a record each."""

    def gains_from_blocks(self, tokens: int) -> bool:
        """Say whether samples of this many tokens should share a record."""


@runtime_checkable
class Batched(Protocol):
    """A codec that decodes many small records in one call, which takes less time than a call for each."""

    def decode_batch(self, requests: Sequence[DecodeRequest], outs: Sequence[Sequence[Tensor | None]]) -> None:
        """Fill the tensors of each record, one for each of its parts, or None for a part that is not requested."""


@runtime_checkable
class OnDevice(Protocol):
    """A codec that decodes to tensors on a device, such as a GPU, many records in one call."""

    def decode_on_device(self, requests: Sequence[DecodeRequest], device: torch.device) -> list[list[Tensor]]:
        """Decode the requested parts of each record to tensors on the device, in the dtypes of their sources."""


@runtime_checkable
class Quantising(Protocol):
    """A codec that first quantises and then loses more, such as a video codec."""

    def quantise(self, tensor: Tensor) -> Tensor:
        """Quantise a tensor and restore it, without any other loss of the codec."""


@runtime_checkable
class Framed(Protocol):
    """A codec whose layers are in the container of another format."""

    @classmethod
    def overhead(cls, layer: bytes) -> int:
        """Count the bytes of a layer that only frame its content."""


@runtime_checkable
class Positioned(Protocol):
    """A codec that codes tokens by their positions in a sequence. Its `fit` takes samples to begin at position 0."""

    @classmethod
    def at_start(cls, sample: Any, first_position: int, options: Any) -> Any:
        """Return a sample to fit as it would be if its first token, at this position, were at 0."""


@dataclass(frozen=True)
class Settled:
    """The options of a fit, none of which is left open."""

    options: Any
    samples: Iterator[Any]
    """All samples, those that were read with them."""
    findings: Mapping[str, str] = field(default_factory=dict)
    """Words about what the samples showed, by feature."""


@runtime_checkable
class Settling(Protocol):
    """A codec whose options may leave open what samples show before a fit reads them all."""

    @classmethod
    def settle(
        cls,
        samples: Iterable[Any],
        first_positions: Sequence[int] | None,
        features: Sequence[str],
        quality: Any,
        options: Any,
    ) -> Settled:
        """Settle the options on some samples, given the position of the first token of each, or None if it is 0 in all.

        `features` has the names of the samples' features where these are known.
        """


@runtime_checkable
class Gradual(Protocol):
    """A codec whose fit takes long enough for somebody to ask how far it is."""

    @classmethod
    def fit_gradually(
        cls, samples: Iterable[Any], quality: Any, options: Any, progress: Callable[[float], None]
    ) -> Profile:
        """Fit in place of `fit`, and call `progress` with the share of the work that is done, by estimate."""


@runtime_checkable
class Steerable(Protocol):
    """A codec that quantises weighted values, tokens x channels of all parts, and can be made to quantise others.

    Its `encode` adds the shift of a source to its weighted values, before any codebook or transform, and tells the
    errors of the values all the same. In this space a step of quantisation is as wide for all channels.
    """

    def weigh_errors(self, errors: Tensor, positions: NDArray[np.int64]) -> Tensor:
        """Return the errors of values as errors of weighted ones."""

    def weigh_gradient(self, gradient: Tensor, positions: NDArray[np.int64]) -> Tensor:
        """Return the gradient by weighted values of what has this gradient by the values."""


@runtime_checkable
class HasBaseline(Protocol):
    """A codec whose rate `relative_bits` can compare with that of separate channels."""

    def has_baseline(self) -> bool:
        """Say whether a record of a matching profile is smaller than its channels coded separately."""


ABILITIES: tuple[type, ...] = (
    Layered,
    Grouped,
    Poolable,
    Sliceable,
    Blockable,
    Batched,
    OnDevice,
    Quantising,
    Framed,
    Positioned,
    Settling,
    Gradual,
    Steerable,
    HasBaseline,
)
"""All abilities, for the check of a codec's class."""
