"""Positional deletes: the rows of a table that were forgotten or replaced."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lamofc_catalog.schemas import TOMBSTONES, conform


class Tombstones:
    """The deleted rows of one table, by origin."""

    def __init__(self, gone: pa.Table, table: str) -> None:
        rows = conform(gone, TOMBSTONES, "gone")
        rows = rows.filter(pc.equal(rows["table"], table))
        self.positions: pa.Table = rows.select(["origin", "row"])
        """All deleted positions of the table: origin, row; one may occur more than once."""
        self._rows: dict[str, npt.NDArray[np.int64]] = {}
        if rows.num_rows:
            origins = rows["origin"].combine_chunks().dictionary_encode()
            numbers = rows["row"].to_numpy()
            codes = origins.indices.to_numpy()
            order = np.lexsort((numbers, codes))
            bounds = np.searchsorted(codes[order], np.arange(len(origins.dictionary) + 1))
            for code, origin in enumerate(origins.dictionary.to_pylist()):
                self._rows[origin] = numbers[order[bounds[code] : bounds[code + 1]]]

    def __len__(self) -> int:
        return int(self.positions.num_rows)

    def drop_from(self, rows: pa.Table) -> pa.Table:
        """Return the live ones of `rows`, which have the columns origin and row."""
        if not self._rows or rows.num_rows == 0:
            return rows
        origins = rows["origin"].combine_chunks()
        if not pa.types.is_dictionary(origins.type):
            origins = origins.dictionary_encode()
        codes, numbers = origins.indices.to_numpy(zero_copy_only=False), rows["row"].to_numpy()
        live = np.ones(rows.num_rows, bool)
        for code, origin in enumerate(origins.dictionary.to_pylist()):
            deleted = self._rows.get(origin)
            if deleted is not None:
                of_origin = np.flatnonzero(codes == code)
                live[of_origin] = ~_is_in(numbers[of_origin], deleted)
        return rows if live.all() else rows.filter(pa.array(live))


def _is_in(values: npt.NDArray[np.int64], ordered: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    equal: npt.NDArray[np.bool_] = ordered[places] == values
    return equal
