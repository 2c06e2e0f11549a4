"""Text of points that are in no curve: a column of their tables, and a line below."""

from collections.abc import Sequence

from lamofc_tools.cli.render.text import Document

_HEADING = "larger than raw"
_NOTE = (
    "raw: samples stored losslessly, because the coder's record would be larger or miss its quality;"
    " expanded: samples stored in more bits than their source has. Such points are in no curve."
)


def headings(points: Sequence[Document]) -> tuple[str, ...]:
    """Return the heading of the column; none where all points are in a curve."""
    return () if all(point["in_curve"] for point in points) else (_HEADING,)


def cells(point: Document, points: Sequence[Document]) -> tuple[str, ...]:
    """Return the cell of a point in that column: `3 of 40 raw`."""
    counts = [(point["fallbacks"], "raw"), (point["expanded"], "expanded")]
    cell = ", ".join(f"{count} of {point['samples']} {kind}" for count, kind in counts if count)
    return (cell,) * len(headings(points))


def notes(points: Sequence[Document]) -> list[str]:
    """Return the line below the tables that says what the column means."""
    return [_NOTE] * len(headings(points))
