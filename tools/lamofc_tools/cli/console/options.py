"""Options of the commands. Options that belong together are the fields of one frozen dataclass.

A command takes such a dataclass as one parameter, and `flatten_options` spells it out for typer, one option a field.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import lamofc_store as lamofc
from lamofc_store import DEFAULT_CODEC, DEFAULT_SNR_DB
from lamofc_tools.cli.console.values import parse_json_pairs, parse_pairs, parse_patterns, parse_quality

if TYPE_CHECKING:
    from lamofc_store import Quality, Store
    from lamofc_store.sources import Source

StoreUrl = Annotated[str, typer.Argument(metavar="STORE", help="A folder, or any URL that fsspec supports.")]
SourcePath = Annotated[str, typer.Argument(metavar="SOURCE", help="A folder or a file of features.")]
SampleId = Annotated[str, typer.Argument(metavar="SAMPLE", help="The id of a sample.")]
OutputFile = Annotated[
    str, typer.Option("-o", "--output", metavar="FILE", help="Write to this file; an existing one is replaced.")
]
FeatureGlobs = Annotated[
    list[str] | None,
    typer.Option("--feature", metavar="GLOB", help="Take only features with matching names. Repeatable."),
]
Patterns = Annotated[
    list[str] | None,
    typer.Option(
        "--pattern",
        metavar="GLOB=PATTERN",
        help="Rearrange matching features to tokens x channels by this einops pattern. Repeatable.",
    ),
]
Where = Annotated[
    str | None, typer.Option("--where", metavar="SQL", help="Take only samples for which this SQL condition holds.")
]
SamplesFrom = Annotated[
    str | None,
    typer.Option(
        "--samples-from",
        metavar="FILE",
        help="Take only the samples that this file lists: ids, one a line or as a JSON list, or with --for the list "
        "that the script itself reads.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")]
Groups = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        metavar="GLOB",
        help="Code features with matching names together, such as layer.*.{k,v}; auto groups those that gain by it. "
        "Repeatable.",
    ),
]
AsPublished = Annotated[
    str | None,
    typer.Option(
        "--as-published",
        metavar="NAME",
        help="Pack and code as this paper does where no other option says otherwise: lamofcbench, dt-ufc or lamofc.",
    ),
]
OnError = Annotated[
    str, typer.Option("--on-error", help="Choose what a bad sample does: stop, skip it, or store it raw.")
]
Device = Annotated[
    str, typer.Option("--device", help="Compute on auto, cpu or cuda; auto takes a GPU if there is one.")
]
RunStore = Annotated[
    str | None, typer.Option("--run-in", metavar="STORE", help="Record the result in this store's catalog, as a run.")
]
StorageOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        metavar="K=V",
        help="Pass an option to fsspec; V is read as JSON where it is JSON, as text otherwise. Repeatable.",
    ),
]


def _open_store(url: str, mode: Literal["r", "r+", "a"], storage_option: list[str] | None, **options: Any) -> "Store":
    """Open a store with the options that its file system is given."""
    parsed = parse_json_pairs(storage_option, "--storage-option", "anon=true")
    return lamofc.open(url, mode, storage_options=parsed, **options)


@dataclass(frozen=True)
class ReadOptions:
    """Options of opening a store for reading."""

    as_of: Annotated[
        int | None, typer.Option("--as-of", metavar="N", help="Read the state after commit N instead of the newest.")
    ] = None
    storage_option: StorageOptions = None

    def open(self, url: str) -> "Store":
        """Open a store for reading."""
        return _open_store(url, "r", self.storage_option, as_of=self.as_of)


@dataclass(frozen=True)
class WriteOptions:
    """Options of opening a store for writing."""

    storage_option: StorageOptions = None

    def open(self, url: str, mode: Literal["r+", "a"] = "r+") -> "Store":
        """Open a store for writing; mode `a` creates it where there is none."""
        return _open_store(url, mode, self.storage_option)


@dataclass(frozen=True)
class RatedReadOptions(ReadOptions):
    """Options of opening a store for reading, and of reading layered records in part."""

    snr: Annotated[
        float | None,
        typer.Option("--snr", metavar="DB", help="Read only the layers that this signal-to-noise ratio in dB needs."),
    ] = None
    bpfp: Annotated[
        float | None,
        typer.Option("--bpfp", metavar="BITS", help="Read at most so many bits per feature point (element)."),
    ] = None
    kl: Annotated[
        float | None,
        typer.Option("--kl", metavar="NATS", help="Read only the layers that this expected divergence in nats needs."),
    ] = None

    @property
    def quality(self) -> "Quality | None":
        """The quality to read at; None to read everything."""
        targets = {"snr_db": ("--snr", self.snr), "bpfp": ("--bpfp", self.bpfp), "kl": ("--kl", self.kl)}
        return parse_quality(targets)


@dataclass(frozen=True)
class SourceOptions:
    """The features to take from a source, and their layout."""

    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="Read auto, safetensors, npz, npy, pt, zst, rows (a file of stacked samples), parquet (embeddings), "
            "or a published family: dinov3, qwen3, falconmamba, kimiaudio, sd35, lamofc-npy, compressai-vision.",
        ),
    ] = "auto"
    feature: FeatureGlobs = None
    pattern: Patterns = None
    group: Groups = None
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            metavar="GLOB=P+HxW",
            help="Declare the token grid of matching features: P tokens, then H rows of W. Repeatable.",
        ),
    ] = None

    def source(self, path: str) -> "Source":
        """Open the source: it is listed, and not yet read."""
        return lamofc.sources.open(path, self.format, features=tuple(self.feature or ()))

    def whole_source(self, path: str) -> "Source":
        """Open the source with all of its features."""
        return lamofc.sources.open(path, self.format)

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of the store's methods."""
        return {
            "patterns": parse_patterns(self.pattern),
            "groups": tuple(self.group or ()),
            "grids": parse_pairs(self.grid, "--grid", "layer.*=1+16x16"),
        }


@dataclass(frozen=True)
class CodingOptions:
    """The codec, its options, and the one quality that it codes at."""

    codec: Annotated[str, typer.Option("--codec", help="Code with this codec; `lamofc codec list` lists all.")] = (
        DEFAULT_CODEC
    )
    snr: Annotated[
        float | None,
        typer.Option(
            "--snr",
            metavar="DB",
            help=f"Code at this signal-to-noise ratio in dB; {DEFAULT_SNR_DB:g} if no quality is given.",
        ),
    ] = None
    mse: Annotated[float | None, typer.Option("--mse", help="Code at this mean squared error.")] = None
    bpfp: Annotated[
        float | None,
        typer.Option("--bpfp", metavar="BITS", help="Code at so many bits per feature point (element)."),
    ] = None
    step: Annotated[
        float | None, typer.Option("--step", help="Code with this distance between neighbouring levels.")
    ] = None
    max_error: Annotated[
        float | None, typer.Option("--max-error", help="Code so that no element has a larger error.")
    ] = None
    kl: Annotated[
        float | None,
        typer.Option(
            "--kl",
            metavar="NATS",
            help="Code at this expected divergence of the answers of the model of --for-model, in nats.",
        ),
    ] = None
    qp: Annotated[int | None, typer.Option("--qp", help="Code vvc or hevc at this quantisation parameter.")] = None
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Code without loss, with the codec raw unless --codec names another.")
    ] = False
    fit_samples: Annotated[
        int | None,
        typer.Option(
            "--fit-samples",
            metavar="N",
            help="Fit on so many samples; by default as many as hold 32 768 tokens, or a 16th of all; on 10 with the "
            "papers' codecs.",
        ),
    ] = None
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="Pass an option to the codec's fit; `lamofc codec show CODEC` lists them. Repeatable.",
        ),
    ] = None

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of the store's methods."""
        return {
            "codec": "raw" if self.lossless and self.codec == DEFAULT_CODEC else self.codec,
            "quality": self._quality(),
            "fit_samples": self.fit_samples,
            "codec_options": parse_json_pairs(self.option, "--option", "means=1024"),
        }

    def _quality(self) -> "Quality | None":
        return parse_quality(
            {
                "snr_db": ("--snr", self.snr),
                "mse": ("--mse", self.mse),
                "bpfp": ("--bpfp", self.bpfp),
                "step": ("--step", self.step),
                "max_error": ("--max-error", self.max_error),
                "kl": ("--kl", self.kl),
                "qp": ("--qp", self.qp),
                "lossless": ("--lossless", self.lossless or None),
            }
        )


@dataclass(frozen=True)
class HeadWeightOptions:
    """Heads for which a fit weights the errors."""

    for_head: Annotated[
        list[str] | None,
        typer.Option(
            "--for-head",
            metavar="FILE",
            help="Weight errors by their effect on the head in this file; for klt. Repeatable.",
        ),
    ] = None

    def with_weights(self, options: dict[str, Any], source: "Source") -> dict[str, Any]:
        """Add error weights for the features that the heads read."""
        from lamofc_tools.heads import weights_for_heads

        if not self.for_head:
            return options
        weights = weights_for_heads(self.for_head, source)
        return {**options, "codec_options": {**options["codec_options"], "weight": weights}}
