"""Text of analyses and extractions."""

from collections.abc import Mapping
from typing import Any

from lamofc_tools.cli.console import Amount
from lamofc_tools.cli.render.text import counted, size, tables

_COLUMNS = {
    "least": "least",
    "most": "most",
    "mean": "mean",
    "deviation": "dev.",
    "kurtosis": "kurt.",
    "outliers": "outliers",
    "rho_h": "rho h",
    "rho_v": "rho v",
    "gini": "gini",
    "centroid": "centroid",
    "intensity_variance": "IV",
    "gradient_magnitude": "GM",
    "plain_bits": "plain bits",
    "klt_bits": "klt bits",
}
_OF_DECODED = {"kl": "kl", "r2": "r2"}
"""Figures of decoded values, where there are any."""


def features(document: Mapping[str, Any]) -> str:
    """Format a table with a line for each feature."""
    compared = any("kl" in row for row in document["features"])
    columns = {**_COLUMNS, **(_OF_DECODED if compared else {})}
    rows = [
        (row["feature"], row["samples"], *(_three_digits(row[name]) for name in columns))
        for row in document["features"]
    ]
    return tables(("feature", "samples", *columns.values()), rows)


def extraction(document: Mapping[str, Any]) -> str:
    """Format the report of an extraction."""
    names = document["features"]
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    raw, stored = document["raw_bytes"], document["stored_bytes"]
    return (
        f"{counted(document['samples'], 'sample')} of {document['model']} in {document['out']}: {listed}\n"
        f"{size(raw)} as {size(stored)}, {document['already']} already stored, {document['skipped']} skipped,"
        f" {document['seconds']:.1f} s"
    )


def _three_digits(value: float | None) -> Amount | None:
    return None if value is None else Amount(f"{value:.3g}")
