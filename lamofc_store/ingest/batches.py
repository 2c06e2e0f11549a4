"""Batches of samples with their items, of 64 MB or 4096 samples; files are read while the batch before is coded."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

from lamofc_store.errors import StoreError
from lamofc_store.ingest.items import Item, items_of
from lamofc_store.ingest.records import Failed
from lamofc_store.ingest.request import IngestRequest, attempts
from lamofc_store.sample import Sample
from lamofc_store.sources import UnreadableSample, may_be_read_ahead

BATCH_BYTES = 64 << 20
"""Bytes of features that are encoded at a time."""
BATCH_SAMPLES = 4096
_MAX_HELD_BYTES = 2 * BATCH_BYTES
"""Bytes of a batch above which the next one is not read beside it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples that are encoded together."""

    samples: list[tuple[Sample, list[Item]]] = field(default_factory=list)
    """Each with its items."""
    failed: list[tuple[Failed, str]] = field(default_factory=list)
    """Samples among them that cannot be stored, with the files that they should have come from."""

    @property
    def raw_bytes(self) -> int:
        """Bytes of all features."""
        return sum(item.raw_bytes for _, items in self.samples for item in items)


def read_batches(request: IngestRequest) -> Generator[Batch, None, None]:
    """Read a source in batches: one ahead of the one that the caller works on, where another thread may read it."""
    stopped = Event()
    batches = _batches(request, stopped)
    return _one_ahead(batches, stopped) if may_be_read_ahead(request.source) else batches


def _batches(request: IngestRequest, stopped: Event) -> Generator[Batch, None, None]:
    """Read batches until nobody wants more."""
    batch, size = Batch(), 0
    close_bytes = min(BATCH_BYTES, request.options.segment_bytes)
    for sample in attempts(request.source, request.options):
        if stopped.is_set():
            return
        if isinstance(sample, UnreadableSample):
            batch.failed.append((Failed(sample.id, "", sample.error), sample.source))
        else:
            joined = sample if request.columns is None else request.columns.join(sample)
            try:
                items = list(items_of(joined, request.options))
            except StoreError as error:
                batch.failed.append((Failed(sample.id, "", error), ""))
            else:
                batch.samples.append((joined, items))
                size += sum(item.raw_bytes for item in items)
        if batch.failed and request.options.on_error == "stop":
            break
        if size >= close_bytes or len(batch.samples) + len(batch.failed) >= BATCH_SAMPLES:
            yield batch
            batch, size = Batch(), 0
    if batch.samples or batch.failed:
        yield batch


def _one_ahead(batches: Iterator[Batch], stopped: Event) -> Generator[Batch, None, None]:
    """Read the next batch on another thread while the caller has one, unless that is huge."""
    with ThreadPoolExecutor(1, "lamofc-read") as reader:
        try:
            coming = reader.submit(next, batches, None)
            while (batch := coming.result()) is not None:
                if batch.raw_bytes <= _MAX_HELD_BYTES:
                    coming = reader.submit(next, batches, None)
                    yield batch
                else:
                    yield batch
                    coming = reader.submit(next, batches, None)
        finally:
            stopped.set()  # or the thread would read its batch to the end
