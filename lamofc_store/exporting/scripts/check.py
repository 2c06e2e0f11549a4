"""Whether a script reads the files of an export: the tensors that it needs, their shapes and dtypes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lamofc_store.errors import BadArgument, Hint
from lamofc_store.exporting.scripts.registry import SCRIPTS
from lamofc_store.exporting.scripts.script import Reading, Script

_SHOWN_NAMES = 8

Rows = Mapping[str, Mapping[str, Any]]
"""Shape and dtype of each feature of a sample."""


@dataclass
class FileCheck:
    """The check of one export: one run of the script must be able to read all files that were added."""

    script: Script
    _runs: dict[bool, tuple[frozenset[str], ...]] = field(default_factory=dict)
    """Sets of features that all files so far have, of those with figures and of those without."""

    def add(self, sample: str, rows: Rows, *, measured: bool) -> None:
        """Check the file of a sample; BadArgument where the script does not read it."""
        possible = [need for need in self.script.needs_in(measured) if need <= rows.keys()]
        if not possible:
            raise self._missing(sample, rows, measured)
        self._check_tensors(sample, rows)
        before = self._runs.get(measured, self.script.needs_in(measured))
        self._runs[measured] = tuple(need for need in before if need in possible)
        if not self._runs[measured]:
            raise BadArgument(
                f"{self.script.name} reads the same features of all samples; sample {sample[:120]!r} has"
                f" {self._listed(rows)}, others have {self._listed(set[str]().union(*before))}",
                Hint("choose samples with the same ones by [where], or features by [features]"),
            )

    def _missing(self, sample: str, rows: Rows, measured: bool) -> BadArgument:
        needs = self.script.needs_in(measured)
        nearest = min(needs, key=lambda need: len(need - rows.keys()) / len(need))
        lacking = nearest - rows.keys()
        every = " or ".join(self._listed(need) for need in needs)
        shown = self._listed(lacking) if len(lacking) < len(nearest) else "all of these"
        told = " beside measured figures" if measured and self.script.measured_needs else ""
        return BadArgument(
            f"{self.script.name} reads {every}{told}; sample {sample[:120]!r} lacks {shown}",
            self._cure(rows, measured),
        )

    def _cure(self, rows: Rows, measured: bool) -> Hint:
        """Name what mends missing features: another script that reads these, or a new extraction."""
        if measured and any(need <= rows.keys() for need in self.script.needs):
            return Hint("leave out [measured], or export all of these features")
        fitting = [name for name, script in SCRIPTS.items() if _fits(script, rows)]
        if fitting:
            return Hint(f"give [script] {' or '.join(fitting)}, or leave out samples of other models by [where]")
        blocks = " ".join(map(str, self.script.blocks))
        extract = f"extract the model's blocks {blocks}, " if blocks else "extract all of them, "
        return Hint(f"{extract}and leave out [features]")

    def _check_tensors(self, sample: str, rows: Rows) -> None:
        """Refuse shapes that the script does not read, and dtypes that its model does not take."""
        lengths: dict[str, int] = {}
        for reading in self.script.readings:
            row = rows.get(reading.feature)
            if row is None:
                continue
            where = f"sample {sample[:120]!r}, feature {reading.feature!r}"
            shape = [int(length) for length in row["shape"]]
            if not _has_axes(reading, shape, lengths):
                raise BadArgument(
                    f"{where} has the shape {_product(shape)}, {self.script.name} reads"
                    f" {_product(reading.axes.split())}{_bound(reading, lengths)}",
                    self._cure_of_shape(rows),
                )
            self._check_dtype(where, row["dtype"])

    def _cure_of_shape(self, rows: Rows) -> Hint:
        """Name the extraction that gives such shapes, and scripts that read these."""
        fitting = [name for name, script in SCRIPTS.items() if _fits(script, rows)]
        other = f", or give [script] {' or '.join(fitting)}" if fitting else ""
        return Hint(f"extract for {self.script.name}, leave the sample out by [where]{other}")

    def _check_dtype(self, where: str, dtype: str) -> None:
        wanted = self.script.dtype
        if dtype == wanted or (wanted is None and dtype in ("float16", "bfloat16", "float32", "float64")):
            return
        raise BadArgument(
            f"{where} is of {dtype}, {self.script.name} reads {wanted or 'floating numbers'}",
            "store it in that dtype: run the model in it, or convert the source's files",
        )

    def _listed(self, names: Collection[str]) -> str:
        """List features that the script reads, in its order."""
        shown = [name for name in self.script.features if name in names]
        more = f" and {len(shown) - _SHOWN_NAMES} more" if len(shown) > _SHOWN_NAMES else ""
        return f"{', '.join(shown[:_SHOWN_NAMES])}{more}"


def _fits(script: Script, rows: Rows) -> bool:
    lengths: dict[str, int] = {}
    return any(need <= rows.keys() for need in script.needs) and all(
        _has_axes(reading, rows[reading.feature]["shape"], lengths)
        for reading in script.readings
        if reading.feature in rows
    )


def _has_axes(reading: Reading, shape: Sequence[int], lengths: dict[str, int]) -> bool:
    """Whether a shape has the axes of a reading; binds the letters of axes that are free so far."""
    axes = reading.axes.split()
    if len(axes) != len(shape):
        return False
    for axis, length in zip(axes, shape, strict=True):
        wanted = int(axis) if axis.isdecimal() else length if axis == "*" else lengths.setdefault(axis, length)
        if length != wanted or not length:
            return False
    return True


def _bound(reading: Reading, lengths: Mapping[str, int]) -> str:
    """Show the lengths that other features of the sample gave to letters."""
    known = [f"{axis} = {lengths[axis]}" for axis in reading.axes.split() if axis in lengths]
    return f" with {', '.join(known)}" if known else ""


def _product(axes: Sequence[int | str]) -> str:
    return " x ".join(map(str, axes))
