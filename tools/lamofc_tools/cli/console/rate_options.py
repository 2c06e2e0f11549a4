"""Options that name rates at which stores are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

import lamofc_store as lamofc
from lamofc_tools.cli.console.output import Output

if TYPE_CHECKING:
    from lamofc_store import Quality


@dataclass(frozen=True)
class RateOptions:
    """Rates at which stores are read, beside reading everything."""

    snr: Annotated[
        list[float] | None,
        typer.Option(
            "--snr",
            metavar="DB",
            help="Read also only the layers that this signal-to-noise ratio in dB needs. Repeatable.",
        ),
    ] = None
    bpfp: Annotated[
        list[float] | None,
        typer.Option(
            "--bpfp", metavar="BITS", help="Read also at most so many bits per feature point (element). Repeatable."
        ),
    ] = None
    kl: Annotated[
        list[float] | None,
        typer.Option(
            "--kl",
            metavar="NATS",
            help="Read also only the layers that this expected divergence in nats needs. Repeatable.",
        ),
    ] = None

    def qualities(self) -> "list[Quality]":
        """Return the qualities to read at."""
        return [
            *(lamofc.Quality(snr_db=db) for db in self.snr or ()),
            *(lamofc.Quality(bpfp=rate) for rate in self.bpfp or ()),
            *(lamofc.Quality(kl=nats) for nats in self.kl or ()),
        ]

    def note_repeated(self, reads: Sequence[tuple[str, str]], out: Output) -> None:
        """Say which rates have no result of their own, given those that have one, each of a store."""
        from lamofc_tools.read_rates import rate_name

        for store in dict.fromkeys(store for store, _ in reads):
            repeated = [name for name in map(rate_name, self.qualities()) if (store, name) not in reads]
            if repeated:
                out.note(f"{store}: {', '.join(repeated)} would read the same bits as a rate that is listed")
