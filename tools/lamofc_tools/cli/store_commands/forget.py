"""`lamofc forget`: take samples out of a store."""

from dataclasses import asdict
from typing import Annotated

import typer

from lamofc_tools.cli.console import Output, StorePlace, Writing, flat
from lamofc_tools.cli.render import store_text

SampleIds = Annotated[list[str], typer.Argument(metavar="SAMPLE...", help="Ids of samples.")]


@flat
def forget(store: StorePlace, samples: SampleIds, place: Writing, out: Output) -> None:
    """Take samples out of a store.

    Their bytes stay in older snapshots until `lamofc compact` and `lamofc gc`.
    """
    with place.open(store) as opened:
        done = opened.forget(samples)
    out.show(asdict(done), store_text.forgotten)
