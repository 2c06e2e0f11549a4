"""Write the rows of a query as a table, JSON, CSV or Parquet."""

import csv
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import cell, has_colour, json_rows, require_folder, table
from lamofc_tools.cli.render.listing import Rows, fetch

if TYPE_CHECKING:
    import duckdb


def write(relation: "duckdb.DuckDBPyRelation", query: str, format: str, output: str | None) -> None:
    """Write all rows to a file or to stdout."""
    if output is not None:
        require_folder(Path(output))
    if format == "parquet":
        _write_parquet(relation, query, output)
        return
    from lamofc_store.exporting import atomic_file

    rows = fetch(relation, query)
    if output is None:
        _write_text(rows, format, sys.stdout)
        return
    with atomic_file(Path(output)) as file:
        out = TextIOWrapper(file, encoding="utf-8", newline="")
        _write_text(rows, format, out)
        out.detach()


def _write_text(rows: Rows, format: str, out: TextIO) -> None:
    if format == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows(["" if value is None else _exact(value) for value in row] for row in rows[1])
        return
    lines = json_rows(*rows) if format == "json" else table(*rows, bold=has_colour(out))
    out.writelines(f"{line}\n" for line in lines)


def _exact(value: object) -> object:
    """Keep all digits of numbers in a CSV; format other values as in a table."""
    return value if isinstance(value, str | int | float) else cell(value)


def _write_parquet(relation: "duckdb.DuckDBPyRelation", query: str, output: str | None) -> None:
    import pyarrow.parquet as pq

    from lamofc_catalog import translated
    from lamofc_store.exporting import atomic_file

    if output is None and sys.stdout.isatty():
        raise BadArgument("Parquet cannot be shown on a terminal", "name a file with -o, or redirect stdout to one")
    with translated(query):
        rows = relation.to_arrow_table()
    if output is None:
        pq.write_table(rows, sys.stdout.buffer)
        return
    with atomic_file(Path(output)) as file:
        pq.write_table(rows, file)
