"""`lamofc annotate`: columns and values for samples that are there."""

from typing import Annotated

import typer

from lamofc_tools.cli.console import Output, StorePlace, Writing, flat

Table = Annotated[str, typer.Argument(metavar="TABLE", help="A Parquet or CSV file with a column `sample`.")]


@flat
def annotate(store: StorePlace, table: Table, place: Writing, out: Output) -> None:
    """Add columns or values to samples.

    The samples must be there. Where a value was before, the new one counts unless it is absent.
    """
    with place.open(store) as opened:
        commit = opened.annotate(table)
    out.show({"commit": commit}, lambda done: f"annotated in commit {done['commit']}")
