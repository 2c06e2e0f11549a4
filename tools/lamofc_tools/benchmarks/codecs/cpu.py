"""Measure how fast `klt` encodes and decodes on the CPU, beside CompressAI's Hyperprior.

Features are synthetic: random tokens with a power-law spectrum, or, as `picture`, patches with similar neighbours.
Decoding writes into existing tensors. Speeds are GB/s of float32, medians of several rounds. The Hyperprior's weights
are not trained: its layers cost the same, its entropy coder may differ. zfp, and zstd of float16, run on one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from lamofc_codecs import Quality, decode, encode, fit
from lamofc_tools.benchmarks import synthetic_features as synthetic
from lamofc_tools.benchmarks.external_speeds import external_speeds
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, names, numbers
from lamofc_tools.benchmarks.hyperprior import UntrainedHyperprior
from lamofc_tools.machine import median_seconds

BATCH, FIT_SAMPLES = 8, 16
COLUMNS = (
    Column("shape", "shape", "<16"),
    Column("coder", "coder", "<16"),
    Column("aim_db", "target dB", ">9"),
    Column("bits", "bits", ">8.3f"),
    Column("decode_gb_s", "decode GB/s", ">12.4f"),
    Column("encode_gb_s", "encode GB/s", ">12.4f"),
    Column("fit_s", "fit s", ">8.1f"),
    Column("times_hyperprior", "of hyperprior", ">13.1f"),
)
UNITS = {
    "aim_db": "dB",
    "bits": "bits per element",
    "decode_gb_s": "GB/s of float32",
    "encode_gb_s": "GB/s of float32",
    "decode_msymbol_s": "million elements per second",
    "fit_s": "s",
    "times_hyperprior": "ratio of decoding speeds",
}


def klt_row(shape: str, target_db: float, rounds: int, fit_samples: int = FIT_SAMPLES) -> dict[str, Any] | None:
    """Measure `klt` on one shape at one signal-to-noise ratio; None where its columns do not reach that ratio."""
    train, test = synthetic.synthetic_features(shape, fit_samples, 1), synthetic.synthetic_features(shape, BATCH, 2)
    components = min(synthetic.SHAPES[shape], synthetic.COMPONENTS)
    started = time.perf_counter()
    profile = fit("klt", train, Quality(snr_db=target_db), means=0, components=components)
    fitting = time.perf_counter() - started
    records = encode(test, profile)
    if any(record.codec != "klt" for record in records):
        return None
    data, out = [record.data for record in records], [torch.empty_like(tensor) for tensor in test]
    size, elements = sum(tensor.nbytes for tensor in test), sum(record.elements for record in records)
    return {
        "shape": shape,
        "coder": "klt",
        "aim_db": target_db,
        "bits": sum(record.payload_bits for record in records) / elements,
        "layers": len(records[0].layers),
        "decode_gb_s": size / median_seconds(lambda: decode(data, profile, out=out), rounds) / 1e9,
        "decode_msymbol_s": elements / median_seconds(lambda: decode(data, profile, out=out), rounds) / 1e6,
        "encode_gb_s": size / median_seconds(lambda: encode(test, profile), max(1, rounds // 3)) / 1e9,
        "fit_s": fitting,
    }


def hyperprior_row(shape: str, channels: int, rounds: int) -> dict[str, Any] | None:
    """Measure CompressAI's Hyperprior on one shape; None where CompressAI is not installed."""
    if not UntrainedHyperprior.available():
        return None
    model = UntrainedHyperprior(synthetic.TOKENS, channels)
    decoding, encoding = median_seconds(model.decode, rounds), median_seconds(model.encode, rounds)
    size = 4 * synthetic.TOKENS * channels / 1e9
    return {"shape": shape, "coder": "hyperprior", "decode_gb_s": size / decoding, "encode_gb_s": size / encoding}


def rows_of(shape: str, targets_db: Sequence[float], rounds: int, fit_samples: int) -> Iterator[dict[str, Any]]:
    """Measure all coders on one shape, the Hyperprior first."""
    hyperprior = hyperprior_row(shape, synthetic.SHAPES[shape], max(1, rounds // 3))
    if hyperprior:
        yield hyperprior
    test = synthetic.synthetic_features(shape, 2, 2)
    for speed in external_speeds(test, targets_db, max(1, rounds // 3)):
        yield {
            "shape": shape,
            "coder": speed.coder,
            "aim_db": speed.target_db,
            "bits": speed.bits,
            "decode_gb_s": speed.decode_gb_s,
            "encode_gb_s": speed.encode_gb_s,
        }
    for target in targets_db:
        missed = f"klt: {synthetic.COMPONENTS} columns are too few"
        yield klt_row(shape, target, rounds, fit_samples) or {"shape": shape, "coder": missed, "aim_db": target}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds of each measurement")
    parser.add_argument("--aims", type=numbers, default="5,10,20", metavar="DB,...", help="signal-to-noise ratios, dB")
    parser.add_argument("--fitted", type=int, default=FIT_SAMPLES, metavar="N", help="tensors that klt is fitted on")
    parser.add_argument("--shapes", type=names, default=",".join(synthetic.SHAPES), metavar="SHAPE,...", help="shapes")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure every shape."""
    report.table(COLUMNS)
    rows: list[dict[str, Any]] = []
    for shape in arguments.shapes:
        reference = 0.0
        for row in rows_of(shape, arguments.aims, arguments.rounds, arguments.fitted):
            reference = row["decode_gb_s"] if row["coder"] == "hyperprior" else reference
            if reference and "decode_gb_s" in row:
                row["times_hyperprior"] = row["decode_gb_s"] / reference
            report.row(row)
            rows.append(row)
    return {"rows": rows}


BENCHMARK = Benchmark("cpu", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
