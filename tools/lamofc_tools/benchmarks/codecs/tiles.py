"""Measure the memory that a learned codec takes, by the size of its tiles (Linux only).

One large sample, of two planes one below the other as in DINOv3's segmentation, is assembled from tokens of the source.
For each tile size a fresh process codes a small sample, then encodes and decodes the large one. The figure is how far
its resident set rises above what it held before, source and output included.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs import Profile, fit
from lamofc_store.sample import pattern_for, to_tokens
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, names
from lamofc_tools.comparison import coding_memory

COLUMNS = (
    Column("tile", "tile", ">6"),
    Column("bpfp", "bpfp", ">8.4f"),
    Column("mse", "mse", ">10.4g"),
    Column("encode_mb", "encode MB", ">10.0f"),
    Column("decode_mb", "decode MB", ">10.0f"),
    Column("encode_seconds", "encode s", ">9.1f"),
    Column("decode_seconds", "decode s", ">9.1f"),
)
UNITS = {
    "tile": "pixels a side, 0 for the whole plane",
    "bpfp": "bits per element",
    "mse": "squared units of the feature",
    "encode_bytes": "bytes",
    "decode_bytes": "bytes",
    "encode_seconds": "s",
    "decode_seconds": "s",
    "source_bytes": "bytes",
}


def large_sample(path: str, tokens: int, channels: int) -> Tensor:
    """Assemble a tensor from tokens of a source's first feature, side by side until there are enough channels."""
    planes = []
    for sample in lamofc.sources.open(path):
        name, tensor = next(iter(sample.features.items()))
        planes.append(to_tokens(tensor, pattern_for(name, tuple(tensor.shape), {})).to(torch.float32))
    rows = torch.cat(planes)
    blocks = -(-channels // rows.shape[1])
    indices = torch.arange(tokens * blocks) % len(rows)
    return rows[indices].view(blocks, tokens, -1).transpose(0, 1).flatten(1)[:, :channels].contiguous()


def measure(weights: Profile, source: Tensor, tile: int) -> dict[str, Any]:
    """Measure one tile size."""
    profile = fit(weights.codec, [source[: len(source) // 8]], weights=weights, tile=tile)
    return {"tile": tile, **coding_memory(profile, source)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("source", help="a folder or a file of features")
    parser.add_argument("weights", type=Path, help="a file of trained weights")
    parser.add_argument(
        "--tiles", type=names, default="256,512,1024", metavar="N,...", help="multiples of 64; 0 is the whole plane"
    )
    parser.add_argument("--planes", type=int, default=2, metavar="N", help="planes of the large sample")
    parser.add_argument("--tokens", type=int, default=3141, metavar="N", help="tokens of each plane")
    parser.add_argument("--channels", type=int, default=4096, metavar="N", help="channels of each plane")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure every tile size."""
    source = large_sample(arguments.source, arguments.planes * arguments.tokens, arguments.channels)
    weights = Profile.load(arguments.weights)
    report.line(f"{weights.codec} {dict(weights.config)}")
    report.line(f"{arguments.planes} x {arguments.tokens} x {arguments.channels}: {source.nbytes / 1e6:.0f} MB")
    report.table(COLUMNS)
    rows = []
    for tile in map(int, arguments.tiles):
        row = measure(weights, source, tile)
        rows.append(row)
        megabytes = {f"{verb}_mb": row[f"{verb}_bytes"] / 1e6 for verb in ("encode", "decode")}
        report.row({**row, **megabytes, "tile": tile or "whole"})
    return {"source_bytes": source.nbytes, "weights": weights.id, "rows": rows}


BENCHMARK = Benchmark("tiles", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
