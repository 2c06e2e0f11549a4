"""The samples of an export: their features, and the structures that nest them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lamofc_store.exporting.bench_envelope import FIGURES, enveloped
from lamofc_store.exporting.scripts import FileCheck, Script, nest_for
from lamofc_store.sample import add_features

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_store.store import Store

BATCH_SAMPLES = 4096
"""Samples whose rows are queried at a time."""
_TENSORS = "SELECT sample, feature, shape, dtype FROM records"


@dataclass(frozen=True)
class ExportedSample:
    """One sample to write."""

    sample: str
    file: str
    """Its name relative to the folder."""
    features: list[str]
    """The features to write; none stands for all."""
    structure: str | None


@dataclass(frozen=True)
class Content:
    """The content of the files: what is taken of each sample, and how it is nested."""

    features: Sequence[str] = ()
    """Globs; none takes all features."""
    measured: bool = False
    """Whether measured figures stand beside the features."""
    script: Script | None = None
    """The evaluation script that reads the files."""


def samples_to_write(store: Store, files: Sequence[tuple[str, str]], content: Content) -> list[ExportedSample]:
    """List what to write of some samples, given with their files; those without a chosen feature are left out.

    BadArgument for a sample that the script does not read.
    """
    samples = _some_features(store, files, content.features) if content.features else _all_features(store, files)
    if content.script is not None:
        samples = _for_script(store, samples, content.script, measured=content.measured)
    if not content.measured:
        return samples
    figures = _rows_by_sample(store, FIGURES, [sample.sample for sample in samples])
    return [_with_figures(sample, figures[sample.sample]) for sample in samples]


def check_content(store: Store, samples: Sequence[str], content: Content) -> None:
    """Raise BadArgument where one run of the script does not read all samples; without a script all is well."""
    if content.script is None:
        return
    check = FileCheck(content.script)
    for start in range(0, len(samples), BATCH_SAMPLES):
        batch = [(sample, "") for sample in samples[start : start + BATCH_SAMPLES]]
        listed = _some_features(store, batch, content.features) if content.features else _all_features(store, batch)
        rows = _rows_by_sample(store, _TENSORS, [sample.sample for sample in listed])
        for sample in listed:
            found = {row["feature"]: row for row in rows.get(sample.sample, ())}
            chosen = {name: found[name] for name in sample.features or found}
            nesting = nest_for(content.script, sample.structure, chosen, measured=content.measured)
            check.add(sample.sample, chosen, measured=nesting.measured)


def _for_script(
    store: Store, samples: Sequence[ExportedSample], script: Script, *, measured: bool
) -> list[ExportedSample]:
    """Nest samples as a script reads them, with the features that it reads."""
    names = _features(store, [sample.sample for sample in samples])
    nested = []
    for sample in samples:
        chosen = sample.features or names.get(sample.sample, [])
        nesting = nest_for(script, sample.structure, chosen, measured=measured)
        nested.append(replace(sample, structure=nesting.structure, features=nesting.features or sample.features))
    return nested


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
