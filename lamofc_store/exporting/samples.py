"""The samples of an export: their features, and the structures that nest them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lamofc_store.exporting.bench_envelope import FIGURES, enveloped
from lamofc_store.sample import add_features

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_store.store import Store


@dataclass(frozen=True)
class ExportedSample:
    """One sample to write."""

    sample: str
    file: str
    """Its name relative to the folder."""
    features: list[str]
    """The features to write; none stands for all."""
    structure: str | None


def samples_to_write(
    store: Store, files: Sequence[tuple[str, str]], globs: Sequence[str], *, measured: bool = False
) -> list[ExportedSample]:
    """List what to write of some samples, given with their files; those without a chosen feature are left out."""
    samples = _some_features(store, files, globs) if globs else _all_features(store, files)
    if not measured:
        return samples
    figures = _rows_by_sample(store, FIGURES, [sample.sample for sample in samples])
    return [_with_figures(sample, figures[sample.sample]) for sample in samples]


def _some_features(store: Store, files: Sequence[tuple[str, str]], globs: Sequence[str]) -> list[ExportedSample]:
    """List samples that have features of these names; they come as flat mappings."""
    names = _features(store, [sample for sample, _ in files])
    samples = []
    for sample, file in files:
        chosen = [name for name in names.get(sample, ()) if any(fnmatchcase(name, glob) for glob in globs)]
        if chosen:
            samples.append(ExportedSample(sample, file, chosen, None))
    return samples


def _all_features(store: Store, files: Sequence[tuple[str, str]]) -> list[ExportedSample]:
    """List samples with all that they have, nested as their sources were."""
    ids = [sample for sample, _ in files]
    rows = rows_of(store, "SELECT sample, structure FROM samples", ids).to_pylist()
    structures = {row["sample"]: row["structure"] for row in rows if row["structure"] is not None}
    names = _features(store, list(structures))
    nested = {sample: add_features(text, names.get(sample, ())) for sample, text in structures.items()}
    return [ExportedSample(sample, file, [], nested.get(sample)) for sample, file in files]


def _with_figures(sample: ExportedSample, rows: list[dict[str, Any]]) -> ExportedSample:
    """Return the sample in an envelope with the figures that were measured of its features."""
    chosen = [row for row in rows if not sample.features or row["feature"] in sample.features]
    nested = enveloped(sample.structure, sample.sample, chosen)
    return replace(sample, structure=add_features(nested, [row["feature"] for row in chosen]))


def rows_of(store: Store, query: str, samples: list[str]) -> pa.Table:
    """Return the rows of some samples as an Arrow table."""
    return store.sql(f"{query} WHERE sample IN (SELECT unnest(?))", [samples]).to_arrow_table()


def _features(store: Store, samples: list[str]) -> dict[str, list[str]]:
    """Return the names of each sample's features, sorted."""
    rows = _rows_by_sample(store, "SELECT sample, feature FROM records", samples)
    return {sample: sorted(row["feature"] for row in features) for sample, features in rows.items()}


def _rows_by_sample(store: Store, query: str, samples: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each sample."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(store, query, samples).to_pylist():
        rows.setdefault(row["sample"], []).append(row)
    return rows
