"""`lamofc export`: decode everything into files that other programs read."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_tools.cli.console import (
    FeatureGlobs,
    Output,
    RatedReadOptions,
    SamplesFrom,
    StoreUrl,
    Where,
    flatten_options,
)
from lamofc_tools.cli.render import store_text

Folder = Annotated[
    str, typer.Argument(metavar="OUT", help="A new folder, or the folder of the same export, which then continues.")
]


Script = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="SCRIPT",
        help="Write the files that this evaluation script of LaMoFCBench opens: dinov3cls, dinov3dep, dinov3seg, "
        "qwen3, falconmamba, kimiaudio or sd35cond.",
    ),
]


@dataclass(frozen=True)
class ExportOptions:
    """The samples and features to export, and the format of the files."""

    format: Annotated[
        str | None,
        typer.Option("--format", help="Write safetensors, npz, lamofcbench or lamofc-npy, one file for each sample."),
    ] = None
    script: Script = None
    measured: Annotated[
        bool,
        typer.Option("--measured", help="Write bits and errors beside the features of lamofcbench files."),
    ] = False
    feature: FeatureGlobs = None
    where: Where = None
    samples_from: SamplesFrom = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another export in the folder.")] = False

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `lamofc_store.export`."""
        return {
            "features": tuple(self.feature or ()),
            "where": self.where,
            "script": self.script,
            "samples_from": self.samples_from,
            "measured": self.measured,
            "overwrite": self.overwrite,
        }


@flatten_options
def export(
    store: StoreUrl, folder: Folder, export_options: ExportOptions, read_options: RatedReadOptions, out: Output
) -> None:
    """Decode everything into files that other programs read.

    Each sample becomes a file, and index.parquet holds the columns. The same command again continues where it stopped.
    With --for, files are named, keyed and nested as the script reads them, and samples that it cannot read are refused.
    With --snr, --bpfp or --kl, layered records are read only as far as needed.
    """
    with read_options.open(store) as opened, out.bar("export") as bar:
        options = {**export_options.options(), "quality": read_options.quality}
        report = lamofc.export(opened, folder, export_options.format, progress=bar.update, **options)
    out.show({"folder": folder, **asdict(report)}, store_text.export)
