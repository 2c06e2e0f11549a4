"""Rate and distortion of codecs on features or groups, on samples that no fit has seen.

`plain` is `klt` without transforms and layers: the same entropy coder, tables by channel and by token, and
rate-distortion optimised rounding. Against it the gain of the transform and of the token codebook is seen by itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs import Profile, Quality, Record, encode, fit
from lamofc_store.errors import SourceError
from lamofc_store.sample import pattern_for, to_tokens
from lamofc_tools.benchmarks.frame import Column, Report
from lamofc_tools.comparison import PROFILE_SAMPLES, held_out_values, spread_profile

CODERS: dict[str, tuple[str, dict[str, object]]] = {
    "uniform": ("uniform", {}),
    "plain": ("klt", {"transform": "none", "waves": False, "levels": 1}),
    "klt, no means": ("klt", {"means": 0}),
    "klt": ("klt", {}),
}
"""Codec and options of each coder."""
COLUMNS = (
    Column("feature", "feature", "<16"),
    Column("coder", "coder", "<14"),
    Column("aim_db", "target dB", ">9"),
    Column("snr_db", "SNR dB", ">8.2f"),
    Column("payload", "payload", ">8.4f"),
    Column("stored", "stored", ">8.4f"),
    Column("profile", "profile", ">8.4f"),
    Column("total", "total", ">8.4f"),
    Column("factor", "of plain", ">9.2f"),
)
UNITS = {
    "aim_db": "dB",
    "snr_db": "dB",
    "payload": "bits per element",
    "stored": "bits per element",
    "profile": f"bits per element, spread over {PROFILE_SAMPLES} samples",
    "factor": "stored bits and profile, as a ratio to plain",
}
Element = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True)
class GroupSplit:
    """Samples of one feature, or of a group, to fit on and to measure on."""

    name: str
    train: list[Element]
    test: list[Element]

    def __post_init__(self) -> None:
        if not self.train or not self.test:
            raise SourceError(
                f"{self.name}: {len(self.train)} samples to fit on, {len(self.test)} to test",
                "give a source of four samples or more, or another --held-out-by",
            )


@dataclass(frozen=True)
class RatePoint:
    """Figures of one coder at one signal-to-noise ratio; bits are per element."""

    feature: str
    coder: str
    aim_db: float | None
    snr_db: float
    payload: float
    stored: float
    profile: float
    """Share of the profile, spread over 10 000 samples."""
    layers: int
    factor: float | None = None
    """Stored bits and profile, as a ratio to `plain` at the same signal-to-noise ratio."""

    @property
    def total(self) -> float:
        """Stored bits and profile."""
        return self.stored + self.profile


def add_source_arguments(parser: argparse.ArgumentParser, instead: str = "") -> None:
    """Add the arguments that choose the samples to measure on; `instead` says which there are without a source."""
    words = "a folder or a file of features"
    parser.add_argument(
        "source", nargs="?" if instead else None, help=f"{words}; by default {instead}" if instead else words
    )
    parser.add_argument("--feature", default="*", metavar="GLOB", help="measure only features with matching names")
    parser.add_argument("--held-out-by", metavar="COLUMN", help="test on a quarter of this column's values")
    parser.add_argument("--fit-samples", type=int, default=1000, metavar="N", help="most samples to fit on")
    parser.add_argument("--test-samples", type=int, default=60, metavar="N", help="most samples to measure on")
    parser.set_defaults(group=[])


def source_splits(arguments: argparse.Namespace) -> Iterator[GroupSplit]:
    """Split the samples of each feature and group by a column, or measure the last quarter of the source."""
    samples = list(lamofc.sources.open(arguments.source))
    if arguments.held_out_by:
        held_out = held_out_values(samples, arguments.held_out_by)
        is_test = [str(sample.attributes[arguments.held_out_by]) in held_out for sample in samples]
    else:
        is_test = [number >= 3 * len(samples) // 4 for number in range(len(samples))]
    names = sorted({name for sample in samples for name in sample.features})
    groups = [] if arguments.group else [(name, [name]) for name in names if fnmatchcase(name, arguments.feature)]
    groups += [(glob, [name for name in names if fnmatchcase(name, glob)]) for glob in arguments.group]
    for title, members in groups:
        elements = [_element(sample, members) for sample in samples]
        train = [element for element, test in zip(elements, is_test, strict=True) if not test]
        test = [element for element, test in zip(elements, is_test, strict=True) if test]
        yield GroupSplit(title, train[: arguments.fit_samples], test[: arguments.test_samples])


def _element(sample: lamofc.Sample, features: Sequence[str]) -> Element:
    flat = {
        name: to_tokens(tensor, pattern_for(name, tuple(tensor.shape), {}))
        for name, tensor in sample.features.items()
        if name in features
    }
    return flat if len(features) > 1 else flat[features[0]]


def measure_rates(split: GroupSplit, targets_db: Sequence[float]) -> Iterator[RatePoint]:
    """Measure all coders at all signal-to-noise ratios, and for single features the codec of one rate."""
    grouped = isinstance(split.test[0], Mapping)
    for target in targets_db:
        quality, plain = Quality(snr_db=target), 0.0
        for name, (codec, options) in CODERS.items():
            if grouped and codec != "klt":
                continue
            profile = fit(codec, split.train, quality, **options)  # type: ignore[arg-type]
            point = rate_point(split, name, target, encode(split.test, profile), profile)
            plain = point.total if name == "plain" else plain
            yield RatePoint(**{**asdict(point), "factor": point.total / plain if plain else None})
    if not grouped:
        profile = fit("lloydmax", split.train)  # type: ignore[arg-type]
        yield rate_point(split, "lloydmax", None, encode(split.test, profile), profile)


def rate_point(
    split: GroupSplit, coder: str, target_db: float | None, records: Sequence[Record], profile: Profile
) -> RatePoint:
    """Compute the figures of some records."""
    elements = sum(record.elements for record in records)
    signals = [(part.signal, part.bulk_sse) for record in records for part in record.parts or (record,)]
    noise_shares = np.array([error / signal for signal, error in signals])
    return RatePoint(
        feature=split.name,
        coder=coder,
        aim_db=target_db,
        snr_db=float(-10 * np.log10(noise_shares.mean())),
        payload=sum(record.payload_bits for record in records) / elements,
        stored=sum(8 * len(record.data) for record in records) / elements,
        profile=spread_profile(len(profile.data), elements / len(records)),
        layers=max(len(record.layers) for record in records),
    )


def print_rates(points: Sequence[RatePoint], report: Report) -> dict[str, Any]:
    """Print the table and the means; return both as the benchmark's document."""
    report.table(COLUMNS, ({**asdict(point), "feature": point.feature[:15], "total": point.total} for point in points))
    means = geometric_means(points)
    for name, factor in means.items():
        report.line(f"{name}: {factor:.3f}x of plain (geometric mean over features)")
    return {"rows": [asdict(point) for point in points], "means": means}


def geometric_means(points: Sequence[RatePoint]) -> dict[str, float]:
    """Average the factor over features, for each coder at each signal-to-noise ratio."""
    factors: dict[str, list[float]] = {}
    for point in points:
        if point.factor is not None and point.coder != "plain":
            factors.setdefault(f"{point.coder} at {point.aim_db:g} dB", []).append(point.factor)
    return {name: float(np.exp(np.mean(np.log(several)))) for name, several in factors.items()}
