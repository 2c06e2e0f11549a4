"""A segment that is written and not yet committed."""

from dataclasses import dataclass

from lamofc_store.commits.commit import ProfileEntry, RowsEntry, SegmentEntry


@dataclass(frozen=True, slots=True)
class Segment:
    """A written segment that waits for its commit. It may be pickled and committed by another process."""

    entry: SegmentEntry | None
    """None where all samples were skipped: there are rows, and no records."""
    rows: tuple[RowsEntry, ...]
    profiles: tuple[ProfileEntry, ...]
    columns: tuple[tuple[str, str], ...]
    """Name and Arrow type of the sample columns in its rows."""
    samples: int
    written: float
    """Time of writing by the storage's clock; garbage collection deletes what stays uncommitted for too long."""
