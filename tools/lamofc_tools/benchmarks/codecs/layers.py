"""One stored copy read at eight rates: `tools/bench layers SOURCE`.

Samples are ingested once; a dataset then reads as much of them as a signal to noise needs, and as a rate allows. Beside
each record that was read stand two of one level that were made from the start: one as large, to tell how many dB the
read is below it; and one as good, to tell how many bytes more it takes. The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs import Profile, Quality, decode, encode, fit, inspect, levels_of
from lamofc_tools.benchmarks.codecs import rate
from lamofc_tools.benchmarks.codecs.rate import Split
from lamofc_tools.machine import machine

READS = 8


@dataclass(frozen=True)
class Row:
    """One way of reading: means over samples."""

    feature: str
    read: str
    bits: float
    """Of what is read, an element."""
    snr_db: float
    below_db: float
    """How much better records of those bits are that were made for them."""
    more: float
    """Share of bytes above records that were made for that signal to noise."""


@dataclass(frozen=True)
class Sources:
    """What is read, and how to make records of it from the start."""

    name: str
    tensors: list[Tensor]
    middle: Tensor
    profile: Profile

    def snr_db(self, decoded: Sequence[Tensor]) -> list[float]:
        """Signal over error of each, in decibels."""
        pairs = zip(self.tensors, decoded, strict=True)
        errors = [
            (_power(out.double() - tensor.double()), _power(tensor.double() - self.middle)) for tensor, out in pairs
        ]
        return [10 * math.log10(signal / error) for error, signal in errors]

    def made(self, qualities: Sequence[Quality]) -> list[bytes]:
        """Records made for each one's quality."""
        wishes = zip(self.tensors, qualities, strict=True)
        return [encode([tensor], self.profile, quality=quality)[0].data for tensor, quality in wishes]

    def row(self, read: str, sizes: Sequence[int], decoded: Sequence[Tensor]) -> Row:
        """The figures of one way of reading."""
        snrs, counts = self.snr_db(decoded), [tensor.numel() for tensor in self.tensors]
        as_good = self.made([Quality(snr_db=snr) for snr in snrs])
        payloads = [size - inspect(data).size for size, data in zip(sizes, as_good, strict=True)]
        as_large = self.made([Quality(bpfp=8 * size / count) for size, count in zip(payloads, counts, strict=True)])
        return Row(
            self.name,
            read,
            8 * sum(sizes) / sum(counts),
            float(np.mean(snrs)),
            float(np.mean(self.snr_db(decode(as_large, self.profile))) - np.mean(snrs)),
            sum(sizes) / sum(map(len, as_good)) - 1,
        )


def measure(split: Split, aim: float, folder: Path) -> Iterator[Row]:
    """Eight reads from a store, then the end of each level."""
    tensors = [element for element in split.test if isinstance(element, Tensor)]
    profile = fit("klt", split.train, Quality(snr_db=aim))  # type: ignore[arg-type]
    single = Profile("klt", {**profile.config, "levels": 1}, profile.tensors)
    sources = Sources(split.name, tensors, profile.tensors["bulk_mean"].double(), single)
    with lamofc.create(str(folder / "reads.lamofc")) as store:
        samples = [lamofc.Sample(f"{number:06}", {"x": tensor}) for number, tensor in enumerate(tensors)]
        store.ingest(samples, profile=profile)
        for wish in _wishes(store, aim):
            dataset, every = store.dataset(["x"], quality=wish), list(range(len(tensors)))
            sizes = [len(dataset.packed([number])[0].buffer) for number in every]
            yield sources.row(str(wish), sizes, [example["x"] for example in dataset.__getitems__(every)])
    yield from _ends(sources, profile)


def _wishes(store: lamofc.Store, aim: float) -> list[Quality]:
    """Signals to noise up to the aim, and rates up to the whole record's."""
    query = "SELECT avg(8 * layers[1].bytes / elements), avg(8 * length / elements) FROM records"
    least, most = store.sql(query).fetchall()[0]
    half = READS // 2
    rates = np.geomspace(1.1 * least, 1.05 * most, half + 1)[:half]
    return [
        *(Quality(snr_db=float(wish)) for wish in np.linspace(aim / half, aim, half)),
        *(Quality(bpfp=float(f"{wish:.3g}")) for wish in rates),
    ]


def _ends(sources: Sources, profile: Profile) -> Iterator[Row]:
    """The prefixes of the records that end with a level."""
    records = [record.data for record in encode(sources.tensors, profile)]
    levels = [levels_of(data) for data in records]
    for level in range(max(map(len, levels))):
        prefixes = [_prefix(data, sum(counts[: level + 1])) for data, counts in zip(records, levels, strict=True)]
        yield sources.row(f"to level {level + 1}", [len(some) for some in prefixes], decode(prefixes, profile))


def _prefix(record: bytes, layers: int) -> bytes:
    header = inspect(record)
    return record[: header.size + sum(header.lengths[:layers])]


def _power(tensor: Tensor) -> float:
    return float(tensor.square().sum())


def show(rows: Sequence[Row]) -> None:
    """A table."""
    print(f"{'feature':16}{'read':15}{'bits':>8}{'SNR dB':>9}{'dB below':>10}{'bytes more':>12}")
    for one in rows:
        print(
            f"{one.feature[:15]:16}{one.read:15}{one.bits:>8.3f}{one.snr_db:>9.2f}{one.below_db:>10.2f}"
            f"{100 * one.more:>11.1f}%"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench layers", description=(__doc__ or "").split("\n")[0])
    rate.add_source(parser)
    parser.add_argument("--aim", type=float, default=20.0, metavar="DB", help="signal to noise of the stored copy")
    chosen = parser.parse_args(arguments)
    rows: list[Row] = []
    for split in rate.splits(chosen):
        with tempfile.TemporaryDirectory() as folder:
            rows.extend(measure(split, chosen.aim, Path(folder)))
    print(machine())
    show(rows)
    print(json.dumps({"machine": machine(), "rows": [asdict(one) for one in rows]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
