"""Encode items to records, many at a time; a bad item does not spoil the others."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import Hint, StoreError
from lamofc_store.ingest.items import Item
from lamofc_store.ingest.profiles import channels_differ
from lamofc_store.ingest.records.encoded import Encoded
from lamofc_store.ingest.records.measured import is_measured
from lamofc_store.ingest.records.record_blocks import blocks
from lamofc_store.ingest.request import IngestOptions

if TYPE_CHECKING:
    from lamofc_codecs import Profile


CodedContent = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """Items of one feature, and how they are encoded."""

    items: Sequence[Item]
    profile: "Profile"
    options: IngestOptions


@dataclass(frozen=True, slots=True)
class Failed:
    """A sample left out, the feature that could not be encoded, and why."""

    sample: str
    feature: str
    error: Exception


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """The records of whole samples, and the samples left out."""

    records: Sequence[Encoded] = ()
    failed: Sequence[Failed] = ()

    def with_results(self, results: Iterable[Encoded | Failed]) -> "EncodedBatch":
        """Add records and failures; records that hold an item of a sample that failed are left out."""
        results = list(results)
        failures = {failure.sample: failure for failure in self.failed}
        for result in results:
            if isinstance(result, Failed):
                failures.setdefault(result.sample, result)
        records = [*self.records, *(result for result in results if isinstance(result, Encoded))]
        whole = [record for record in records if not any(item.sample in failures for item in record.items)]
        return EncodedBatch(whole, list(failures.values()))

    def without_record(self, items: Iterable[Item]) -> list[Item]:
        """Return the items of samples that did not fail which are in none of the records."""
        failed = {failure.sample for failure in self.failed}
        encoded = {item.key for record in self.records for item in record.items}
        return [item for item in items if item.sample not in failed and item.key not in encoded]

    def coded_contents(self) -> set[CodedContent]:
        """Return the contents of the records of single features, coded alike."""
        return {
            coded_content(item, record.profile.id, record.quality)
            for record in self.records
            if not record.record.parts
            for item in record.items
        }


def coded_content(item: Item, profile: str, quality: str) -> CodedContent:
    """Equal for equal content that is coded alike."""
    return *item.content, profile, quality


def encode(task: Task) -> Iterator[Encoded | Failed]:
    """Encode in blocks; where one fails, halve the work until the item that cannot be encoded is alone."""
    from lamofc_codecs import CodecError

    measured = is_measured(task.profile, task.options)
    of_records = list(blocks(task.items, task.profile, 1 if measured else task.options.block))
    try:
        encoded = list(_encode_records(of_records, task.profile, task.options))
    except (CodecError, StoreError) as error:
        if len(task.items) == 1:
            yield _fall_back(error, task)
            return
        for items in of_records if len(of_records) > 1 else [[item] for item in task.items]:
            yield from encode(replace(task, items=items))
        return
    yield from encoded


def _fall_back(error: Exception, task: Task) -> Encoded | Failed:
    """Store an item lossless that its codec refused, if the options say so."""
    from lamofc_codecs import LOSSLESS, CodecError, fit

    (item,) = task.items
    if task.options.on_error == "raw":
        (encoded,) = _encode_records([[item]], fit(LOSSLESS, []), task.options)
        return replace(encoded, profile=task.profile)
    if isinstance(error, CodecError):
        error = StoreError(
            f"sample {item.sample!r}, feature {item.feature!r}: {error}",
            error.cure or Hint("give [on_error] skip or raw to go on"),
        )
    return Failed(item.sample, item.feature, error)


def _encode_records(
    of_records: Sequence[Sequence[Item]], profile: "Profile", options: IngestOptions
) -> Iterator[Encoded]:
    """Encode each list of items into a record of its own."""
    from lamofc_codecs import encode as encode_all

    channels, count = profile.config.get("channels"), sum(map(len, of_records))
    for item in (item for items in of_records for item in items):
        if isinstance(channels, int) and item.tokens.shape[1] != channels:
            raise channels_differ(item, channels)
    started = time.perf_counter()
    quality = options.quality if profile.codec == options.codec else None  # raw, in place of a codec that refused
    device = None if options.device in ("auto", "cpu") else options.device
    tensors = [[item.tokens for item in items] for items in of_records]
    records = encode_all(tensors, profile, quality=quality, device=device, **_placed(of_records))
    seconds = (time.perf_counter() - started) / max(1, count)
    for items, record in zip(of_records, records, strict=True):
        yield Encoded(items, record, profile, options.quality_text, seconds)


def _placed(of_records: Sequence[Sequence[Item]]) -> dict[str, Any]:
    """Return the first position and the planes of each record; a block of samples is one plane."""
    planes = [items[0].planes if items[0].sample == items[-1].sample else 1 for items in of_records]
    return {"first_positions": [items[0].first_position for items in of_records], "planes": planes}


def encode_group(group: Sequence[Item], profile: "Profile", options: IngestOptions) -> Encoded:
    """Encode features of one sample into one record; CodecError where they cannot be coded jointly."""
    from lamofc_codecs import encode as encode_all

    started = time.perf_counter()
    tensors = [{item.feature: item.tokens for item in group}]
    (record,) = encode_all(tensors, profile, quality=options.quality, **_placed([group]))
    seconds = (time.perf_counter() - started) / len(group)
    return Encoded(group, record, profile, options.quality_text, seconds)
