"""Every option, declared once; options that go together are the fields of one frozen dataclass.

A command takes such a group as one parameter and `flat` spells it out for typer, one option a field.
"""

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

import lamofc_store as lamofc
from lamofc_store import DEFAULT_CODEC, DEFAULT_SNR_DB
from lamofc_store.errors import BadArgument

if TYPE_CHECKING:
    from lamofc_store import Profile, Quality, Store
    from lamofc_store.sources import Source

StorePlace = Annotated[str, typer.Argument(metavar="STORE", help="A folder, or any URL that fsspec knows.")]
SourcePath = Annotated[str, typer.Argument(metavar="SOURCE", help="A folder or a file of features.")]
SampleId = Annotated[str, typer.Argument(metavar="SAMPLE", help="The id of a sample.")]
OutputFile = Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="Where to write; replaced if there.")]
FeatureGlobs = Annotated[
    list[str] | None, typer.Option("--feature", metavar="GLOB", help="Take only features of these names; repeatable.")
]
Where = Annotated[
    str | None, typer.Option("--where", metavar="SQL", help="Only samples for which this SQL condition holds.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, change nothing.")]
StorageOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        metavar="K=V",
        help="Passed to fsspec; V is read as JSON where it is JSON, as text otherwise. Repeatable.",
    ),
]


PATTERN = "layer.*=b t c -> (b t) c"
"""What `KEY=VALUE` looks like."""


@dataclass(frozen=True)
class Reading:
    """How a store is opened for reading."""

    as_of: Annotated[
        int | None, typer.Option("--as-of", metavar="N", help="Read the state after commit N instead of the newest.")
    ] = None
    storage_option: StorageOptions = None

    def open(self, url: str) -> "Store":
        """The store, for reading."""
        return lamofc.open(url, storage_options=storage_options(self.storage_option), as_of=self.as_of)


@dataclass(frozen=True)
class Writing:
    """How a store is opened for writing."""

    storage_option: StorageOptions = None

    def open(self, url: str, mode: Literal["r+", "a"] = "r+") -> "Store":
        """The store, for writing; mode `a` makes it where there is none."""
        return lamofc.open(url, mode, storage_options=storage_options(self.storage_option))


Groups = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        metavar="GLOB",
        help="Code features of these names together: layer.*.{k,v}; or auto, what that saves. Repeatable.",
    ),
]
OnError = Annotated[str, typer.Option("--on-error", help="A bad sample: stop, skip it, or store it raw.")]


@dataclass(frozen=True)
class Taking:
    """Which features of a source are taken, and as what."""

    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="auto, safetensors, npz, npy, pt, zst, rows (a file of stacked samples), parquet (embeddings), "
            "or a published family: dinov3, qwen3, falconmamba, kimiaudio, sd35, lamofc-npy, compressai-vision.",
        ),
    ] = "auto"
    feature: FeatureGlobs = None
    pattern: Annotated[
        list[str] | None,
        typer.Option("--pattern", metavar="GLOB=PATTERN", help="einops pattern to tokens x channels; repeatable."),
    ] = None
    group: Groups = None
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", metavar="GLOB=P+HxW", help="Token grid of a feature: P tokens, then H x W; repeatable."),
    ] = None

    def source(self, path: str) -> "Source":
        """The source, listed and not yet read."""
        return lamofc.sources.open(path, self.format, features=tuple(self.feature or ()))

    def options(self) -> dict[str, Any]:
        """As the store's verbs take them."""
        return {
            "patterns": pairs(self.pattern, "--pattern"),
            "groups": tuple(self.group or ()),
            "grids": pairs(self.grid, "--grid"),
        }


@dataclass(frozen=True)
class RatedReading(Reading):
    """The same, and how much of records in layers is read."""

    snr: Annotated[
        float | None, typer.Option("--snr", metavar="DB", help="Read only as much as this signal to noise needs.")
    ] = None
    bpfp: Annotated[float | None, typer.Option("--bpfp", help="Read at most so many bits an element.")] = None

    @property
    def quality(self) -> "Quality | None":
        """As the library takes it; None for all that there is."""
        if self.snr is not None and self.bpfp is not None:
            raise BadArgument(f"--snr {self.snr:g} beside --bpfp {self.bpfp:g}", "give one of the two")
        if self.snr is not None:
            return lamofc.Quality(snr_db=self.snr)
        return None if self.bpfp is None else lamofc.Quality(bpfp=self.bpfp)


@dataclass(frozen=True)
class Coding:
    """The codec and the one quality that it aims at."""

    codec: Annotated[str, typer.Option("--codec", help="`lamofc codec list` lists them.")] = DEFAULT_CODEC
    snr: Annotated[
        float | None,
        typer.Option(
            "--snr", metavar="DB", help=f"Signal to noise in decibels; {DEFAULT_SNR_DB:g} when nothing is asked for."
        ),
    ] = None
    mse: Annotated[float | None, typer.Option("--mse", help="Mean squared error.")] = None
    bpfp: Annotated[float | None, typer.Option("--bpfp", help="Bits per feature point (element).")] = None
    step: Annotated[float | None, typer.Option("--step", help="Distance between neighbouring levels.")] = None
    max_error: Annotated[float | None, typer.Option("--max-error", help="No element is off by more.")] = None
    qp: Annotated[int | None, typer.Option("--qp", help="Quantisation parameter of vvc and hevc.")] = None
    lossless: Annotated[bool, typer.Option("--lossless", help="Every bit comes back: the codec raw.")] = False
    fit_samples: Annotated[
        int | None,
        typer.Option(
            "--fit-samples",
            metavar="N",
            help="Samples to fit on; else those of 32 768 tokens, or a 16th; for the papers' codecs 10.",
        ),
    ] = None
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="Tell the codec's fit; `lamofc codec show`. Repeatable."),
    ] = None

    def options(self) -> dict[str, Any]:
        """As the store's verbs take them."""
        chosen = "raw" if self.lossless and self.codec == DEFAULT_CODEC else self.codec
        return {
            "codec": chosen,
            "quality": self._quality(),
            "fit_samples": self.fit_samples,
            "codec_options": values(self.option, "--option", "means=1024"),
        }

    def _quality(self) -> "Quality | None":
        targets: dict[str, Any] = {
            "snr_db": self.snr,
            "mse": self.mse,
            "bpfp": self.bpfp,
            "step": self.step,
            "max_error": self.max_error,
            "qp": self.qp,
            "lossless": self.lossless or None,
        }
        given = {name: value for name, value in targets.items() if value is not None}
        if len(given) > 1:
            raise BadArgument(f"{len(given)} qualities are given: {', '.join(given)}", "give one of them")
        return lamofc.Quality(**given) if given else None


@dataclass(frozen=True)
class Aware:
    """Heads that a fit knows of."""

    for_head: Annotated[
        list[str] | None,
        typer.Option(
            "--for-head", metavar="FILE", help="Errors count for what this head makes of them; with klt. Repeatable."
        ),
    ] = None

    def weighed(self, options: dict[str, Any], source: "Source") -> dict[str, Any]:
        """The same options, with weights for the features that the heads see."""
        from lamofc_tools.heads import weights_for_heads

        if not self.for_head:
            return options
        weights = weights_for_heads(self.for_head, source)
        return {**options, "codec_options": {**options["codec_options"], "weight": weights}}


def flat(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are dataclasses are spelled out as options, one a field."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    spelled: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name in groups:
            spelled += _spelled(groups[parameter.name])
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            spelled.append(parameter.replace(annotation=hints[parameter.name], kind=kind))

    @functools.wraps(command)
    def grouped(**given: Any) -> None:
        values = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **values)

    grouped.__signature__ = inspect.Signature(spelled)  # type: ignore[attr-defined]
    grouped.__annotations__ = {parameter.name: parameter.annotation for parameter in spelled}
    return grouped


def _spelled(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(field.name, kind, default=field.default, annotation=hints[field.name])
        for field in fields(group)
    ]


def pairs(given: Sequence[str] | None, option: str, example: str = PATTERN) -> dict[str, str]:
    """`K=V` texts as a mapping."""
    found = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise BadArgument(f"{option} {text!r} is not of the form KEY=VALUE", f"{option} '{example}'")
        found[key] = value
    return found


def storage_options(given: Sequence[str] | None) -> Mapping[str, Any]:
    """`K=V` texts as what fsspec takes."""
    return values(given, "--storage-option")


def values(given: Sequence[str] | None, option: str, example: str = PATTERN) -> dict[str, Any]:
    """`K=V` texts as a mapping; a value that is JSON is read as JSON."""
    return {key: _value(text) for key, text in pairs(given, option, example).items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def device_of(text: str) -> str:
    """The device that --device names; `auto` is a GPU where there is one."""
    import torch

    if text == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:
        said = (str(error).splitlines() or [""])[0][:100]
        raise BadArgument(f"--device {text}: {said}", "--device auto, cpu, or cuda where there is a GPU") from error
    return text


def profile(path: str | None) -> "Profile | None":
    """The profile in a file, if one is named."""
    return None if path is None else lamofc.Profile.load(path)
