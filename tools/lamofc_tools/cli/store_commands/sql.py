"""`lamofc sql`: query the catalog of a store."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from lamofc_tools.cli.console import Output, ReadOptions, StoreUrl, flatten_options
from lamofc_tools.cli.render import query_output

Query = Annotated[
    str,
    typer.Argument(
        metavar="QUERY",
        help="SQL of DuckDB over samples, records, features, whole_samples, totals, profiles, commits, runs, metrics"
        " and skipped.",
    ),
]


class RowFormat(StrEnum):
    """Formats in which rows are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True)
class QueryOptions:
    """The file for the rows, its format, and the permissions and the time of the query."""

    format: Annotated[RowFormat, typer.Option("--format", help="Write rows in this format.")] = RowFormat.TABLE
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write to this file instead of stdout."),
    ] = None
    locked: Annotated[
        bool, typer.Option("--locked", help="Forbid access to files and network, for queries of other people.")
    ] = False
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", metavar="S", help="Stop the query after so many seconds; with --locked after 60."),
    ] = None


@flatten_options
def sql(store: StoreUrl, query: Query, query_options: QueryOptions, read_options: ReadOptions, out: Output) -> None:
    """Query the catalog of a store in SQL."""
    format = RowFormat.JSON if out.json else query_options.format
    with read_options.open(store) as opened:
        relation = opened.sql(query, locked=query_options.locked, seconds=query_options.seconds)
        query_output.write(relation, query, format, query_options.output)
