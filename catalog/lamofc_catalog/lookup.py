"""Rows by sample id, straight from Parquet. Bounds and hashes leave few blocks, and only these are decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamofc_catalog.footers import Footer
from lamofc_catalog.tombstones import Tombstones

SCAN_FROM_BLOCKS = 64
"""Where a lookup has more candidate blocks than this, DuckDB's scan on all cores takes less time."""


def candidates(files: Sequence[Footer], samples: Sequence[str]) -> list[tuple[Footer, int]]:
    """List the blocks (file, row group) that may hold rows of `samples`, by their bounds."""
    ordered = sorted({sample.encode() for sample in samples})
    return [(file, group) for file in files for group in file.candidates(ordered)]


def read(
    blocks: Sequence[tuple[Footer, int]], samples: Sequence[str], columns: Sequence[str], tombstones: Tombstones
) -> Iterator[pa.Table]:
    """Yield the live stored rows of `samples` in these blocks, with `columns` (sample and position among them)."""
    ids = pa.array(sorted(set(samples)), pa.string())
    hashes = np.sort(np.fromiter(map(hash, set(samples)), np.int64))
    for file, group in blocks:
        if not file.may_hold(group, hashes):
            continue
        block = file.read(group, [name for name in columns if name in file.schema.names])
        rows = tombstones.drop_from(block.filter(pc.is_in(block["sample"], value_set=ids)))
        if rows.num_rows:
            yield rows
