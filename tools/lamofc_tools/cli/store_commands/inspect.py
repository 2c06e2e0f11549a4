"""`lamofc info`, `ls`, `log`: what a store holds. None of them loads torch."""

from typing import Annotated

import typer

from lamofc_tools.cli.console import Output, Reading, StorePlace, Where, flat
from lamofc_tools.cli.render import listing, store_text

Of = Annotated[str | None, typer.Argument(metavar="[SAMPLE]", help="List the features of this sample instead.")]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many rows.")]


@flat
def info(store: StorePlace, place: Reading, out: Output) -> None:
    """Show rate, distortion and bytes of every feature."""
    with place.open(store) as opened:
        out.show(opened.info(), store_text.store)


@flat
def ls(
    store: StorePlace, place: Reading, out: Output, sample: Of = None, where: Where = None, limit: Limit = None
) -> None:
    """List samples, or the features of one."""
    with place.open(store) as opened:
        found = listing.samples(opened, where, limit) if sample is None else listing.features(opened, sample)
        out.rows(*found)


@flat
def log(store: StorePlace, place: Reading, out: Output, limit: Limit = None) -> None:
    """List the commits, newest first."""
    with place.open(store) as opened:
        out.rows(*listing.commits(opened, limit))
