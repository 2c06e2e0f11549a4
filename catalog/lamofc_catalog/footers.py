"""Footers of rows files, cached until the file changes: the schema, and which samples each block may hold."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lamofc_catalog.errors import CatalogError

_ABOVE_ALL_IDS = b"\xff" * 8
"""A bound above every id: the byte 0xff occurs in no UTF-8 text."""


class Footer:
    """One rows file: its metadata, bounds of the samples in each block, and hashes of their ids, read when needed."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.metadata: pq.FileMetaData = pq.read_metadata(path, memory_map=True)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from error
        self.schema: pa.Schema = self.metadata.schema.to_arrow_schema().remove_metadata()
        self._bounds: tuple[list[bytes], list[bytes]] | None = None
        self._hashes: dict[int, npt.NDArray[np.int64]] = {}

    @property
    def bounds(self) -> tuple[list[bytes], list[bytes]]:
        """Lower and upper bounds of each block's (row group's) samples, as UTF-8 bytes, both in order."""
        if self._bounds is None:
            self._bounds = self._read_bounds()
        return self._bounds

    def _read_bounds(self) -> tuple[list[bytes], list[bytes]]:
        column = self.schema.get_field_index("sample")
        low: list[bytes] = []
        high: list[bytes] = []
        for group in range(self.metadata.num_row_groups):
            statistics = self.metadata.row_group(group).column(column).statistics
            bounded = statistics is not None and statistics.has_min_max
            # Writers omit the bounds of very long ids, or shorten them outwards, so a bound need not be an id.
            low.append(statistics.min_raw if bounded else (low[-1] if low else b""))
            high.append(statistics.max_raw if bounded else _ABOVE_ALL_IDS)
        for group in range(len(high) - 2, -1, -1):
            high[group] = min(high[group], high[group + 1])
        return low, high

    def candidates(self, samples: Sequence[bytes]) -> list[int]:
        """List the blocks whose bounds include any of `samples` (in byte order)."""
        low, high = self.bounds
        if not low:
            return []
        first, last = bisect_left(samples, low[0]), bisect_right(samples, high[-1])
        if last - first < len(low):
            blocks: dict[int, None] = {}
            for sample in samples[first:last]:
                start, stop = bisect_left(high, sample), bisect_right(low, sample)
                blocks |= dict.fromkeys(range(start, stop))
            return list(blocks)
        return [
            group for group in range(len(low)) if bisect_left(samples, low[group]) < bisect_right(samples, high[group])
        ]

    def may_hold(self, group: int, hashes: npt.NDArray[np.int64]) -> bool:
        """Return whether a block may hold a sample with one of these hashes (`hash` of the ids, sorted).

        False is certain; True may be a collision.
        """
        of_block = self._hashes.get(group)
        if of_block is None:
            names = pc.unique(self.read(group, ["sample"])["sample"]).to_pylist()
            of_block = np.sort(np.fromiter(map(hash, names), np.int64, len(names)))
            self._hashes[group] = of_block
        fewer, more = (hashes, of_block) if len(hashes) < len(of_block) else (of_block, hashes)
        places = np.minimum(np.searchsorted(more, fewer), len(more) - 1)
        return bool(np.any(more[places] == fewer))

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Read columns of one block. The file is opened for the call only, so that no handle crosses a fork."""
        texts = [name for name in columns if self.schema.field(name).type == pa.string() and name != "sample"]
        try:
            with pq.ParquetFile(
                self.path, metadata=self.metadata, memory_map=True, pre_buffer=False, read_dictionary=texts
            ) as file:
                return file.read_row_group(group, columns=list(columns), use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self.path, error) from error


def footer(path: str) -> Footer:
    """Return the footer of the rows file at `path`, from memory if the file is unchanged."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return _footer(path, status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache(maxsize=4096)
def _footer(path: str, modified_ns: int, size: int, inode: int) -> Footer:
    return Footer(path)


def _unreadable(path: str, error: Exception) -> CatalogError:
    return CatalogError(
        f"the rows file {path} cannot be read: {error}",
        "it may have been removed meanwhile: refresh the store; if it is there, verify the store",
    )
