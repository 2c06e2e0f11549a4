"""The counts of an ingest: while it runs, and when it is done."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FitProgress:
    """How far a fit is."""

    name: str
    """The feature, or the joined names of a group."""
    share: float
    """Share of its work that is done, by estimate."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is."""

    samples: int
    total: int | None
    """None where the source does not know its length."""
    raw_bytes: int
    stored_bytes: int
    fit: FitProgress | None = None
    """The fit of a profile that goes on, during which no sample is stored."""


@dataclass(slots=True)
class Report:
    """The result of an ingest."""

    samples: int = 0
    """Samples stored, in whole or in part."""
    records: int = 0
    """Features of samples that were stored; small ones, and those of a group, share a record."""
    shared: int = 0
    """Features among them that equal an earlier one and point at its bytes."""
    shared_bytes: int = 0
    """Bytes that sharing saved."""
    already: int = 0
    """Features passed over, because the store holds them with the same fingerprint."""
    skipped: int = 0
    """Samples left out because of an error."""
    unmatched: int = 0
    """Samples for which the table of columns has no row."""
    raw_bytes: int = 0
    """Bytes of the stored features as their source gave them."""
    stored_bytes: int = 0
    """Bytes of the records written for them."""
    seconds: float = 0.0
    commits: list[int] = field(default_factory=list)
    profiles: dict[str, str] = field(default_factory=dict)
    """Profile id by feature, or by the joined names of a group."""
    warnings: list[str] = field(default_factory=list)
    """Reasons to look again at what was stored: profiles that do not fit, samples without columns."""

    def to_json(self) -> dict[str, Any]:
        """Return the counts as a JSON-able mapping."""
        return asdict(self)
