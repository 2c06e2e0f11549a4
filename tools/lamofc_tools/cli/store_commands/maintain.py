"""`lamofc verify`, `compact`, `gc`: maintain a store."""

from dataclasses import asdict
from typing import Annotated

import typer

from lamofc_tools.cli.console import (
    CORRUPT,
    CliError,
    DryRun,
    Output,
    ReadOptions,
    StoreUrl,
    WriteOptions,
    flatten_options,
    print_error,
)
from lamofc_tools.cli.render import store_text

Keep = Annotated[
    str, typer.Option("--keep", metavar="TIME", help="Keep snapshots younger than this, such as 90s, 12h or 7d.")
]
Live = Annotated[
    float,
    typer.Option("--live", metavar="SHARE", help="Rewrite segments of which a smaller share is still in the store."),
]
_CORRUPT_STORE_HINT = "restore the objects from a copy, or ingest the samples again with --overwrite"


@flatten_options
def verify(store: StoreUrl, read_options: ReadOptions, out: Output) -> None:
    """Read everything and compare every checksum.

    The exit code is 5 if any object is damaged or missing; each such object is listed.
    """
    with read_options.open(store) as opened, out.bar("verify") as bar:
        report = opened.verify(progress=bar.update)
    out.show(report.to_json(), store_text.verification)
    if not report.ok:
        message = f"{len(report.problems)} objects are damaged or missing"
        print_error(CliError("CorruptStore", message, _CORRUPT_STORE_HINT, CORRUPT))
        raise typer.Exit(CORRUPT)


@flatten_options
def compact(store: StoreUrl, write_options: WriteOptions, out: Output, live: Live = 0.75) -> None:
    """Rewrite segments that are small, or whose samples are mostly forgotten."""
    with write_options.open(store) as opened:
        report = opened.compact(live=live)
    out.show(asdict(report), store_text.compaction)


@flatten_options
def gc(store: StoreUrl, write_options: WriteOptions, out: Output, keep: Keep = "7d", dry_run: DryRun = False) -> None:
    """Delete objects that no recent snapshot needs.

    Snapshots that were replaced longer than --keep ago can no longer be read afterwards.
    """
    with write_options.open(store) as opened:
        report = opened.gc(keep, dry_run=dry_run)
    out.show(asdict(report), store_text.collection)
