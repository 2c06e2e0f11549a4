"""The options of an ingest: as keywords that an editor completes, and as a checked value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from lamofc_store.defaults import DEFAULT_CODEC, DEFAULT_SNR_DB
from lamofc_store.errors import BadArgument
from lamofc_store.ingest.request.report import Progress
from lamofc_store.sample import Packing, published_packing

if TYPE_CHECKING:
    from lamofc_codecs import Profile, Quality

MeasureOfSample: TypeAlias = Callable[[Mapping[str, Any]], float]
"""Returns the divergence of a consumer's answers to decoded features of a sample, in nats."""
Measure: TypeAlias = Callable[[str, Mapping[str, Any]], MeasureOfSample | None]
"""Returns the measure of a sample, given its id and its features; None for one that the consumer cannot read."""
GradientOfSample: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Returns the gradient of that divergence by decoded features, for each of them."""
Gradient: TypeAlias = Callable[[str, Mapping[str, Any]], GradientOfSample | None]
"""Returns the gradient of a sample, given its id and its features; None for one that the consumer cannot read."""
DrawOfSample: TypeAlias = Callable[[], Mapping[str, Any]]
"""Draws a gradient of the answers by the features of a sample as they were, for each of them."""
Draw: TypeAlias = Callable[[str, Mapping[str, Any]], DrawOfSample | None]
"""Returns the draws of a sample, given its id and its features; None for one that the consumer cannot read."""
OnError = Literal["stop", "skip", "raw"]
ON_ERROR: tuple[OnError, ...] = ("stop", "skip", "raw")
DEFAULT_BLOCK = 64


class IngestKeywords(TypedDict, total=False):
    """Keyword arguments of an ingest, a plan or a fit of profiles, beside source, codec and quality.

    `IngestOptions` holds their defaults; a test keeps the two equal.
    """

    profile: "Profile | None"
    """Use this profile for every feature, instead of fitting one or taking the store's own."""
    fit_samples: int | None
    """Number of samples that a profile is fitted on. By default as many as hold 32 768 tokens, but at least 64, and a
    16th of a long source; 10 for the codecs of the papers."""
    fit_source: Any
    """Fit on the samples of this source, a path or an iterable of samples, instead of those that are stored. A feature
    that it does not have is fitted on samples that are stored."""
    codec_options: Mapping[str, Any]
    """Options of the codec's own fit; `lamofc codec show CODEC` lists them."""
    features: Sequence[str]
    """Globs over feature names; none means all."""
    block: int
    """Largest number of samples whose small features share a record; 1 gives each a record of its own."""
    groups: Sequence[str]
    """Globs, with alternatives in braces, of features that are coded jointly where they share tokens. `auto` stands for
    the groups that a fit finds to save bits."""
    patterns: Mapping[str, str]
    """Pattern by feature glob: how a feature becomes tokens x channels."""
    grids: Mapping[str, str]
    """Token grid, `prefix+HxW`, by feature glob."""
    as_published: str | None
    """Pack and code as a paper does, `lamofcbench`, `dt-ufc` or `lamofc`: its patterns, groups and codec options hold
    where others are not given."""
    table: str | None
    """A Parquet or CSV file of sample columns, joined by its column `sample`."""
    device: str
    """The torch device that encodes; `auto` and `cpu` are both the CPU."""
    on_error: OnError
    """The treatment of a sample that cannot be read or coded: `stop` raises its error; `skip` leaves the sample out;
    `raw` leaves out what cannot be read and stores lossless what the codec refuses."""
    overwrite: bool
    """Replace features that are stored with other content or another coding."""
    segment_bytes: int
    """Size at which a segment is closed; 65 536 records or one minute close it as well. It is committed once it is
    written: of files, which are read ahead, when the next one is closed or at the end."""
    progress: Callable[[Progress], None] | None
    """Called after every batch, and while a profile is fitted."""
    found: Callable[[str, str], None] | None
    """Called with the name of a feature and words about what a fit found in its samples, such as rotary positions."""
    measure: Measure | None
    """Measures the divergence of a consumer's answers to what is decoded of a sample. A quality in nats is then met by
    measurement, each sample at a rate of its own, instead of by what the profile foretells: all of its records
    together, each at the same foretold divergence. All features whose profiles know errors in nats are taken to be read
    by the consumer. A sample whose first token is not the first of its sequence is coded as foretold."""
    draw: Draw | None
    """Beside `measure`: draws gradients of the consumer's answers, whose mean square is their Fisher matrix. Tokens of
    a sample then have steps of their own, finer ones where the answers feel errors more."""
    guide: Gradient | None
    """Beside `measure`: the gradient of each sample's divergence, by which a `lamofc_codecs.Guide` rounds it, for fewer
    bits at the same divergence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """The checked options of one ingest; `IngestKeywords` describes each."""

    codec: str = DEFAULT_CODEC
    quality: "Quality | None" = None
    profile: "Profile | None" = None
    fit_samples: int | None = None
    fit_source: Any = None
    codec_options: Mapping[str, Any] = field(default_factory=dict)
    features: Sequence[str] = ()
    block: int = DEFAULT_BLOCK
    groups: Sequence[str] = ()
    patterns: Mapping[str, str] = field(default_factory=dict)
    grids: Mapping[str, str] = field(default_factory=dict)
    as_published: str | None = None
    table: str | None = None
    device: str = "auto"
    on_error: OnError = "stop"
    overwrite: bool = False
    segment_bytes: int = 256 << 20
    progress: Callable[[Progress], None] | None = None
    found: Callable[[str, str], None] | None = None
    measure: Measure | None = None
    draw: Draw | None = None
    guide: Gradient | None = None

    def __post_init__(self) -> None:
        from lamofc_codecs import CODECS

        if self.codec not in CODECS:
            raise BadArgument(
                f"there is no codec {self.codec!r}; there are {', '.join(sorted(CODECS))}", "lamofc codec list"
            )
        self._check_values()
        self._take_published()
        self._check_codec()
        if self.quality is None:
            object.__setattr__(self, "quality", usual_quality(self.codec, self.profile, self.codec_options))
        if self.measure is not None and (self.quality is None or self.quality.kind != "kl"):
            raise BadArgument(f"measure= beside the quality {self.quality_text or 'none'}", "give Quality(kl=0.05)")
        for name, value in (("draw", self.draw), ("guide", self.guide)):
            if value is not None and self.measure is None:
                raise BadArgument(f"{name}= without measure=", "give both: a gradient alone does not say what is felt")

    def _check_values(self) -> None:
        """Raise BadArgument for a value that is wrong by itself."""
        from lamofc_codecs import Profile, Quality

        if not isinstance(self.quality, Quality | None):
            raise BadArgument(f"quality={self.quality!r} is no Quality", "give lamofc_store.Quality(snr_db=15)")
        if not isinstance(self.profile, Profile | None):
            raise BadArgument(f"profile={self.profile!r} is no Profile", "give lamofc_store.Profile.load(path)")
        if not isinstance(self.codec_options, Mapping):
            raise BadArgument(
                f"codec_options={self.codec_options!r} is no mapping of names", "write {'nonfinite': 'exact'}"
            )
        _check_globs("features", self.features)
        _check_globs("groups", self.groups)
        _check_texts("patterns", self.patterns, "h w c -> (h w) c")
        _check_texts("grids", self.grids, "1+16x16")
        if self.on_error not in ON_ERROR:
            raise BadArgument(f"on_error={self.on_error!r} is none of {', '.join(ON_ERROR)}", "give one of them")
        if self.fit_samples is not None:
            _check_count("fit_samples", self.fit_samples, "64 samples are a good start")
        _check_count("block", self.block, f"{DEFAULT_BLOCK} samples are a good size")
        _check_count("segment_bytes", self.segment_bytes, "256 MiB is a good size")

    @property
    def packing(self) -> Packing:
        """The packing of the paper that is followed; an empty one without a paper."""
        return published_packing(self.as_published)

    def _take_published(self) -> None:
        """Take the groups and the codec options of a paper, where others are not given."""
        from lamofc_codecs import CodecError, published_settings

        if self.as_published is None:
            return
        object.__setattr__(self, "groups", self.groups or self.packing.groups)
        if self.profile is not None:
            return
        try:
            options = published_settings(self.as_published).options_of(self.codec, self.codec_options)
        except CodecError as error:
            raise BadArgument(error.message, error.cure) from error
        object.__setattr__(self, "codec_options", options)

    def _check_codec(self) -> None:
        """Raise BadArgument for options that the codec does not have."""
        from lamofc_codecs import CODECS, Grouped, describe

        if self.profile is not None and self.profile.codec != self.codec:
            raise BadArgument(
                f"the profile is one of {self.profile.codec!r}, the codec {self.codec!r}",
                f"give codec={self.profile.codec!r}",
            )
        unknown = sorted(set(self.codec_options) - set(describe(self.codec)["options"]))
        if unknown:
            raise BadArgument(f"codec {self.codec!r} has no option {unknown[0]!r}", f"lamofc codec show {self.codec}")
        if self.codec_options and self.profile is not None:
            raise BadArgument(
                f"codec options {dict(self.codec_options)} beside a profile, which is fitted already",
                "give no profile, or no options",
            )
        if self.groups and not issubclass(CODECS[self.codec], Grouped):
            raise BadArgument(
                f"codec {self.codec!r} codes each feature by itself, not groups such as {self.groups[0]!r}",
                f"give codec={DEFAULT_CODEC!r}, or no groups",
            )

    def exact(self) -> "IngestOptions":
        """Return the options for features that no codec may round: integers, booleans, complex numbers."""
        from lamofc_codecs import LOSSLESS

        return replace(
            self,
            codec=LOSSLESS,
            quality=None,
            profile=None,
            groups=(),
            codec_options={},
            as_published=None,
            measure=None,
            draw=None,
            guide=None,
        )

    @property
    def quality_text(self) -> str:
        """The quality as catalog rows spell it."""
        return "" if self.quality is None else str(self.quality)


def _check_globs(name: str, value: object) -> None:
    """Raise BadArgument unless an option is a list of globs."""
    if isinstance(value, str):
        raise BadArgument(f"{name}={value!r} is one text, a list of globs is needed", f"write [{value!r}]")
    if not isinstance(value, Sequence) or not all(isinstance(glob, str) for glob in value):
        raise BadArgument(f"{name}={value!r} is no list of globs", "write ['layer.*']")


def _check_texts(name: str, value: object, example: str) -> None:
    """Raise BadArgument unless an option maps globs to texts."""
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise BadArgument(f"{name}={value!r} is no mapping of texts", f"write {{'layer.*': {example!r}}}")


def _check_count(name: str, value: object, cure: str) -> None:
    """Raise BadArgument unless an option is a whole number from 1."""
    if not isinstance(value, Integral) or value < 1:
        raise BadArgument(f"{name}={value!r} is no whole number from 1", cure)


def usual_quality(
    codec: str, profile: "Profile | None" = None, codec_options: Mapping[str, Any] | None = None
) -> "Quality | None":
    """Return the target where none is given: the profile's own, else 15 dB; None for a codec that has no target."""
    from lamofc_codecs import CodecError, Quality, open_codec, targets_of

    if profile is not None:
        opened = open_codec(profile)
        if opened.quality is not None:
            return opened.quality
        targets = opened.qualities
    else:
        try:
            targets = targets_of(codec, codec_options or {})
        except CodecError as error:
            raise BadArgument(error.message, error.cure) from error
    return Quality(snr_db=DEFAULT_SNR_DB) if "snr_db" in targets else None
