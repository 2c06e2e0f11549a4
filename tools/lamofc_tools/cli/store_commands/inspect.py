"""`lamofc info`, `ls`, `log`: show the content of a store. None of them loads torch."""

from typing import Annotated

import typer

from lamofc_tools.cli.console import Output, ReadOptions, StoreUrl, Where, flatten_options
from lamofc_tools.cli.render import listing, store_text

SampleOrGlob = Annotated[
    str | None,
    typer.Argument(metavar="[SAMPLE|GLOB]", help="List the features of this sample, or the samples that match 's0*'."),
]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Print at most so many rows.")]


@flatten_options
def info(store: StoreUrl, read_options: ReadOptions, out: Output) -> None:
    """Show rate, distortion and bytes of every feature.

    bpfp is bits per feature point: bits of the records, headers included, per element. ebpfp is the same as if every
    element of the source had 32 bits. snr_db leaves out massive activations; mse counts them. In the second table
    payload leaves headers out, and mean is over samples, as the papers count; all else is a ratio of sums.
    """
    with read_options.open(store) as opened:
        out.show(opened.info(), store_text.store)


@flatten_options
def ls(
    store: StoreUrl,
    read_options: ReadOptions,
    out: Output,
    sample: SampleOrGlob = None,
    where: Where = None,
    limit: Limit = None,
) -> None:
    """List samples, or the features of one sample."""
    with read_options.open(store) as opened:
        out.rows(*listing.samples_or_features(opened, sample, where, limit))


@flatten_options
def log(store: StoreUrl, read_options: ReadOptions, out: Output, limit: Limit = None) -> None:
    """List the commits, newest first."""
    with read_options.open(store) as opened:
        out.rows(*listing.commits(opened, limit))
