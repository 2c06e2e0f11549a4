"""`lamofc verify`, `compact`, `gc`: the upkeep of a store."""

from dataclasses import asdict
from typing import Annotated

import typer

from lamofc_tools.cli.console import CORRUPT, CliError, DryRun, Output, Reading, StorePlace, Writing, flat, tell
from lamofc_tools.cli.render import store_text

Keep = Annotated[str, typer.Option("--keep", metavar="TIME", help="Keep snapshots younger than this: 90s, 12h, 7d.")]
Live = Annotated[
    float, typer.Option("--live", metavar="SHARE", help="Rewrite segments of which less than this is live.")
]
_CURE = "restore the objects from a copy, or ingest the samples again with --overwrite"


@flat
def verify(store: StorePlace, place: Reading, out: Output) -> None:
    """Read everything and compare every checksum.

    Exit code 5 when anything is damaged or missing; each such object is named.
    """
    with place.open(store) as opened, out.bar("verify") as bar:
        found = opened.verify(progress=bar.tell)
    out.show(found.to_json(), store_text.verification)
    if not found.ok:
        tell(CliError("CorruptStore", f"{len(found.problems)} objects are damaged or missing", _CURE, CORRUPT))
        raise typer.Exit(CORRUPT)


@flat
def compact(store: StorePlace, place: Writing, out: Output, live: Live = 0.75) -> None:
    """Rewrite segments that are mostly dead, or small."""
    with place.open(store) as opened:
        done = opened.compact(live=live)
    out.show(asdict(done), store_text.compaction)


@flat
def gc(store: StorePlace, place: Writing, out: Output, keep: Keep = "7d", dry_run: DryRun = False) -> None:
    """Delete what no recent snapshot needs.

    Snapshots that were overtaken longer than --keep ago can no longer be read afterwards.
    """
    with place.open(store) as opened:
        done = opened.gc(keep, dry_run=dry_run)
    out.show(asdict(done), store_text.collection)
