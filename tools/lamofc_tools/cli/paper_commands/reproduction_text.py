"""Text of the papers' tables: measured numbers with printed ones beside them, and missing inputs."""

from collections.abc import Mapping, Sequence
from typing import Any

from lamofc_tools.cli.console import Amount
from lamofc_tools.cli.render import text

Document = Mapping[str, Any]
_PRINTED = "printed"


def names(document: Sequence[Document]) -> str:
    """Format the list of tables and figures."""
    return text.tables(("name", "title"), [(row["name"], row["title"]) for row in document])


def tables(document: Document) -> str:
    """Format the blocks of a table, then what is missing."""
    lines = [document["title"], f"{document['measured']} of {document['parts']} parts measured"]
    lines += [document["note"]] if document["note"] else []
    parts = ["\n".join(lines), *map(_block, document["blocks"])]
    if document["missing"]:
        parts.append(_missing(document["missing"]))
    if document["failed"]:
        lines = [f"  {one['part']}\n    {one['error']}\n    {one['cure']}".rstrip() for one in document["failed"]]
        parts.append("\n".join(("failed:", *lines)))
    return "\n\n".join(parts)


def _block(block: Document) -> str:
    """Format rows, each heading followed by a column of printed numbers if there are any."""
    headings = list(block["labels"])
    for heading in block["figures"]:
        headings += [heading, *([_PRINTED] if _is_printed(block, heading) else [])]
    rows = []
    for row in block["rows"]:
        cells = [_label(label) for label in row["labels"]]
        cells[0] = cells[0] if row["in_curve"] else f"{cells[0]} (some lossless)"
        for heading in block["figures"]:
            cells.append(_number(row["numbers"].get(heading)))
            cells += [_number(row["printed"].get(heading))] if _is_printed(block, heading) else []
        rows.append(cells)
    table = text.tables(headings, rows)
    return f"{block['title']}\n{table}" if block["title"] else table


def _is_printed(block: Document, heading: str) -> bool:
    return any(row["printed"].get(heading) is not None for row in block["rows"])


def _label(label: object) -> object:
    return Amount(f"{label:g}") if isinstance(label, int | float) else "" if label is None else label


def _number(value: object) -> Amount:
    if isinstance(value, int | float):
        return Amount(f"{value:.3f}" if abs(value) >= 0.001 or not value else f"{value:.1e}")
    return Amount("-" if value is None else str(value))


def _missing(missing: Sequence[Document]) -> str:
    """Format missing inputs, those that one command makes together."""
    lines = ["missing:"]
    for command in dict.fromkeys(row["command"] for row in missing):
        lines += [f"  {row['kind']}  {row['name']}" for row in missing if row["command"] == command]
        lines.append(f"    {command}")
    return "\n".join(lines)
