"""Measure how fast `klt` fits, encodes and decodes a weighted group of a language model's features, stage by stage.

The group is the hidden state of Gemma 3 270M after block 4 with keys and values of blocks 0 to 4: 3200 channels, whose
errors count as the rest of the model feels them. With `--synthetic` it is drawn, and no model is needed.

Speeds are medians of several rounds on all cores: of fit in seconds, of encoding in MB/s of float16 source, of decoding
in GB/s of float32 that is written into existing tensors. Shares of stages are those of one more round on one thread,
sample by sample, as wall time of functions without the functions of other stages.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import lamofc_codecs
from lamofc_codecs import Profile
from lamofc_tools.benchmarks.codecs.group_features import GroupFeatures
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report
from lamofc_tools.benchmarks.stage_clock import Stage, StageClock
from lamofc_tools.consumer import PREFIX, TEXTS
from lamofc_tools.machine import median_seconds

_SPACE = (
    "klt.transform.coding_space",
    "klt.transform.error_weights",
    "klt.transform.stretches",
    "klt.transform.rotary",
)
_ENTROPY = ("klt.format.bitstream", "klt.layers", "level_coding", "entropy")
_TOKENS_IN_DIRECTIONS = ("klt.fit.pca:with_more", "klt.fit.pca:principal_about")
STAGES: Mapping[str, tuple[Stage, ...]] = {
    "fit": (
        Stage("statistics", ("stats.channel_statistics", "klt.fit.parts", "klt.fit.late_samples")),
        Stage("coding space", ("klt.fit.centring", *_SPACE)),
        Stage("covariance", ("klt.fit.pca:products_of", "klt.fit.pca:_variances", "klt.fit.pca:_products_about")),
        Stage("eigenvectors", ("klt.fit.pca",)),
        Stage("projection", ("klt.fit.codebook_size:calibration_of", "klt.fit.transforms:_in_channels")),
        Stage("codebook", ("klt.transform.token_codebook", "klt.fit.codebook_size", *_TOKENS_IN_DIRECTIONS)),
        Stage("grid", ("klt.fit.grid_search", "klt.fit.grid_trial"), with_callees=True),
        Stage("spreads", ("klt.fit.build_profile", "klt.quantise")),
        Stage("stored matrices", ("klt.fit.build_profile:_transform_tensors", "profile"), with_callees=True),
    ),
    "encode": (
        Stage("coding space", ("klt.encode.residual", *_SPACE)),
        Stage("codebook", ("klt.transform.token_codebook",)),
        Stage("transform", ("klt.encode.coefficients", "klt.transform.int8_transform")),
        Stage("search for the step", ("klt.encode", "klt.encode.rate_model:_costs", "stats")),
        Stage("errors of candidates", ("klt.encode.error_measure:measure", "klt.encode.distortion"), with_callees=True),
        Stage("quantise", ("klt.encode.quantised", "klt.quantise")),
        Stage("entropy code", _ENTROPY),
        Stage("source, record", ("source", "pipeline", "record", "runtime.casts")),
    ),
    "decode": (
        Stage("entropy decode", _ENTROPY),
        Stage("dequantise", ("klt.decode.sixteenths", "klt.layers.partial_level")),
        Stage("inverse transform", ("klt.decode.reconstruct", "klt.decode.products", "klt.transform.int8_transform")),
        Stage("positions", ("klt.transform.coding_space:leave", "klt.transform.rotary")),
        Stage("record", ("pipeline", "record")),
    ),
}
"""Stages of each verb, by the places of the codec where they are done."""
COLUMNS = (
    Column("verb", "verb", "<7"),
    Column("seconds", "seconds", ">9.3f"),
    Column("speed", "speed", ">9.3f"),
    Column("unit", "unit", "<15"),
    Column("budget", "budget", "<10"),
    Column("met", "met", "<5"),
)
STAGE_COLUMNS = (Column("verb", "verb", "<7"), Column("stage", "stage", "<22"), Column("share", "share", ">7.1%"))
PROFILE_COLUMNS = (Column("part", "part of the profile", "<30"), Column("bytes", "bytes", ">10"))
UNITS = {
    "fit": "s",
    "encode": "MB/s of float16",
    "decode": "GB/s of float32",
    "seconds": "s",
    "share": "share of the time",
    "bits": "bits per element",
}
_MAX_FIT_SECONDS, _MIN_ENCODE_MB_S, _MIN_DECODE_GB_S = 20.0, 50.0, 0.3
"""Budgets, on two cores and an idle machine: the fit of 200 samples of 192 tokens, encoding, decoding."""


def measure(features: GroupFeatures, rounds: int, fits: int) -> dict[str, Any]:
    """Measure one group."""

    def fit() -> Profile:
        names = sorted(features.fitted[0])
        return lamofc_codecs.fit("klt", features.fitted, features.quality, features=names, **features.options)

    fitting = median_seconds(fit, fits, warm=False)
    kept: list[Profile] = []
    fit_shares = _shares("fit", lambda: kept.append(fit()))
    profile, samples = kept[0], features.coded
    records = lamofc_codecs.encode(samples, profile)
    data = [record.data for record in records]
    elements = sum(record.elements for record in records)
    out = lamofc_codecs.decode(data, profile, dtype=torch.float32)
    encoding = median_seconds(lambda: lamofc_codecs.encode(samples, profile), rounds)
    decoding = median_seconds(lambda: lamofc_codecs.decode(data, profile, out=out), rounds)
    shares = {
        "fit": fit_shares,
        "encode": _shares("encode", lambda: [lamofc_codecs.encode([sample], profile) for sample in samples]),
        "decode": _shares("decode", lambda: [lamofc_codecs.decode([record], profile) for record in data]),
    }
    speeds = {"fit": fitting, "encode": 2 * elements / encoding / 1e6, "decode": 4 * elements / decoding / 1e9}
    return {
        "rows": [
            _row("fit", fitting, fitting, "<= 20", met=fitting <= _MAX_FIT_SECONDS),
            _row("encode", encoding, speeds["encode"], ">= 50", met=speeds["encode"] >= _MIN_ENCODE_MB_S),
            _row("decode", decoding, speeds["decode"], ">= 0.3", met=speeds["decode"] >= _MIN_DECODE_GB_S),
        ],
        "stages": [
            {"verb": verb, "stage": stage, "share": share}
            for verb, by_stage in shares.items()
            for stage, share in by_stage.items()
        ],
        "bits": sum(8 * len(record) for record in data) / elements,
        "profile": profile_parts(profile),
        "profile_bytes": len(profile.data),
        "fit_samples": len(features.fitted),
        "coded_samples": len(samples),
        "channels": sum(tensor.shape[1] for tensor in samples[0].values()),
        "threads": torch.get_num_threads(),
    }


def profile_parts(profile: Profile) -> dict[str, int]:
    """Return the bytes of each part of a profile, the largest first; the error weights of all features are one part."""
    sizes: dict[str, int] = {}
    for name, tensor in profile.tensors.items():
        part = name.partition(".")[0]
        sizes[part] = sizes.get(part, 0) + tensor.nbytes
    sizes["header"] = len(profile.data) - sum(sizes.values())
    return dict(sorted(sizes.items(), key=lambda part: -part[1]))


def _shares(verb: str, work: Callable[[], object]) -> dict[str, float]:
    return StageClock("lamofc_codecs", STAGES[verb]).shares(work)


def _row(verb: str, seconds: float, speed: float, budget: str, *, met: bool) -> dict[str, Any]:
    row = {"verb": verb, "seconds": seconds, "speed": speed, "unit": UNITS[verb], "budget": budget}
    return {**row, "met": "yes" if met else "no"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--model", metavar="FOLDER", help="a folder of transformers; by default Gemma 3 270M, fetched")
    parser.add_argument("--blocks", type=int, default=4, metavar="N", help="split after this block, counted from 0")
    parser.add_argument("--synthetic", action="store_true", help="draw features and weights; no model is read")
    parser.add_argument("--metric", type=Path, metavar="FILE", help="keep the metric here; take it if it is there")
    parser.add_argument("--metric-count", type=int, default=TEXTS, metavar="N", help="texts for the model's metric")
    parser.add_argument("--closed-form", action="store_true", help="estimate the metric of a Llama-like model")
    parser.add_argument("--samples", type=int, default=200, metavar="N", help="samples to fit on, at most")
    parser.add_argument("--coded", type=int, default=16, metavar="N", help="samples to encode and decode, at most")
    parser.add_argument("--tokens", type=int, default=PREFIX, metavar="N", help="tokens of a sample")
    parser.add_argument("--kl", type=float, default=0.05, metavar="NATS", help="divergence to code at")
    parser.add_argument("--snr", type=float, default=10.0, metavar="DB", help="ratio to code drawn features at")
    parser.add_argument("--fits", type=int, default=3, metavar="N", help="rounds of the fit")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds of encoding and decoding")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Make the group and measure it."""
    drawn = arguments.synthetic
    features = GroupFeatures.drawn(arguments) if drawn else GroupFeatures.of_model(arguments, report)
    figures = measure(features, arguments.rounds, arguments.fits)
    report.line(
        f"fit on {figures['fit_samples']} samples, {figures['coded_samples']} coded, of {arguments.tokens} tokens x "
        f"{figures['channels']} channels, {figures['threads']} threads: {figures['bits']:.3f} bits an element"
    )
    report.table(COLUMNS, figures["rows"])
    report.line()
    report.table(STAGE_COLUMNS, figures["stages"])
    report.line()
    report.table(PROFILE_COLUMNS, ({"part": part, "bytes": size} for part, size in figures["profile"].items()))
    return figures


BENCHMARK = Benchmark("group", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
