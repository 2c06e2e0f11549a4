"""Run a plan: measure the parts that can be measured, keep each as it is finished, and fill the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lamofc_codecs import CodecError
from lamofc_store import config_text
from lamofc_store.errors import StoreError
from lamofc_tools.reproduction.parts import (
    LOSSLESS,
    Block,
    Figures,
    Inputs,
    Label,
    Missing,
    Part,
    Plan,
    finished_parts,
    is_point,
    log_part,
    open_runs,
)

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class FilledRow:
    """A row with its numbers and those that the paper prints, by heading."""

    labels: tuple[Label, ...]
    numbers: dict[str, float | None]
    printed: dict[str, Label]
    in_curve: bool
    """Whether all records behind the numbers are coded by the row's codec."""


@dataclass(frozen=True)
class FilledBlock:
    """A block with its numbers."""

    title: str
    labels: tuple[str, ...]
    figures: tuple[str, ...]
    rows: tuple[FilledRow, ...]


@dataclass(frozen=True)
class Failure:
    """A part that could not be measured although its inputs are there."""

    part: str
    error: str
    cure: str


@dataclass(frozen=True)
class Reproduction:
    """A table as far as it could be made, and what is missing for the rest."""

    title: str
    note: str
    parts: int
    measured: dict[Part, Figures]
    missing: tuple[Missing, ...]
    failed: tuple[Failure, ...]
    warnings: tuple[str, ...]
    blocks: tuple[FilledBlock, ...]

    def to_json(self) -> dict[str, Any]:
        """Convert to a document."""
        return {
            "title": self.title,
            "note": self.note,
            "parts": self.parts,
            "measured": len(self.measured),
            "warnings": list(self.warnings),
            "missing": [asdict(one) for one in self.missing],
            "failed": [asdict(one) for one in self.failed],
            "blocks": [asdict(block) for block in self.blocks],
        }


def reproduce(plan: Plan, inputs: Inputs, progress: Progress, *, dry_run: bool = False) -> Reproduction:
    """Measure the parts whose inputs are there; those that were measured before are read, by `dry_run` those alone.

    A part that fails is passed over, so that the others are measured.
    """
    parts = list(plan.parts())
    lacking = {part: part.missing(inputs) for part in parts}
    ready = [part for part in parts if not lacking[part]]
    measured: dict[Part, Figures] = {}
    failed: list[Failure] = []
    if ready and (not dry_run or Path(inputs.runs).exists()):
        with open_runs(inputs.runs, "r" if dry_run else "a") as runs:
            finished = finished_parts(runs)
            for number, part in enumerate(ready):
                progress(number, len(ready), part.name)
                try:
                    config = part.config(inputs)
                    figures = finished.get(config_text(config))
                    if figures is None and not dry_run:
                        started = time.monotonic()
                        figures = dict(part.measure(inputs))
                        log_part(runs, part.name, config, figures, time.monotonic() - started)
                except (StoreError, CodecError) as error:
                    failed.append(Failure(part.name, error.message, error.cure))
                    continue
                if figures is not None:
                    measured[part] = figures
            progress(len(ready), len(ready), "")
    missing = tuple(dict.fromkeys(one for needs in lacking.values() for one in needs))
    blocks = tuple(_filled(block, measured) for block in plan.blocks)
    warnings = tuple(_warnings(measured))
    return Reproduction(plan.title, plan.note, len(parts), measured, missing, tuple(failed), warnings, blocks)


def _warnings(measured: Mapping[Part, Figures]) -> Iterator[str]:
    """Yield what a reader must know of parts whose codec did not code all records."""
    for part, figures in measured.items():
        for name, words in LOSSLESS.items():
            if count := figures.get(name):
                yield f"{part.name}: {count:.0f} records {words}"


def _filled(block: Block, measured: dict[Part, Figures]) -> FilledBlock:
    rows = []
    for row in block.rows:
        numbers = [cell.value(measured) for cell in row.cells]
        named = dict(zip(block.figures, numbers, strict=False))
        in_curve = is_point((part for cell in row.cells for part in cell.parts()), measured)
        rows.append(FilledRow(row.labels, named, dict(zip(block.figures, row.printed, strict=False)), in_curve))
    return FilledBlock(block.title, block.labels, block.figures, tuple(rows))
