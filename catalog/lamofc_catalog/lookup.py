"""Rows by sample id, straight from Parquet: bounds and hashes leave few blocks, and only these are decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamofc_catalog.footers import Footer
from lamofc_catalog.gone import Gone

MANY = 64
"""From this many blocks on, DuckDB's scan on all cores is the shorter way."""


def candidates(files: Sequence[Footer], samples: Sequence[str]) -> list[tuple[Footer, int]]:
    """The blocks (file, row group) that may hold rows of `samples`, by their bounds."""
    ordered = sorted({sample.encode() for sample in samples})
    return [(file, group) for file in files for group in file.candidates(ordered)]


def read(
    places: Sequence[tuple[Footer, int]], samples: Sequence[str], columns: Sequence[str], dead: Gone
) -> Iterator[pa.Table]:
    """The live stored rows of `samples` in these blocks, with `columns` (sample and position among them)."""
    wanted = pa.array(sorted(set(samples)), pa.string())
    hashes = np.sort(np.fromiter(map(hash, set(samples)), np.int64))
    for file, group in places:
        if not file.may_hold(group, hashes):
            continue
        block = file.read(group, [name for name in columns if name in file.schema.names])
        rows = dead.drop_from(block.filter(pc.is_in(block["sample"], value_set=wanted)))
        if rows.num_rows:
            yield rows
