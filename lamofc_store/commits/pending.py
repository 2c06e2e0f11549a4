"""A segment that is written and not yet committed."""

from dataclasses import dataclass

from lamofc_store.commits.commit import ProfileEntry, RowsEntry, SegmentEntry


@dataclass(frozen=True, slots=True)
class Segment:
    """Written and waiting for its commit; may be pickled and committed by another process."""

    entry: SegmentEntry | None
    """None when nothing but skipped samples is told."""
    rows: tuple[RowsEntry, ...]
    profiles: tuple[ProfileEntry, ...]
    columns: tuple[tuple[str, str], ...]
    samples: int
    written: float
    """By the storage's clock; what waits too long may be collected."""
