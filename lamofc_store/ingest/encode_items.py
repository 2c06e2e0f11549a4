"""Items to records, many at a time; one bad item does not spoil the others."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lamofc_store.errors import Hint, StoreError
from lamofc_store.ingest.feature_items import Item
from lamofc_store.ingest.options import IngestOptions
from lamofc_store.ingest.profile_fitting import channels_differ
from lamofc_store.ingest.record_blocks import blocks
from lamofc_store.ingest.segment_rows import Coded

if TYPE_CHECKING:
    from lamofc_codecs import Profile


Result = tuple[Sequence[Item], "Coded | Exception"]
"""Items of one record, and what became of them."""
Task = tuple[Sequence[Item], "Profile", IngestOptions]
"""Items of one feature, and how they are coded."""


def encode(tasks: Sequence[Task]) -> tuple[list[tuple[Sequence[Item], Coded]], dict[str, tuple[str, Exception]]]:
    """Records of whole samples; and of samples that have a feature which cannot be coded, that feature and why.

    Under `on_error="stop"` the first error is raised.
    """
    done: list[tuple[Task, Sequence[Item], Coded]] = []
    failed: dict[str, tuple[str, Exception]] = {}
    left = list(tasks)
    while left:
        for task in left:
            for some, result in _records(*task):
                if isinstance(result, Exception):
                    failed[some[0].sample] = some[0].feature, result
                else:
                    done.append((task, some, result))
        spoiled = [one for one in done if any(item.sample in failed for item in one[1])]
        done = [one for one in done if not any(item.sample in failed for item in one[1])]
        sound = [(task, [item for item in some if item.sample not in failed]) for task, some, _ in spoiled]
        left = [(some, *task[1:]) for task, some in sound if some]
    return [(some, coded) for _, some, coded in done], failed


def _records(items: Sequence[Item], profile: "Profile", options: IngestOptions) -> Iterator[Result]:
    """Items of one feature in records; what spoils one is told alone."""
    from lamofc_codecs import CodecError

    some = list(blocks(items, profile, options.block))
    try:
        yield from zip(some, _encode(some, profile, options), strict=True)
    except (CodecError, StoreError) as error:
        if len(items) > 1:
            for block in some if len(some) > 1 else [[item] for item in items]:
                yield from _records(block, profile, options)
        else:
            yield items, _after(error, items[0], profile, options)


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
        coded = _encode([[item]], fit("raw", []), options, raw=True)[0]
        return replace(coded, profile=profile)
    if isinstance(error, CodecError):
        return StoreError(
            f"sample {item.sample!r}, feature {item.feature!r}: {error}",
            getattr(error, "cure", "") or Hint("give [on_error] skip or raw to go on"),
        )
    return error


def _encode(
    records: Sequence[Sequence[Item]], profile: "Profile", options: IngestOptions, *, raw: bool = False
) -> list[Coded]:
    from lamofc_codecs import encode as encode_all

    expected, count = profile.config.get("channels"), sum(map(len, records))
    for item in (item for items in records for item in items):
        if isinstance(expected, int) and item.tokens.shape[1] != expected:
            raise channels_differ(item, expected)
    started = time.perf_counter()
    quality = None if raw else options.quality
    device = None if options.device in ("auto", "cpu") else options.device
    elements = [[item.tokens for item in items] for items in records]
    coded = encode_all(elements, profile, quality=quality, device=device)
    seconds = (time.perf_counter() - started) / max(1, count)
    return [Coded(record, profile, options.quality_text, seconds) for record in coded]
