"""`lamofc sql`: ask the catalog."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from lamofc_tools.cli.console import Output, Reading, StorePlace, flat
from lamofc_tools.cli.render import query_output

Query = Annotated[
    str,
    typer.Argument(metavar="QUERY", help="Over samples records features profiles commits runs metrics skipped."),
]


class Form(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True)
class Asking:
    """How the answer is given."""

    format: Annotated[Form, typer.Option("--format", help="How rows are written.")] = Form.TABLE
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write there, not to stdout.")
    ] = None
    locked: Annotated[bool, typer.Option("--locked", help="For queries of others: no file, no network.")] = False


@flat
def sql(store: StorePlace, query: Query, asking: Asking, place: Reading, out: Output) -> None:
    """Ask the catalog of a store in SQL."""
    format = Form.JSON if out.json else asking.format
    with place.open(store) as opened:
        query_output.write(opened.sql(query, locked=asking.locked), query, format, asking.output)
