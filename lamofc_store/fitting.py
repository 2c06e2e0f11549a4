"""Which profile codes a feature: the one given, the store's newest, or one fitted from the first samples."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from lamofc_store import profiles as stored
from lamofc_store.errors import SourceError
from lamofc_store.items import Item, items_of
from lamofc_store.options import IngestOptions
from lamofc_store.sample import Sample

if TYPE_CHECKING:
    import torch

    from lamofc_codecs import Profile
    from lamofc_store.snapshot import Snapshot

MOST_BYTES = 1 << 30
"""Features held at once while fitting."""


def gather(samples: Iterable[Sample], options: IngestOptions, known: Callable[[Item], bool]) -> list[Item]:
    """The features of the first samples that have no profile yet, as many as fit into memory.

    Where the first sample brings nothing new, no more are read: what appears later is fitted when it does.
    """
    found: list[Item] = []
    for sample in islice(samples, options.fit_samples):
        found.extend(item for item in items_of(sample, options) if not known(item))
        if not found or sum(item.raw_bytes for item in found) > MOST_BYTES:
            break
    return found


def fit(feature: str, items: Iterable[Item], options: IngestOptions) -> "Profile":
    """A profile for one feature; the same items give the same profile."""
    from lamofc_codecs import CodecError
    from lamofc_codecs import fit as fit_codec

    if options.codec == "raw":
        return fit_codec("raw", [])
    tensors: list[torch.Tensor] = []
    for item in items:
        if tensors and item.tokens.shape[1] != tensors[0].shape[1]:
            raise channels_differ(item, tensors[0].shape[1])
        tensors.append(item.tokens)
    try:
        return fit_codec(options.codec, tensors, options.quality)
    except CodecError as error:
        raise SourceError(f"feature {feature!r}: {error}", error.cure) from error


def fit_group(bundles: "Iterable[Sequence[Item]]", options: IngestOptions) -> "Profile":
    """A profile for features that are coded together."""
    from lamofc_codecs import CodecError
    from lamofc_codecs import fit as fit_codec

    samples = [{item.feature: item.tokens for item in bundle} for bundle in bundles]
    try:
        return fit_codec(options.codec, samples, options.quality)
    except CodecError as error:
        raise SourceError(f"features {sorted(samples[0])}: {error}", error.cure) from error


def channels_differ(item: Item, expected: int) -> SourceError:
    """The error for a feature that changes its width from sample to sample."""
    return SourceError(
        f"sample {item.sample!r}, feature {item.feature!r} has {item.tokens.shape[1]} channels,"
        f" the samples before it have {expected}",
        "name the odd feature otherwise, or set its pattern with --pattern",
    )


def from_store(
    snapshot: "Snapshot", profiles: stored.Profiles, feature: str, options: IngestOptions
) -> "Profile | None":
    """The profile given, or the store's newest for this feature and codec."""
    if options.profile is not None:
        return options.profile
    identity = stored.newest(snapshot, feature, options.codec, options.quality_text)
    return None if identity is None else profiles[identity]
