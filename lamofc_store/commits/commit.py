"""The content of one commit: rows and segments that it adds or drops, profiles and columns that it brings."""

from dataclasses import asdict, dataclass, field
from typing import Any

from lamofc_store.errors import CorruptStore, NewerFormat
from lamofc_store.storage import Document, paths

FORMAT = 1
SUPPORTED: frozenset[str] = frozenset()
"""Features of the format beyond its first version that this package can read."""


@dataclass(frozen=True, slots=True)
class RowsEntry:
    """A Parquet object of rows."""

    name: str
    """`<ulid>.<table>` for a commit's own rows; the path inside the store for merged rows of a checkpoint."""
    table: str
    count: int
    bytes: int
    crc32c: int
    origins: tuple[tuple[str, int], ...] = ()
    """Merged rows only: the ulid and count of each rows object that went into it."""

    @property
    def is_merged(self) -> bool:
        """Whether a checkpoint merged it from other rows objects, from which it can be made again."""
        return self.name.startswith(f"{paths.CHECKPOINTS}/")

    @property
    def path(self) -> str:
        """Path of the object in the store."""
        return self.name if self.is_merged else paths.rows(self.name)

    @property
    def sources(self) -> tuple[tuple[str, int], ...]:
        """The ulid and count of every rows object that it holds."""
        return self.origins if self.is_merged else ((paths.rows_parts(self.name)[0], self.count),)


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment: its payload and the checksum over its small objects."""

    id: str
    records: int
    bytes: int
    """Record bytes in the payload, without padding and index."""
    crc32c: int
    """Checksum over all objects but the payload, in the order of `segments.SMALL_OBJECTS`."""
    rows: str = ""
    """Name of the rows object with this segment's records, and with no other segment's."""


@dataclass(frozen=True, slots=True)
class ProfileKey:
    """A profile in its use for one feature, or for the features of a group."""

    id: str
    feature: str

    def __str__(self) -> str:
        return f"{self.id} {self.feature}"


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """A profile and the feature, codec and quality that it was fitted for."""

    id: str
    codec: str
    feature: str
    quality: str
    bytes: int

    @property
    def key(self) -> ProfileKey:
        """The key under which a snapshot lists it."""
        return ProfileKey(self.id, self.feature)


@dataclass(frozen=True, slots=True)
class Change:
    """The change that a verb makes to a snapshot; `log.publish` writes it as a numbered commit."""

    verb: str
    adds: tuple[RowsEntry, ...] = ()
    segments: tuple[SegmentEntry, ...] = ()
    drops: tuple[str, ...] = ()
    """Names `<ulid>.<table>` of rows objects and ids of segments that are no longer part of the state."""
    profiles: tuple[ProfileEntry, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    """Sample columns that are new or wider: name and Arrow type."""
    expires: int | None = None
    """Snapshots before this commit expire."""
    note: Document = field(default_factory=dict)
    """For people and `lamofc log`: fingerprint of the ingest, counts."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A published change."""

    n: int
    previous: int | None
    """crc32c of the bytes of commit n - 1."""
    writer: str
    time: str
    change: Change

    def to_body(self) -> Document:
        """Build the body of the commit's document."""
        change = asdict(self.change)
        body = {
            "format": FORMAT,
            "requires": [],
            "n": self.n,
            "previous": self.previous,
            "writer": self.writer,
            "time": self.time,
        }
        return {**body, **change}


def from_body(body: Document, name: str) -> Commit:
    """Build the commit from a document's body; NewerFormat where it needs a later version of this package."""
    refuse_newer(body, name)
    try:
        change = Change(
            verb=str(body["verb"]),
            adds=tuple(rows_entry(entry) for entry in body["adds"]),
            segments=tuple(SegmentEntry(**entry) for entry in body["segments"]),
            drops=tuple(str(entry) for entry in body["drops"]),
            profiles=tuple(ProfileEntry(**entry) for entry in body["profiles"]),
            columns=tuple((str(column), str(data_type)) for column, data_type in body["columns"]),
            expires=body["expires"],
            note=dict(body["note"]),
        )
        return Commit(int(body["n"]), body["previous"], str(body["writer"]), str(body["time"]), change)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptStore(
            f"{name} is no commit of format {FORMAT}: {error!r}", "lamofc verify names all that is damaged"
        ) from error


def rows_entry(entry: Any) -> RowsEntry:
    """Build a rows entry from its JSON form."""
    origins = tuple((str(origin), int(count)) for origin, count in entry.get("origins", ()))
    return RowsEntry(
        str(entry["name"]), str(entry["table"]), int(entry["count"]), int(entry["bytes"]), int(entry["crc32c"]), origins
    )


def refuse_newer(body: Document, name: str) -> None:
    """Raise NewerFormat, before anything is misread, for an object of a later format."""
    requires = body.get("requires", [])
    unknown = sorted({str(feature) for feature in (requires if isinstance(requires, list) else [requires])} - SUPPORTED)
    if body.get("format") != FORMAT or unknown:
        needs = f"format {body.get('format')!r}" + (f" with {', '.join(unknown)}" if unknown else "")
        raise NewerFormat(
            f"{name} needs {needs}; this version reads format {FORMAT}", "pip install --upgrade lamofc-store"
        )
