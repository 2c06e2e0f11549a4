"""`lamofc forget`: remove samples from a store."""

from dataclasses import asdict
from typing import Annotated

import typer

from lamofc_tools.cli.console import Output, StoreUrl, WriteOptions, flatten_options
from lamofc_tools.cli.render import store_text

SampleIds = Annotated[list[str], typer.Argument(metavar="SAMPLE...", help="Ids of samples.")]


@flatten_options
def forget(store: StoreUrl, samples: SampleIds, write_options: WriteOptions, out: Output) -> None:
    """Remove samples from a store.

    Their bytes stay in older snapshots until `lamofc compact` and `lamofc gc`.
    """
    with write_options.open(store) as opened:
        report = opened.forget(samples)
    out.show(asdict(report), store_text.forget)
