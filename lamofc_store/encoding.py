"""Items to records, many at a time; one bad item does not spoil the others."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lamofc_store.errors import StoreError
from lamofc_store.fitting import channels_differ
from lamofc_store.items import Item
from lamofc_store.options import IngestOptions
from lamofc_store.writer import Coded

if TYPE_CHECKING:
    from lamofc_codecs import Profile


def encode(
    items: Sequence[Item], profile: "Profile", options: IngestOptions
) -> Iterator[tuple[Item, Coded | Exception]]:
    """Each item with its record, or with what went wrong; under `on_error="stop"` the first error is raised."""
    from lamofc_codecs import CodecError

    try:
        yield from zip(items, _encode(items, profile, options), strict=True)
    except (CodecError, StoreError) as error:
        if len(items) > 1:
            for item in items:
                yield from encode([item], profile, options)
        else:
            yield items[0], _after(error, items[0], profile, options)


def encode_together(bundles: Sequence[Sequence[Item]], profile: "Profile", options: IngestOptions) -> "list[Coded]":
    """A record for each bundle of features; CodecError where one cannot be coded so."""
    from lamofc_codecs import encode as encode_all

    started = time.perf_counter()
    elements = [{item.feature: item.tokens for item in bundle} for bundle in bundles]
    records = encode_all(elements, profile, quality=options.quality)
    seconds = (time.perf_counter() - started) / max(1, sum(map(len, bundles)))
    return [Coded(record, profile, options.quality_text, seconds) for record in records]


def _after(error: Exception, item: Item, profile: "Profile", options: IngestOptions) -> Coded | Exception:
    """What becomes of an item that its codec refused."""
    from lamofc_codecs import CodecError, fit

    if options.on_error == "raw":
        coded = _encode([item], fit("raw", []), options, raw=True)[0]
        return replace(coded, profile=profile)
    if isinstance(error, CodecError):
        return StoreError(
            f"sample {item.sample!r}, feature {item.feature!r}: {error}",
            getattr(error, "cure", "") or "give --on-error skip or raw to go on",
        )
    return error


def _encode(items: Sequence[Item], profile: "Profile", options: IngestOptions, *, raw: bool = False) -> list[Coded]:
    from lamofc_codecs import encode as encode_all

    expected = profile.config.get("channels")
    for item in items:
        if isinstance(expected, int) and item.tokens.shape[1] != expected:
            raise channels_differ(item, expected)
    started = time.perf_counter()
    quality = None if raw else options.quality
    device = None if options.device in ("auto", "cpu") else options.device
    records = encode_all([item.tokens for item in items], profile, quality=quality, device=device)
    seconds = (time.perf_counter() - started) / max(1, len(items))
    return [Coded(record, profile, options.quality_text, seconds) for record in records]
