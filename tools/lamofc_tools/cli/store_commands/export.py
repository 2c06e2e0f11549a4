"""`lamofc export`: everything out again, in files that others read."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_tools.cli.console import FeatureGlobs, Output, RatedReading, StorePlace, Where, flat
from lamofc_tools.cli.render import store_text

Folder = Annotated[str, typer.Argument(metavar="OUT", help="A new folder, or one that the same export was making.")]


@dataclass(frozen=True)
class Leaving:
    """What goes out, and how."""

    format: Annotated[
        str, typer.Option("--format", help="safetensors, npz, lamofcbench or lamofc-npy, a file a sample.")
    ] = "safetensors"
    keys: Annotated[
        str, typer.Option("--keys", help="Of lamofcbench: what blocks are called: original, segmentation, layer.")
    ] = "original"
    measured: Annotated[
        bool,
        typer.Option("--measured", help="Of lamofcbench: bits and errors beside the features, as scripts read them."),
    ] = False
    feature: FeatureGlobs = None
    where: Where = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Take the place of another export in that folder.")] = (
        False
    )

    def options(self) -> dict[str, Any]:
        """As the library takes them."""
        return {
            "features": tuple(self.feature or ()),
            "where": self.where,
            "keys": self.keys,
            "measured": self.measured,
            "overwrite": self.overwrite,
        }


@flat
def export(store: StorePlace, folder: Folder, leaving: Leaving, place: RatedReading, out: Output) -> None:
    """Decode everything into files that others read.

    A file a sample, and index.parquet with their columns. The same command again goes on where it stopped. With --snr
    or --bpfp records in layers are read only as far as that needs.
    """
    with place.open(store) as opened, out.bar("export") as bar:
        options = {**leaving.options(), "quality": place.quality}
        done = lamofc.export(opened, folder, leaving.format, progress=bar.tell, **options)
    out.show({"folder": folder, **asdict(done)}, store_text.exported)
