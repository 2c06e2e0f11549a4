"""`lamofc annotate`: add columns and values to samples of a store."""

from typing import Annotated

import typer

from lamofc_tools.cli.console import Output, StoreUrl, WriteOptions, flatten_options

Table = Annotated[str, typer.Argument(metavar="TABLE", help="A Parquet or CSV file with a column `sample`.")]


@flatten_options
def annotate(store: StoreUrl, table: Table, write_options: WriteOptions, out: Output) -> None:
    """Add columns or values to samples.

    The samples must exist in the store. A value replaces an earlier one; an absent value leaves it.
    """
    with write_options.open(store) as opened:
        commit = opened.annotate(table)
    out.show({"commit": commit}, lambda document: f"annotated in commit {document['commit']}")
