"""Writing a segment: an immutable Zarr group of records, which lie end to end, stream by stream."""

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from lamofc_store.commits import SegmentEntry
from lamofc_store.storage import Storage, crc32c, new_ulid, paths, translate_disk_errors, zarr_metadata

SMALL_OBJECTS = (
    "payload/zarr.json",
    "offsets/zarr.json",
    "offsets/c/0",
    "ids/zarr.json",
    "ids/c/0",
    "ids_offsets/zarr.json",
    "ids_offsets/c/0",
    "zarr.json",
)
"""A segment's objects besides its payload, in the order of writing; the group's own document comes last."""

_COPY_BYTES = 1 << 22
"""Bytes that are copied at a time from a spool to the end of the payload."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Records of one feature, or of features that are coded together, with one profile."""

    features: tuple[str, ...]
    patterns: tuple[str, ...]
    """Each pattern of the features once."""
    profile: str
    several: bool = False
    """Whether each record holds several samples; its id is then theirs as a JSON list."""

    @classmethod
    def of(cls, features: Iterable[str], patterns: Iterable[str], profile: str, samples: Sequence[str]) -> "Stream":
        """Select the stream of a record, by the features and samples that it holds."""
        return cls(tuple(dict.fromkeys(features)), tuple(dict.fromkeys(patterns)), profile, len(samples) > 1)

    def to_json(self, first: int, count: int, several: bool) -> dict[str, object]:
        """Build the stream's entry in the attributes of the group."""
        entry: dict[str, object] = {
            "feature": "+".join(self.features),
            "pattern": "; ".join(self.patterns),
            "profile": self.profile,
            "first": first,
            "count": count,
        }
        return {**entry, "several": True} if several else entry


class Slot(NamedTuple):
    """A record of an open segment: its stream, and its number in that stream."""

    stream: Stream
    number: int


@dataclass(slots=True)
class _Spool:
    """A stream's records so far, in a file."""

    file: Path
    out: BinaryIO
    lengths: list[int] = field(default_factory=list)
    samples: list[list[str]] = field(default_factory=list)
    """The samples of each record."""

    def ids(self, stream: Stream) -> tuple[list[str], bool]:
        """The id of each record, and whether ids are JSON lists of samples."""
        several = stream.several or any(len(samples) > 1 for samples in self.samples)
        if not several:
            return [samples[0] for samples in self.samples], False
        return [json.dumps(samples, ensure_ascii=False) for samples in self.samples], True


class SegmentWriter:
    """An open segment: takes records of any features in any order; `close` lays them out and writes the group."""

    def __init__(self, storage: Storage) -> None:
        self.id = new_ulid()
        self.bytes = 0
        self.records = 0
        self._storage = storage
        self._spools: dict[Stream, _Spool] = {}

    def add(self, stream: Stream, samples: Sequence[str], record: bytes | memoryview) -> Slot:
        """Append one record; the layout that `close` returns locates its slot."""
        spool = self._spools.get(stream)
        if spool is None:
            file = self._storage.scratch_dir() / f"{self.id}.{len(self._spools)}"
            spool = self._spools[stream] = _Spool(file, file.open("xb"))
        with translate_disk_errors(spool.file):
            spool.out.write(record)
        spool.lengths.append(len(record))
        spool.samples.append(list(samples))
        self.bytes += len(record)
        self.records += 1
        return Slot(stream, len(spool.samples) - 1)

    def length(self, slot: Slot) -> int:
        """Length of a record in bytes."""
        return self._spools[slot.stream].lengths[slot.number]

    def share(self, slot: Slot, sample: str) -> None:
        """Add a sample to a record that holds its feature."""
        self._spools[slot.stream].samples[slot.number].append(sample)

    def close(self) -> "SegmentLayout":
        """Write all objects to the storage; no commit names them yet."""
        for spool in self._spools.values():
            with translate_disk_errors(spool.file):
                spool.out.close()
        lengths = [length for spool in self._spools.values() for length in spool.lengths]
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        layout = SegmentLayout(_first_records(self._spools), offsets, self.id, None)
        payload = self._assemble()
        small_objects = _small_objects(layout, self._spools)
        self._storage.write(paths.payload(self.id), payload)
        for name, data in small_objects.items():
            self._storage.write(paths.segment(self.id, name), data)
        checksum = small_objects_crc(list(small_objects.values()))
        layout.entry = SegmentEntry(self.id, self.records, self.bytes, checksum)
        return layout

    def abandon(self) -> None:
        """Remove the spools without writing a segment."""
        for spool in self._spools.values():
            with contextlib.suppress(OSError):  # a full disk, which is why the segment is abandoned
                spool.out.close()
            spool.file.unlink(missing_ok=True)
        self._payload_file().unlink(missing_ok=True)

    def _payload_file(self) -> Path:
        """The file in which the payload is put together."""
        return self._storage.scratch_dir() / f"{self.id}.payload"

    def _assemble(self) -> Path:
        """Write the payload to one file: the streams' records, padding, the shard's index.

        The spool of the first stream becomes the payload, so that a byte of a single stream is written once.
        """
        target = self._payload_file()
        first, *others = (spool.file for spool in self._spools.values())
        with translate_disk_errors(target):
            first.replace(target)
            with target.open("ab") as out:
                for spool in others:
                    with spool.open("rb") as source:
                        while block := source.read(_COPY_BYTES):
                            out.write(block)
                    spool.unlink()
                out.write(bytes(zarr_metadata.padded_length(self.bytes) - self.bytes))
                out.write(zarr_metadata.shard_index(self.bytes))
        return target


@dataclass(slots=True)
class SegmentLayout:
    """Position of every record of a closed segment."""

    first_records: dict[Stream, int]
    """Number of each stream's first record."""
    offsets: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    id: str
    entry: SegmentEntry | None

    def locate(self, slot: Slot) -> tuple[int, int, int]:
        """Find number, offset and length of a record."""
        number = self.first_records[slot.stream] + slot.number
        start = int(self.offsets[number])
        return number, start, int(self.offsets[number + 1]) - start


def _first_records(spools: dict[Stream, _Spool]) -> dict[Stream, int]:
    first_records, total = {}, 0
    for stream, spool in spools.items():
        first_records[stream] = total
        total += len(spool.samples)
    return first_records


def _small_objects(layout: SegmentLayout, spools: dict[Stream, _Spool]) -> dict[str, bytes]:
    """Content of all objects but the payload, in the order of `SMALL_OBJECTS`."""
    ids = {stream: spool.ids(stream) for stream, spool in spools.items()}
    encoded = [identity.encode() for identities, _ in ids.values() for identity in identities]
    id_bytes = b"".join(encoded)
    id_offsets = np.concatenate([[0], np.cumsum([len(identity) for identity in encoded])]).astype("<u8")
    streams = [
        stream.to_json(layout.first_records[stream], len(identities), several)
        for stream, (identities, several) in ids.items()
    ]
    contents = (
        zarr_metadata.payload(int(layout.offsets[-1])),
        zarr_metadata.array(len(layout.offsets), "uint64"),
        zarr_metadata.append_crc(layout.offsets.astype("<u8").tobytes()),
        zarr_metadata.array(len(id_bytes), "uint8"),
        zarr_metadata.append_crc(id_bytes),
        zarr_metadata.array(len(id_offsets), "uint64"),
        zarr_metadata.append_crc(id_offsets.tobytes()),
        zarr_metadata.group({"format": 1, "streams": streams}),
    )
    return dict(zip(SMALL_OBJECTS, contents, strict=True))


def small_objects_crc(contents: Sequence[bytes]) -> int:
    """Compute the checksum that a commit keeps of a segment's small objects."""
    return crc32c(b"".join(contents))
