"""A segment: an immutable Zarr group of records, laid end to end, feature by feature."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lamofc_store.commits import SegmentEntry
from lamofc_store.storage import Storage, crc32c, new_ulid, paths, zarr_metadata

SMALL = (
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

_COPY = 1 << 22


@dataclass(frozen=True, slots=True)
class Stream:
    """Records of one feature that share a pattern and a profile."""

    feature: str
    pattern: str
    profile: str
    several: bool = False
    """Whether each record holds several samples; its id is then theirs as a JSON list."""

    @classmethod
    def of(cls, features: Iterable[str], patterns: Iterable[str], profile: str, samples: Sequence[str]) -> "Stream":
        """That of a record of some features of some samples."""
        named = "+".join(dict.fromkeys(features)), "; ".join(dict.fromkeys(patterns))
        return cls(*named, profile, len(samples) > 1)


@dataclass(slots=True)
class _Spool:
    """A stream's records so far, in a file."""

    file: Path
    out: BinaryIO
    lengths: list[int] = field(default_factory=list)
    ids: list[list[str]] = field(default_factory=list)
    """The samples of each record."""

    def named(self, stream: Stream) -> tuple[list[str], bool]:
        """What each record is called, and whether that is a list of samples, as JSON."""
        several = stream.several or any(len(samples) > 1 for samples in self.ids)
        if not several:
            return [samples[0] for samples in self.ids], False
        return [json.dumps(samples, ensure_ascii=False) for samples in self.ids], True


class SegmentWriter:
    """Takes records in any order of features; `close` lays them out and writes the group."""

    def __init__(self, storage: Storage) -> None:
        self.id = new_ulid()
        self.bytes = 0
        self.records = 0
        self._storage = storage
        self._spools: dict[Stream, _Spool] = {}

    def add(self, stream: Stream, samples: Sequence[str], record: bytes | memoryview) -> tuple[Stream, int]:
        """Append one record; returns its place, which `close` turns into a number and a range."""
        spool = self._spools.get(stream)
        if spool is None:
            file = self._storage.workplace() / f"{self.id}.{len(self._spools)}"
            spool = self._spools[stream] = _Spool(file, file.open("xb"))
        spool.out.write(record)
        spool.lengths.append(len(record))
        spool.ids.append(list(samples))
        self.bytes += len(record)
        self.records += 1
        return stream, len(spool.ids) - 1

    def length(self, place: tuple[Stream, int]) -> int:
        """Bytes of a record."""
        return self._spools[place[0]].lengths[place[1]]

    def share(self, place: tuple[Stream, int], sample: str) -> None:
        """One more sample whose feature is the record at that place, or is in it."""
        self._spools[place[0]].ids[place[1]].append(sample)

    def close(self) -> "Layout":
        """Write everything to the storage; nothing points at it yet."""
        for spool in self._spools.values():
            spool.out.close()
        lengths = [length for spool in self._spools.values() for length in spool.lengths]
        layout = Layout(_firsts(self._spools), np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), self.id, None)
        payload = self._assembled()
        small = _small(layout, self._spools)
        self._storage.write(paths.payload(self.id), payload)
        for name, data in small.items():
            self._storage.write(paths.segment(self.id, name), data)
        layout.entry = SegmentEntry(self.id, self.records, self.bytes, small_crc(list(small.values())))
        return layout

    def abandon(self) -> None:
        """Let go of what was spooled; the storage clears the files."""
        for spool in self._spools.values():
            spool.out.close()

    def _assembled(self) -> Path:
        """The payload as one file: the streams' records, padding, the shard's index."""
        target = self._storage.workplace() / f"{self.id}.payload"
        with target.open("xb") as out:
            for spool in self._spools.values():
                with spool.file.open("rb") as source:
                    while block := source.read(_COPY):
                        out.write(block)
                spool.file.unlink()
            out.write(bytes(zarr_metadata.padded(self.bytes) - self.bytes))
            out.write(zarr_metadata.shard_index(self.bytes))
        return target


@dataclass(slots=True)
class Layout:
    """Where each record of a closed segment lies."""

    firsts: dict[Stream, int]
    offsets: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    id: str
    entry: SegmentEntry | None

    def place(self, at: tuple[Stream, int]) -> tuple[int, int, int]:
        """Number, offset and length of a record that `add` took."""
        number = self.firsts[at[0]] + at[1]
        start = int(self.offsets[number])
        return number, start, int(self.offsets[number + 1]) - start


def _firsts(spools: dict[Stream, _Spool]) -> dict[Stream, int]:
    firsts, total = {}, 0
    for stream, spool in spools.items():
        firsts[stream] = total
        total += len(spool.ids)
    return firsts


def _small(layout: Layout, spools: dict[Stream, _Spool]) -> dict[str, bytes]:
    """All objects but the payload, in the order of `SMALL`."""
    named = {stream: spool.named(stream) for stream, spool in spools.items()}
    encoded = [name.encode() for ids, _ in named.values() for name in ids]
    id_bytes = b"".join(encoded)
    id_offsets = np.concatenate([[0], np.cumsum([len(name) for name in encoded])]).astype("<u8")
    streams = [
        {
            "feature": s.feature,
            "pattern": s.pattern,
            "profile": s.profile,
            "first": layout.firsts[s],
            "count": len(ids),
            **({"several": True} if several else {}),
        }
        for s, (ids, several) in named.items()
    ]
    contents = (
        zarr_metadata.payload(int(layout.offsets[-1])),
        zarr_metadata.array(len(layout.offsets), "uint64"),
        zarr_metadata.with_crc(layout.offsets.astype("<u8").tobytes()),
        zarr_metadata.array(len(id_bytes), "uint8"),
        zarr_metadata.with_crc(id_bytes),
        zarr_metadata.array(len(id_offsets), "uint64"),
        zarr_metadata.with_crc(id_offsets.tobytes()),
        zarr_metadata.group({"format": 1, "streams": streams}),
    )
    return dict(zip(SMALL, contents, strict=True))


def small_crc(contents: Sequence[bytes]) -> int:
    """The checksum that a commit keeps of a segment's small objects."""
    return crc32c(b"".join(contents))
