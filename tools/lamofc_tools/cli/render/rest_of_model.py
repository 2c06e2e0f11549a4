"""Text of evaluations of the rest of a model."""

from collections.abc import Sequence
from pathlib import Path

from lamofc_tools.cli.console import Amount
from lamofc_tools.cli.render import curve_points
from lamofc_tools.cli.render.text import Document, counted, tables

_UNBROKEN = "unbroken_"


def evaluation(document: Document) -> str:
    """Format a line about the inputs, a table of losses, and one of figures that the unbroken model has as well."""
    points = document["points"]
    values = points[0]["values"]
    there = [figure for figure in document["figures"] if figure["name"] in values]
    shared = [figure for figure in there if _UNBROKEN + figure["name"] in values]
    losses = [figure for figure in there if figure not in shared]
    larger = curve_points.headings(points)
    headings = ("store", "read", "bits", "profile", *(figure["heading"] for figure in losses), *larger)
    rows = [
        (*_place(point), *_rates(point), *_figures(point, losses), *curve_points.cells(point, points))
        for point in points
    ]
    parts = [_heading(document, values), tables(headings, rows)]
    if shared:
        headings = ("store", "read", *(figure["heading"] for figure in shared))
        unbroken = ("unbroken", None, *_figures(points[0], shared, _UNBROKEN))
        parts.append(tables(headings, [unbroken, *((*_place(point), *_figures(point, shared)) for point in points)]))
    return "\n\n".join([*parts, *curve_points.notes(points)])


def _heading(document: Document, values: Document) -> str:
    split = document["model"] if document["block"] is None else f"{document['model']} after block {document['block']}"
    counts = " and ".join(f"{values[name]:.0f} {words}" for name, words in document["counts"].items() if name in values)
    return f"{split}: {', '.join(filter(None, (counted(document['samples'], document['unit']), counts)))}"


def _place(point: Document) -> tuple[str, str]:
    return Path(point["store"]).name, point["rate"]


def _rates(point: Document) -> tuple[Amount, Amount]:
    return Amount(f"{point['bpfp']:.4g}"), Amount(f"{point['profile_bpfp']:.3g}")


def _figures(point: Document, figures: Sequence[Document], of: str = "") -> list[Amount]:
    """Format figures of a point, or with `of` those of the unbroken model."""
    return [Amount(format(point["values"][of + figure["name"]], figure["form"])) for figure in figures]
