"""Measure the memory that decoding one large tensor takes beside its output (Linux only).

A fresh process decodes a small record with the same profile, and then the large one. The figure is how far its resident
set rises above what it held before, output included.
"""

from __future__ import annotations

import argparse
import sys

from lamofc_codecs import Quality, encode, fit
from lamofc_tools.benchmarks import synthetic_features as synthetic
from lamofc_tools.benchmarks.frame import Benchmark, Report
from lamofc_tools.comparison import decoding_memory

UNITS = {"output_bytes": "bytes", "record_bytes": "bytes", "added_bytes": "bytes"}


def peak(tokens: int, channels: int, target_db: float) -> dict[str, float]:
    """Measure the bytes that decoding one record adds to a process that has decoded before."""
    train = synthetic.random_tokens(channels, 6, 1)
    profile = fit("klt", train, Quality(snr_db=target_db), means=0, components=min(channels, synthetic.COMPONENTS))
    tensor = train[0].repeat(-(-tokens // len(train[0])), 1)[:tokens].contiguous()
    small, large = encode([train[0][:64], tensor], profile)
    if large.codec != "klt":
        raise AssertionError(f"{tokens} x {channels} at {target_db} dB was not coded by klt")
    added = decoding_memory(profile, small.data, large.data, (tokens, channels))
    return {"output_bytes": 4 * tokens * channels, "record_bytes": len(large.data), "added_bytes": added}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--tokens", type=int, default=3141, metavar="N", help="tokens of the large tensor")
    parser.add_argument("--channels", type=int, default=4096, metavar="N", help="channels of both tensors")
    parser.add_argument("--aim", type=float, default=10.0, metavar="DB", help="signal-to-noise ratio")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, float]:
    """Measure one tensor."""
    figures = peak(arguments.tokens, arguments.channels, arguments.aim)
    record, output, added = (figures[name] / 1e6 for name in ("record_bytes", "output_bytes", "added_bytes"))
    report.line(
        f"{arguments.tokens} x {arguments.channels} at {arguments.aim:g} dB: a record of {record:.2f} MB,"
        f" an output of {output:.1f} MB, and {added:.1f} MB beside it at the peak"
    )
    return figures


BENCHMARK = Benchmark("memory", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
