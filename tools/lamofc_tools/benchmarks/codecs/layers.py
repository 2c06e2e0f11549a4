"""Read one stored copy at eight rates, and compare each read with records made for that rate.

Samples are ingested once; a dataset then reads as much of them as a signal-to-noise ratio needs, or as a rate allows.
Beside each read stand two records of a single level: one of the same size, which shows how many dB the read is below
it, and one of the same signal-to-noise ratio, which shows how many bytes more the read takes.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs import Profile, Quality, decode, encode, fit, inspect, levels_of
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report
from lamofc_tools.benchmarks.rate_points import GroupSplit, add_source_arguments, source_splits

READS = 8
COLUMNS = (
    Column("feature", "feature", "<16"),
    Column("read", "read", "<15"),
    Column("bits", "bits", ">8.3f"),
    Column("snr_db", "SNR dB", ">8.2f"),
    Column("below_db", "dB below", ">9.2f"),
    Column("more", "bytes more", ">11.1%"),
)
UNITS = {"bits": "bits per element", "snr_db": "dB", "below_db": "dB", "more": "share of bytes"}


@dataclass(frozen=True)
class Row:
    """Figures of one way of reading: means over samples."""

    feature: str
    read: str
    bits: float
    """Bits read, per element."""
    snr_db: float
    below_db: float
    """How many dB better records of the same size are that were made for that size."""
    more: float
    """Share of bytes above records that were made for the same signal-to-noise ratio."""


@dataclass(frozen=True)
class Sources:
    """The tensors that are read, and a profile to make single-level records of them."""

    name: str
    tensors: list[Tensor]
    mean: Tensor
    profile: Profile

    def snr_db(self, decoded: Sequence[Tensor]) -> list[float]:
        """Compute the signal-to-noise ratio of each decoded tensor."""
        pairs = zip(self.tensors, decoded, strict=True)
        errors = [
            (_power(out.double() - tensor.double()), _power(tensor.double() - self.mean)) for tensor, out in pairs
        ]
        return [10 * math.log10(signal / error) for error, signal in errors]

    def records(self, qualities: Sequence[Quality]) -> list[bytes]:
        """Encode each tensor at its own quality."""
        pairs = zip(self.tensors, qualities, strict=True)
        return [encode([tensor], self.profile, quality=quality)[0].data for tensor, quality in pairs]

    def row(self, read: str, sizes: Sequence[int], decoded: Sequence[Tensor]) -> Row:
        """Compute the figures of one way of reading."""
        snrs, counts = self.snr_db(decoded), [tensor.numel() for tensor in self.tensors]
        same_snr = self.records([Quality(snr_db=snr) for snr in snrs])
        payloads = [size - inspect(data).size for size, data in zip(sizes, same_snr, strict=True)]
        same_size = self.records([Quality(bpfp=8 * size / count) for size, count in zip(payloads, counts, strict=True)])
        return Row(
            self.name,
            read,
            8 * sum(sizes) / sum(counts),
            float(np.mean(snrs)),
            float(np.mean(self.snr_db(decode(same_size, self.profile))) - np.mean(snrs)),
            sum(sizes) / sum(map(len, same_snr)) - 1,
        )


def measure(split: GroupSplit, target_db: float, folder: Path) -> Iterator[Row]:
    """Measure eight reads from a store, then the end of each level."""
    tensors = [element for element in split.test if isinstance(element, Tensor)]
    profile = fit("klt", split.train, Quality(snr_db=target_db))  # type: ignore[arg-type]
    single = Profile("klt", {**profile.config, "levels": 1}, profile.tensors)
    sources = Sources(split.name, tensors, profile.tensors["bulk_mean"].double(), single)
    with lamofc.create(str(folder / "reads.lamofc")) as store:
        samples = [lamofc.Sample(f"{number:06}", {"x": tensor}) for number, tensor in enumerate(tensors)]
        store.ingest(samples, profile=profile)
        for quality in _qualities(store, target_db):
            dataset, indices = store.dataset(["x"], quality=quality), list(range(len(tensors)))
            sizes = [len(dataset.packed([index])[0].buffer) for index in indices]
            yield sources.row(str(quality), sizes, [example["x"] for example in dataset.__getitems__(indices)])
    yield from _level_ends(sources, profile)


def _qualities(store: lamofc.Store, target_db: float) -> list[Quality]:
    """List signal-to-noise ratios up to the stored one, and rates up to that of whole records."""
    query = "SELECT avg(8 * layers[1].bytes / elements), avg(8 * length / elements) FROM records"
    first_layer, record = store.sql(query).fetchall()[0]
    half = READS // 2
    rates = np.geomspace(1.1 * first_layer, 1.05 * record, half + 1)[:half]
    return [
        *(Quality(snr_db=float(snr)) for snr in np.linspace(target_db / half, target_db, half)),
        *(Quality(bpfp=float(f"{rate:.3g}")) for rate in rates),
    ]


def _level_ends(sources: Sources, profile: Profile) -> Iterator[Row]:
    """Measure the prefixes of the records that end with a level."""
    records = [record.data for record in encode(sources.tensors, profile)]
    levels = [levels_of(data) for data in records]
    for level in range(max(map(len, levels))):
        prefixes = [_prefix(data, sum(counts[: level + 1])) for data, counts in zip(records, levels, strict=True)]
        yield sources.row(f"to level {level + 1}", [len(data) for data in prefixes], decode(prefixes, profile))


def _prefix(record: bytes, layers: int) -> bytes:
    header = inspect(record)
    return record[: header.size + sum(header.lengths[:layers])]


def _power(tensor: Tensor) -> float:
    return float(tensor.square().sum())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    add_source_arguments(parser)
    parser.add_argument(
        "--aim", type=float, default=20.0, metavar="DB", help="signal-to-noise ratio of the stored copy"
    )


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure every feature of a source."""
    report.table(COLUMNS)
    rows: list[Row] = []
    for split in source_splits(arguments):
        with tempfile.TemporaryDirectory() as folder:
            for row in measure(split, arguments.aim, Path(folder)):
                report.row({**asdict(row), "feature": row.feature[:15]})
                rows.append(row)
    return {"rows": [asdict(row) for row in rows]}


BENCHMARK = Benchmark("layers", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
