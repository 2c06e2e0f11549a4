"""What an ingest is asked for, what it tells on the way, and what it did."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from lamofc_store.defaults import DEFAULT_CODEC, DEFAULT_SNR_DB
from lamofc_store.errors import BadArgument

if TYPE_CHECKING:
    from lamofc_codecs import Profile, Quality

OnError = Literal["stop", "skip", "raw"]
DEFAULT_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is."""

    samples: int
    total: int | None
    """None where the source cannot tell."""
    raw_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """Everything that an ingest may be told besides its source."""

    codec: str = DEFAULT_CODEC
    quality: "Quality | None" = None
    profile: "Profile | None" = None
    """Used for every feature, instead of fitting or of the store's own."""
    fit_samples: int | None = None
    """Samples that a profile is fitted on; by itself, those of 32 768 tokens, 64 or more; of long sources, a 16th;
    for codecs of the papers, ten."""
    codec_options: Mapping[str, Any] = field(default_factory=dict)
    """What the codec's own fit is told; `lamofc codec show CODEC` lists its options."""
    features: tuple[str, ...] = ()
    """Globs; none means all."""
    block: int = DEFAULT_BLOCK
    """Most samples whose small features stand in one record; 1 for a record each."""
    groups: tuple[str, ...] = ()
    """Globs, with choices in braces: features of a sample that one names are coded together where they share tokens.
    `auto` stands for what a fit finds to save bits so."""
    patterns: Mapping[str, str] = field(default_factory=dict)
    """Feature glob to pattern."""
    grids: Mapping[str, str] = field(default_factory=dict)
    """Feature glob to grid, `prefix+HxW`."""
    table: str | None = None
    """A Parquet or CSV file of sample columns, joined by its column `sample`."""
    device: str = "auto"
    on_error: OnError = "stop"
    overwrite: bool = False
    segment_bytes: int = 256 << 20
    """A segment is closed and committed when it holds this much, or 65 536 records, or is a minute old."""
    progress: Callable[[Progress], None] | None = None

    def __post_init__(self) -> None:
        from lamofc_codecs import CODECS, Grouped, describe

        if self.codec not in CODECS:
            raise BadArgument(
                f"there is no codec {self.codec!r}; there are {', '.join(sorted(CODECS))}", "lamofc codec list"
            )
        if self.on_error not in ("stop", "skip", "raw"):
            raise BadArgument(f"on_error={self.on_error!r} is none of stop, skip, raw", "give one of them")
        if self.fit_samples is not None and self.fit_samples < 1:
            raise BadArgument(f"fit_samples={self.fit_samples} is less than 1", "64 samples are a good start")
        if self.block < 1:
            raise BadArgument(f"block={self.block} is less than 1", f"{DEFAULT_BLOCK} samples are a good size")
        if self.segment_bytes < 1:
            raise BadArgument(f"segment_bytes={self.segment_bytes} is less than 1", "256 MiB is a good size")
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
        if self.quality is None:
            object.__setattr__(self, "quality", usual_quality(self.codec, self.profile, self.codec_options))

    def exact(self) -> "IngestOptions":
        """The same for features that no codec may round: whole numbers, truth values, complex numbers."""
        from lamofc_codecs import LOSSLESS

        return replace(self, codec=LOSSLESS, quality=None, profile=None, groups=(), codec_options={})

    @property
    def quality_text(self) -> str:
        """The quality as the rows name it."""
        return "" if self.quality is None else str(self.quality)


def usual_quality(
    codec: str, profile: "Profile | None" = None, codec_options: Mapping[str, Any] | None = None
) -> "Quality | None":
    """What is aimed at when nobody says: what the profile was fitted for, or else 15 dB; None where nothing is."""
    from lamofc_codecs import CodecError, Quality, open_codec, targets_of

    if profile is not None:
        opened = open_codec(profile)
        targets = opened.qualities
        if opened.quality is not None:
            return opened.quality
    else:
        try:
            targets = targets_of(codec, codec_options or {})
        except CodecError as error:
            raise BadArgument(error.message, error.cure) from error
    return Quality(snr_db=DEFAULT_SNR_DB) if "snr_db" in targets else None


@dataclass(slots=True)
class Report:
    """What an ingest did."""

    samples: int = 0
    """Samples taken in, in whole or in part."""
    records: int = 0
    """Features of samples; small ones, and those of a group, share what is stored."""
    shared: int = 0
    """Of them, those that are equal to one that was stored before, and are kept by its bytes."""
    shared_bytes: int = 0
    """Bytes that this saved."""
    already: int = 0
    """Records that were there with the same fingerprint."""
    skipped: int = 0
    """Samples left out because of an error."""
    raw_bytes: int = 0
    stored_bytes: int = 0
    seconds: float = 0.0
    commits: list[int] = field(default_factory=list)
    profiles: dict[str, str] = field(default_factory=dict)
    """Feature to the id of the profile used."""
    warnings: list[str] = field(default_factory=list)
    """What went in, but not well: profiles that do not fit."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON-able mapping."""
        return asdict(self)
