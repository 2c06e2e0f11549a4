"""Measure how long one core takes to decode small records of `klt`, together and one by one.

A text of 128 tokens x 384 channels is 98 kB of float16 and a few kilobytes of record, so that fixed costs of a record
count. Without a source the texts are synthetic. Times are medians of rounds on one thread, into existing tensors.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lamofc_codecs import Profile, Quality, decode, encode, fit
from lamofc_tools.benchmarks import synthetic_features as synthetic
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, numbers, whole_number
from lamofc_tools.benchmarks.rate_points import Element, GroupSplit, add_source_arguments, source_splits
from lamofc_tools.machine import median_seconds

_TOKENS, _CHANNELS, _FITTED, _MEASURED = 128, 384, 60, 60
COLUMNS = (
    Column("feature", "feature", "<16"),
    Column("aim_db", "target dB", ">9"),
    Column("record_bytes", "bytes", ">8.0f"),
    Column("together_ms", "together, ms", ">13.3f"),
    Column("single_ms", "one by one, ms", ">15.3f"),
    Column("encode_ms", "encode, ms", ">11.2f"),
)
UNITS = {
    "aim_db": "dB",
    "record_bytes": "bytes of a record",
    "together_ms": "ms of a core for each record of a batch",
    "single_ms": "ms of a core for each record that is decoded by a call of its own",
    "encode_ms": "ms of a core for each record",
}


def synthetic_texts() -> GroupSplit:
    """Return texts that were drawn, to fit on and to measure on."""
    whole = synthetic.random_tokens(_CHANNELS, _FITTED + _MEASURED, 1)
    drawn: list[Element] = [
        tensor[:_TOKENS].half() for tensor in whole
    ]  # before the massive activation, which stands later
    return GroupSplit("synthetic", drawn[:_FITTED], drawn[_FITTED:])


def rows_of(split: GroupSplit, targets_db: list[float], rounds: int) -> Iterator[dict[str, Any]]:
    """Measure the records of one feature at each signal-to-noise ratio."""
    test: list[Tensor] = [element for element in split.test if isinstance(element, Tensor)]
    for target in targets_db:
        profile = fit("klt", split.train, Quality(snr_db=target))  # type: ignore[arg-type]
        yield {"feature": split.name, "aim_db": target, **_speeds(test, profile, rounds)}


def _speeds(test: list[Tensor], profile: Profile, rounds: int) -> dict[str, float]:
    """Return the bytes of a record and the milliseconds that it takes."""
    data, out = [record.data for record in encode(test, profile)], [torch.empty_like(tensor) for tensor in test]

    def one_by_one() -> None:
        for record, tensor in zip(data, out, strict=True):
            decode([record], profile, out=[tensor])

    seconds = {
        "together_ms": median_seconds(lambda: decode(data, profile, out=out), rounds),
        "single_ms": median_seconds(one_by_one, rounds),
        "encode_ms": median_seconds(lambda: encode(test, profile), max(1, rounds // 3)),
    }
    milliseconds = {name: 1000 * value / len(test) for name, value in seconds.items()}
    return {"record_bytes": sum(map(len, data)) / len(data), **milliseconds}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    add_source_arguments(parser, "synthetic texts")
    parser.add_argument("--rounds", type=whole_number, default=15, metavar="N", help="rounds of each measurement")
    parser.add_argument("--aims", type=numbers, default="10,20", metavar="DB,...", help="signal-to-noise ratios, dB")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure every feature on one thread."""
    splits = [synthetic_texts()] if arguments.source is None else source_splits(arguments)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        report.table(COLUMNS)
        rows = []
        for split in splits:
            for row in rows_of(split, arguments.aims, arguments.rounds):
                rows.append(row)
                report.row(row)
    finally:
        torch.set_num_threads(threads)
    return {"rows": rows}


BENCHMARK = Benchmark("small", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
