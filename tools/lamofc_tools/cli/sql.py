"""`lamofc sql`: ask the catalog."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from lamofc_tools.cli import relation
from lamofc_tools.cli.options import Reading, StorePlace, flat
from lamofc_tools.cli.output import Output

Form = Literal["table", "json", "csv", "parquet"]
Query = Annotated[
    str,
    typer.Argument(metavar="QUERY", help="Over samples records features profiles commits runs metrics skipped."),
]


@dataclass(frozen=True)
class Asking:
    """How the answer is given."""

    format: Annotated[Form, typer.Option("--format", help="How rows are written.")] = "table"
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write there, not to stdout.")
    ] = None
    locked: Annotated[bool, typer.Option("--locked", help="For queries of others: no file, no network.")] = False


@flat
def sql(store: StorePlace, query: Query, asking: Asking, place: Reading, out: Output) -> None:
    """Ask the catalog of a store in SQL."""
    format = "json" if out.json else asking.format
    with place.open(store) as opened:
        relation.write(opened.sql(query, locked=asking.locked), query, format, asking.output)
