"""Which profile codes a feature: the one given, the store's newest, or one fitted on some of the samples."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from lamofc_store.commits import profile_objects as stored
from lamofc_store.defaults import DEFAULT_CODEC
from lamofc_store.errors import BadArgument, Hint, SourceError
from lamofc_store.ingest.feature_groups import AUTO, exactly, patterns_of, place_of
from lamofc_store.ingest.feature_items import Item, items_of
from lamofc_store.ingest.options import IngestOptions
from lamofc_store.sample import Sample
from lamofc_store.sources.readers import Spread

if TYPE_CHECKING:
    import torch

    from lamofc_codecs import Profile
    from lamofc_store.commits import Snapshot

MOST_BYTES = 1 << 30
"""Features held at once while fitting."""
TOKENS, MOST_TOKENS = 32_768, 131_072
LEAST_SAMPLES, MOST_SAMPLES = 64, 4096
SHARE = 16
"""Unless told how many, a fit looks at so many samples that the longest feature has that many tokens, within bounds;
of long sources at one sample of so many, up to the most tokens."""

_AIM_DB = 10.0
"""Where groups are looked for when no signal to noise is asked for."""
LEAST_SHARED = 1000
"""A profile may be meant for more samples than the first source brings."""


def spread(source: Iterable[Sample]) -> Iterable[Sample]:
    """The samples in the order in which a fit looks at them: all over the source, where it can be read so."""
    return source.spread() if isinstance(source, Spread) else source


def gather(
    samples: Iterable[Sample], options: IngestOptions, known: Callable[[Item], bool], total: int | None = None
) -> list[Item]:
    """The features of some samples, of as many as `total`, that have no profile yet; as many as fit into memory.

    Where the first sample brings nothing new, no more are read: what appears later is fitted when it does.
    """
    from lamofc_codecs import CODECS

    found: list[Item] = []
    tokens: Counter[str] = Counter()
    asked = options.fit_samples or CODECS[options.codec].fit_samples
    for count, sample in enumerate(islice(samples, asked or MOST_SAMPLES), 1):
        new = [item for item in items_of(sample, options) if not known(item)]
        found.extend(new)
        tokens.update({item.feature: len(item.tokens) for item in new})
        enough = _enough(count, max(tokens.values(), default=0), total or 0)
        if (enough and not asked) or not found or sum(item.raw_bytes for item in found) > MOST_BYTES:
            break
    return found


def fit(feature: str, items: Iterable[Item], options: IngestOptions, total: int | None = None) -> "Profile":
    """A profile for one feature; the same items give the same profile. It is to pay in so many samples as there are."""
    from lamofc_codecs import CODECS, CodecError
    from lamofc_codecs import fit as fit_codec

    if options.codec == "raw":
        return fit_codec("raw", [])
    tensors: list[torch.Tensor] = []
    for item in items:
        if tensors and item.tokens.shape[1] != tensors[0].shape[1]:
            raise channels_differ(item, tensors[0].shape[1])
        tensors.append(item.tokens)
    try:
        told = CODECS[options.codec].options_for(feature, _told(options, total))
        return fit_codec(options.codec, tensors, options.quality, **told)
    except CodecError as error:
        raise SourceError(f"feature {feature!r}: {error}", error.cure) from error


def fit_group(bundles: "Iterable[Sequence[Item]]", options: IngestOptions, total: int | None = None) -> "Profile":
    """A profile for features that are coded together."""
    from lamofc_codecs import CODECS, CodecError
    from lamofc_codecs import fit as fit_codec

    samples = [{item.feature: item.tokens for item in bundle} for bundle in bundles]
    try:
        told = _told(options, total)
        for feature in sorted(samples[0]):
            told = {**told, **CODECS[options.codec].options_for(feature, told)}
        return fit_codec(options.codec, samples, options.quality, **told)
    except CodecError as error:
        raise SourceError(f"features {sorted(samples[0])}: {error}", error.cure) from error


def groups(
    items: Sequence[Item],
    options: IngestOptions,
    total: int | None,
    settled: Callable[[], Iterable[Sequence[str]]] = tuple,
) -> list[list[str]]:
    """What is coded together: what the options name, what is settled, and what is found by what it saves.

    Features that `settled` names, alone or several together, are not looked at.
    """
    found = patterns_of(options.groups)
    if AUTO not in options.groups:
        return found
    from lamofc_codecs import find_groups

    found += [exactly(names) for names in settled()]
    samples: dict[str, dict[str, torch.Tensor]] = {}
    for item in items:
        if not item.is_exact and place_of(item.feature, found) is None:
            samples.setdefault(item.sample, {})[item.feature] = item.tokens
    aim = options.quality.snr_db if options.quality is not None else None
    shared = {"shared_by": max(total, LEAST_SHARED)} if total is not None else {}
    for group in find_groups(samples.values(), aim or _AIM_DB, **shared):
        found.append(exactly(group.names))
    return found


def _enough(count: int, tokens: int, total: int) -> bool:
    """Whether so many samples, and tokens of their longest feature, are enough to fit on."""
    few = count < LEAST_SAMPLES or tokens < TOKENS
    return not few and (count >= total // SHARE or tokens >= MOST_TOKENS)


def _told(options: IngestOptions, total: int | None) -> dict[str, Any]:
    """The codec's options; and how many samples a profile's bytes are spread over, for the codec that weighs them."""
    shared = {"shared_by": max(total, LEAST_SHARED)} if total is not None and options.codec == DEFAULT_CODEC else {}
    return {**shared, **options.codec_options}


def length(source: Iterable[Sample]) -> int | None:
    """How many samples a source has, where it can tell."""
    try:
        return len(source)  # type: ignore[arg-type]
    except TypeError:
        return None


def channels_differ(item: Item, expected: int) -> SourceError:
    """The error for a feature that changes its width from sample to sample."""
    return SourceError(
        f"sample {item.sample!r}, feature {item.feature!r} has {item.tokens.shape[1]} channels,"
        f" the samples before it have {expected}",
        Hint("give the odd feature another name, or set its pattern with [patterns]"),
    )


def from_store(
    snapshot: "Snapshot", profiles: stored.Profiles, feature: str, options: IngestOptions
) -> "Profile | None":
    """The profile given, or the store's newest for this feature and codec."""
    if options.profile is not None:
        return options.profile
    identity = stored.newest_for(snapshot, feature, options.codec, options.quality_text)
    if identity is None:
        return None
    from lamofc_codecs import CODECS

    kind = CODECS[options.codec]
    profile, told = profiles[identity], kind.recorded(kind.options_for(feature, options.codec_options))
    unlike = {name for name, value in told.items() if profile.config.get(name) != value}
    if unlike:
        name = min(unlike)
        raise BadArgument(
            f"the store's profile of {feature!r} was fitted with {name}={profile.config.get(name)!r}, "
            f"not {told[name]!r}",
            "leave the option out, or take the features into another store",
        )
    return profile
