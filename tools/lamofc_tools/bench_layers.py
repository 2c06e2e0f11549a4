"""One stored copy read at eight rates: `python -m lamofc_tools.bench_layers SOURCE`.

Samples are ingested once; a dataset then reads as many of their bytes as it may. Beside it stand records of one level
that were made for a rate from the start: how many dB a read is below them at its bytes, and at the end of each level,
how many bytes more it takes at its signal to noise. The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs import Profile, Quality, decode, encode, fit
from lamofc_codecs.klt_section import layers_of_levels
from lamofc_codecs.record import parse, sections
from lamofc_tools import bench_rate
from lamofc_tools.bench_rate import Split
from lamofc_tools.machine import machine

READS = 8
_SPACING_DB = 1.0

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Bits an element, and signal to noise, both rising."""


@dataclass(frozen=True)
class Row:
    """One way of reading."""

    feature: str
    read: str
    bits: float
    """Of what is read, an element."""
    snr_db: float
    made_db: float
    """Of records made for that rate."""
    made_bits: float
    """Of records made for that signal to noise."""


def snr_db(sources: Sequence[Tensor], decoded: Sequence[Tensor], middle: Tensor) -> float:
    """The mean over samples of signal over error, in decibels."""
    shares = [
        float((out.double() - source.double()).square().sum() / (source.double() - middle).square().sum())
        for source, out in zip(sources, decoded, strict=True)
    ]
    return float(-10 * np.log10(np.mean(shares)))


def made(split: Split, aim: float, middle: Tensor) -> Curve:
    """Records of one level, made for signals to noise up to the aim."""
    bits, snrs = [], []
    profile = fit("klt", split.train, Quality(snr_db=aim), levels=1)  # type: ignore[arg-type]
    for wish in np.arange(2.0, aim + 2 * _SPACING_DB, _SPACING_DB):
        records = encode(split.test, profile, quality=Quality(snr_db=float(wish)))
        decoded = decode([record.data for record in records], profile)
        bits.append(8 * sum(len(record.data) for record in records) / sum(record.elements for record in records))
        snrs.append(snr_db(split.test, decoded, middle))  # type: ignore[arg-type]
    return np.array(bits), np.array(snrs)


@dataclass(frozen=True)
class Sources:
    """What is read, and what to measure it against."""

    name: str
    tensors: list[Tensor]
    middle: Tensor
    curve: Curve

    def row(self, read: str, size: float, decoded: Sequence[Tensor]) -> Row:
        """The figures of one way of reading."""
        bits = 8 * size / sum(tensor.numel() for tensor in self.tensors)
        snr = snr_db(self.tensors, decoded, self.middle)
        rates, snrs = self.curve
        return Row(self.name, read, bits, snr, float(np.interp(bits, rates, snrs)), float(np.interp(snr, snrs, rates)))


def measure(split: Split, aim: float, folder: Path) -> Iterator[Row]:
    """Eight rates from a store, then the end of each level."""
    tensors = [element for element in split.test if isinstance(element, Tensor)]
    middle = torch.stack([tensor.double().mean(0) for tensor in tensors]).mean(0)
    sources = Sources(split.name, tensors, middle, made(split, aim, middle))
    profile = fit("klt", split.train, Quality(snr_db=aim))  # type: ignore[arg-type]
    with lamofc.create(str(folder / "reads.lamofc")) as store:
        samples = [lamofc.Sample(f"{number:06}", {"x": tensor}) for number, tensor in enumerate(tensors)]
        store.ingest(samples, profile=profile)
        for wish in _wishes(store):
            dataset, every = store.dataset(["x"], max_bpfp=wish), range(len(tensors))
            size = len(dataset.packed(every)[0].buffer)
            decoded = [example["x"] for example in dataset.__getitems__(list(every))]
            yield sources.row(f"at most {wish:.3f} b", size, decoded)
    yield from _ends(sources, profile)


def _wishes(store: lamofc.Store) -> list[float]:
    """Bits an element, from the first layer to all."""
    query = "SELECT avg(8 * layers[1].bytes / elements), avg(8 * length / elements) FROM records"
    least, most = store.sql(query).fetchall()[0]
    return [float(wish) for wish in np.geomspace(1.05 * least, 1.1 * most, READS)]


def _ends(sources: Sources, profile: Profile) -> Iterator[Row]:
    """The prefixes of the records that end with a level."""
    records = [record.data for record in encode(sources.tensors, profile)]
    levels = [layers_of_levels(sections(data, parse(data))[0]) for data in records]
    for level in range(max(map(len, levels))):
        prefixes = [_prefix(data, sum(counts[: level + 1])) for data, counts in zip(records, levels, strict=True)]
        yield sources.row(f"level {level + 1}", sum(map(len, prefixes)), decode(prefixes, profile))


def _prefix(record: bytes, layers: int) -> bytes:
    header = parse(record)
    return record[: header.size + sum(header.lengths[:layers])]


def show(rows: Sequence[Row]) -> None:
    """A table."""
    print(f"{'feature':16}{'read':18}{'bits':>8}{'SNR dB':>8}{'made dB':>9}{'below':>7}{'bytes more':>12}")
    for one in rows:
        more = 100 * (one.bits / one.made_bits - 1)
        print(
            f"{one.feature[:15]:16}{one.read:18}{one.bits:>8.3f}{one.snr_db:>8.2f}{one.made_db:>9.2f}"
            f"{one.made_db - one.snr_db:>7.2f}{more:>11.1f}%"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench layers", description=(__doc__ or "").split("\n")[0])
    bench_rate.add_source(parser)
    parser.add_argument("--aim", type=float, default=20.0, metavar="DB", help="signal to noise of the stored copy")
    chosen = parser.parse_args(arguments)
    rows: list[Row] = []
    for split in bench_rate.splits(chosen):
        with tempfile.TemporaryDirectory() as folder:
            rows.extend(measure(split, chosen.aim, Path(folder)))
    print(machine())
    show(rows)
    print(json.dumps({"machine": machine(), "rows": [asdict(one) for one in rows]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
