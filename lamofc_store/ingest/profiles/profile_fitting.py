"""Fits of profiles: for one feature, and for a group; the groups that save bits."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lamofc_store.commits import profile_objects
from lamofc_store.errors import BadArgument, Hint, SourceError
from lamofc_store.ingest.items import AUTO, Item, globs_of_groups, globs_of_names, group_index, group_name
from lamofc_store.ingest.request import FitProgress, IngestOptions
from lamofc_store.sample import layout

if TYPE_CHECKING:
    import torch

    from lamofc_codecs import CodecError, Profile
    from lamofc_store.commits import Profiles, Snapshot

MIN_SHARED_BY = 1000
"""Samples over which the bytes of a profile are spread at least: later sources bring more than the first one."""
GROUP_SNR_DB = 10.0
"""Signal-to-noise ratio at which groups are looked for where the quality names none."""


TellFit = Callable[[FitProgress], None]
"""Tells how far a fit is."""


class NothingToFit(SourceError):
    """None of the samples can be fitted on; others might be."""


def fit(
    items: Sequence[Item], options: IngestOptions, total: int | None = None, tell: TellFit | None = None
) -> "Profile":
    """Fit a profile for one feature; the same items give the same profile.

    Its bytes are to pay in a source of `total` samples. Unless errors stop the ingest, items that cannot be fitted on
    are left out, and NothingToFit is raised where none is left.
    """
    from lamofc_codecs import CODECS
    from lamofc_codecs import fit as fit_codec

    if not CODECS[options.codec].needs_profile:
        return fit_codec(options.codec, [])
    feature = items[0].feature

    def fit_tensors(groups: Sequence[Sequence[Item]]) -> "Profile":
        tensors, starts = [item.tokens for (item,) in groups], [item.first_position for (item,) in groups]
        told: dict[str, Any] = {"features": [feature], "first_positions": starts, **_tell(options, feature, tell)}
        return fit_codec(options.codec, tensors, options.quality, **told, **_codec_options(items, options, total))

    same_width = _of_one_width(items, options)
    return _fit_usable([[item] for item in same_width], options, fit_tensors)


def fit_group(
    groups: Sequence[Sequence[Item]], options: IngestOptions, total: int | None = None, tell: TellFit | None = None
) -> "Profile":
    """Fit a profile for features that are coded jointly, from the group of each sample; otherwise like `fit`."""
    from lamofc_codecs import fit as fit_codec

    def fit_tensors(groups: Sequence[Sequence[Item]]) -> "Profile":
        samples = [{item.feature: item.tokens for item in group} for group in groups]
        starts = [group[0].first_position for group in groups]
        features, name = sorted(samples[0]), group_name(groups[0])
        told: dict[str, Any] = {"features": features, "first_positions": starts, **_tell(options, name, tell)}
        return fit_codec(options.codec, samples, options.quality, **told, **_codec_options(groups[0], options, total))

    return _fit_usable(groups, options, fit_tensors)


def _tell(options: IngestOptions, name: str, tell: TellFit | None) -> dict[str, Any]:
    """Return what a fit calls: with what it found, and with how far it is."""
    progress = None if tell is None else lambda share: tell(FitProgress(name, share))
    return {"found": options.found, "progress": progress}


def _of_one_width(items: Sequence[Item], options: IngestOptions) -> Sequence[Item]:
    """Return the items with as many channels as most have; all must have them if errors stop the ingest."""
    widths = Counter(item.tokens.shape[1] for item in items)
    if options.on_error == "stop":
        width = items[0].tokens.shape[1]
        for item in items:
            if item.tokens.shape[1] != width:
                raise channels_differ(item, width)
        return items
    ((width, _),) = widths.most_common(1)
    return [item for item in items if item.tokens.shape[1] == width]


def _fit_usable(
    groups: Sequence[Sequence[Item]],
    options: IngestOptions,
    fit_tensors: "Callable[[Sequence[Sequence[Item]]], Profile]",
) -> "Profile":
    """Fit; where float32 cannot hold values of some items, fit again without these items."""
    from lamofc_codecs import BeyondFloat32, CodecError, NonFiniteInput

    try:
        return fit_tensors(groups)
    except (BeyondFloat32, NonFiniteInput) as error:
        usable = [group for group in groups if all(fits_float32(item) for item in group)]
        refused = next((item for group in groups for item in group if not fits_float32(item)), None)
        if refused is None:
            raise _refused(groups[0], error) from error
        hint = Hint('leave it out, give [on_error] skip or raw, or give the codec the option nonfinite="exact"')
        if options.on_error == "stop":
            raise SourceError(f"sample {refused.sample!r}, feature {refused.feature!r}: {error}", hint) from error
        if not usable:
            raise NothingToFit(
                f"feature {refused.feature!r}: no sample to fit on has only finite values that float32 can hold", hint
            ) from error
        return _fit_usable(usable, options, fit_tensors)
    except CodecError as error:
        raise _refused(groups[0], error) from error


def fits_float32(item: Item) -> bool:
    """Whether all values of an item are finite numbers that float32 can hold."""
    from lamofc_codecs import lost_in_float32

    return not lost_in_float32(item.tokens).any()


def _refused(items: Sequence[Item], error: "CodecError") -> SourceError:
    """Name the features that a codec could not be fitted on."""
    features = sorted(item.feature for item in items)
    subject = f"feature {features[0]!r}" if len(features) == 1 else f"features {features}"
    return SourceError(f"{subject}: {error}", error.cure)


def find_groups(
    items: Sequence[Item],
    options: IngestOptions,
    total: int | None,
    settled: Callable[[], Iterable[Sequence[str]]] = tuple,
) -> list[list[str]]:
    """Return the globs of each group: those that the user names, and for `auto` those that save bits.

    `settled` gives features that have a profile, alone or jointly; `auto` leaves them as they are.
    """
    groups = globs_of_groups(options.groups)
    if AUTO not in options.groups:
        return groups
    from lamofc_codecs import find_groups as find_saving_groups

    groups += [globs_of_names(names) for names in settled()]
    samples: dict[str, dict[str, torch.Tensor]] = {}
    for item in items:
        if not item.is_exact and group_index(item.feature, groups) is None:
            samples.setdefault(item.sample, {})[item.feature] = item.tokens
    if options.on_error != "stop":
        for sample in {item.sample for item in items if not item.is_exact and not fits_float32(item)}:
            samples.pop(sample, None)
    snr_db = options.quality.snr_db if options.quality is not None else None
    shared = {"shared_by": max(total, MIN_SHARED_BY)} if total is not None else {}
    for group in find_saving_groups(samples.values(), snr_db or GROUP_SNR_DB, **shared):
        groups.append(globs_of_names(group.names))
    return groups


def _codec_options(items: Sequence[Item], options: IngestOptions, total: int | None) -> dict[str, Any]:
    """Return the codec's options, and those that follow from items and source where the codec has them.

    They are the number of samples that share the bytes of the profile, and whether the features have planes.
    """
    from lamofc_codecs import describe

    derived: dict[str, Any] = {}
    if total is not None:
        derived["shared_by"] = max(total, MIN_SHARED_BY)
    if any(layout.has_planes(item.pattern) for item in items):
        derived["planes"] = True
    known = describe(options.codec)["options"]
    return {**{name: value for name, value in derived.items() if name in known}, **options.codec_options}


def channels_differ(item: Item, expected: int) -> SourceError:
    """Make the error for a feature whose number of channels changes from sample to sample."""
    return SourceError(
        f"sample {item.sample!r}, feature {item.feature!r} has {item.tokens.shape[1]} channels,"
        f" the samples before it have {expected}",
        Hint("give the odd feature another name, or set its pattern with [patterns]"),
    )


def existing_profile(
    snapshot: "Snapshot", profiles: "Profiles", features: Sequence[str], options: IngestOptions
) -> "Profile | None":
    """Return the profile that the user gives, or the store's newest for this feature, or these of a group, and codec.

    BadArgument where the store's was fitted with other options.
    """
    if options.profile is not None:
        return options.profile
    name = "+".join(features)
    identity = profile_objects.newest_for(snapshot, name, options.codec, options.quality_text)
    if identity is None:
        return None
    from lamofc_codecs import recorded_options

    profile = profiles[identity]
    recorded = recorded_options(options.codec, options.codec_options, features, config=profile.config)
    unlike = {name for name, value in recorded.items() if profile.config.get(name) != value}
    if unlike:
        option = min(unlike)
        raise BadArgument(
            f"the store's profile of {name!r} was fitted with {option}={profile.config.get(option)!r}, "
            f"not {recorded[option]!r}",
            "leave the option out, or take the features into another store",
        )
    return profile
