"""Bits against signal to noise, on samples that no fit has seen: `tools/bench rate SOURCE`.

`plain` is `klt` without transforms and layers: the same entropy coder, tables by channel and by token, and
rounding that weighs error against bits, so that what the transform and the means gain is seen by itself. A profile's
bytes are spread over 10 000 samples. The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs import Profile, Quality, Record, encode, fit
from lamofc_store.sample import pattern_for, to_tokens
from lamofc_tools import plots
from lamofc_tools.comparison import held_out_values
from lamofc_tools.machine import machine

SPREAD = 10_000
"""Samples that a profile's bytes are spread over."""
CODERS: dict[str, tuple[str, dict[str, object]]] = {
    "uniform": ("uniform", {}),
    "plain": ("klt", {"transform": "none", "waves": False, "levels": 1}),
    "klt, no means": ("klt", {"means": 0}),
    "klt": ("klt", {}),
}
Element = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True)
class Split:
    """Samples of one feature, or of a group, to fit on and to measure on."""

    name: str
    train: list[Element]
    test: list[Element]


@dataclass(frozen=True)
class Row:
    """What one coder takes at one aim; bits are per element."""

    feature: str
    coder: str
    aim_db: float | None
    snr_db: float
    payload: float
    stored: float
    profile: float
    """A profile's share, spread over 10 000 samples."""
    layers: int
    factor: float | None = None
    """Stored bits and profile, against `plain` at the same aim."""

    @property
    def total(self) -> float:
        """Everything."""
        return self.stored + self.profile


def splits(arguments: argparse.Namespace) -> Iterator[Split]:
    """Features and groups of the source, each with samples apart for the test."""
    samples = list(lamofc.sources.open(arguments.source))
    column = arguments.held_out_by
    if column:
        last = held_out_values(samples, column)
        is_test = [str(sample.attributes[column]) in last for sample in samples]
    else:
        is_test = [number >= 3 * len(samples) // 4 for number in range(len(samples))]
    names = sorted({name for sample in samples for name in sample.features})
    wanted = [(name, [name]) for name in names if fnmatchcase(name, arguments.feature)] if not arguments.group else []
    wanted += [(glob, [name for name in names if fnmatchcase(name, glob)]) for glob in arguments.group]
    for title, chosen in wanted:
        elements: list[Element] = []
        for sample in samples:
            flat = {
                name: to_tokens(tensor, pattern_for(name, tuple(tensor.shape), {}))
                for name, tensor in sample.features.items()
                if name in chosen
            }
            elements.append(flat if len(chosen) > 1 else flat[chosen[0]])
        train = [element for element, test in zip(elements, is_test, strict=True) if not test]
        test = [element for element, test in zip(elements, is_test, strict=True) if test]
        yield Split(title, train[: arguments.fit_samples], test[: arguments.test_samples])


def row(split: Split, coder: str, aim: float, records: Sequence[Record], profile: Profile) -> Row:
    """The figures of some records."""
    elements = sum(record.elements for record in records)
    signals = [(part.signal, part.bulk_sse) for record in records for part in record.parts or (record,)]
    shares = np.array([[error / signal, signal > 0] for signal, error in signals])
    per_sample = elements / len(records)
    return Row(
        feature=split.name,
        coder=coder,
        aim_db=aim,
        snr_db=float(-10 * np.log10(shares[:, 0].mean())),
        payload=sum(record.payload_bits for record in records) / elements,
        stored=sum(8 * len(record.data) for record in records) / elements,
        profile=8 * len(profile.data) / (SPREAD * per_sample),
        layers=max(len(record.layers) for record in records),
    )


def measure(split: Split, aims: Sequence[float]) -> Iterator[Row]:
    """All coders at all aims, and for single features what has one rate only."""
    grouped = isinstance(split.test[0], Mapping)
    for aim in aims:
        quality, base = Quality(snr_db=aim), 0.0
        for name, (codec, options) in CODERS.items():
            if grouped and codec != "klt":
                continue
            profile = fit(codec, split.train, quality, **options)  # type: ignore[arg-type]
            found = row(split, name, aim, encode(split.test, profile), profile)
            base = found.total if name == "plain" else base
            yield Row(**{**asdict(found), "factor": found.total / base if base else None})
    if not grouped:
        profile = fit("lloydmax", split.train)  # type: ignore[arg-type]
        yield row(split, "lloydmax", None, encode(split.test, profile), profile)  # type: ignore[arg-type]


def show(rows: Sequence[Row]) -> None:
    """A table."""
    heads = ("aim dB", "SNR dB", "payload", "stored", "profile", "all", "of plain")
    print(f"{'feature':16}{'coder':15}" + "".join(f"{head:>9}" for head in heads))
    for one in rows:
        aim = "-" if one.aim_db is None else f"{one.aim_db:g}"
        factor = "" if one.factor is None else f"{one.factor:.2f}x"
        print(
            f"{one.feature[:15]:16}{one.coder:15}{aim:>9}{one.snr_db:>9.2f}{one.payload:>9.4f}{one.stored:>9.4f}"
            f"{one.profile:>9.4f}{one.total:>9.4f}{factor:>9}"
        )


def means(rows: Sequence[Row]) -> dict[str, float]:
    """The geometric mean of the factor over features, of each coder at each aim."""
    found: dict[str, list[float]] = {}
    for one in rows:
        if one.factor is not None and one.coder != "plain":
            found.setdefault(f"{one.coder} at {one.aim_db:g} dB", []).append(one.factor)
    return {name: float(np.exp(np.mean(np.log(factors)))) for name, factors in found.items()}


def add_source(parser: argparse.ArgumentParser) -> None:
    """Arguments that say what to measure on."""
    parser.add_argument("source", help="a folder or a file of features")
    parser.add_argument("--feature", default="*", metavar="GLOB", help="only features of these names")
    parser.add_argument("--held-out-by", metavar="COLUMN", help="test on a quarter of this column's values")
    parser.add_argument("--fit-samples", type=int, default=1000, metavar="N", help="at most so many to fit on")
    parser.add_argument("--test-samples", type=int, default=60, metavar="N", help="at most so many to measure on")
    parser.set_defaults(group=[])


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(prog="tools/bench rate", description=(__doc__ or "").split("\n")[0])
    add_source(parser)
    parser.add_argument(
        "--group", action="append", default=[], metavar="GLOB", help="code features together; repeatable"
    )
    parser.add_argument("--aims", default="5,10,15,20,30", metavar="DB,...", help="signal to noise to aim at")
    parser.add_argument("--png", type=Path, metavar="FILE", help="a picture of rate against signal to noise")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and print one JSON line."""
    chosen = options(arguments)
    aims = [float(aim) for aim in chosen.aims.split(",")]
    rows: list[Row] = []
    for split in splits(chosen):
        if not split.train or not split.test:
            print(
                f"error: {split.name}: {len(split.train)} samples to fit on, {len(split.test)} to test", file=sys.stderr
            )
            print("try: a source of four samples or more, or another --held-out-by", file=sys.stderr)
            return 1
        rows.extend(measure(split, aims))
    print(machine())
    show(rows)
    summary = means(rows)
    for name, factor in summary.items():
        print(f"{name}: {factor:.3f}x of plain (geometric mean over features)")
    if chosen.png:
        plots.draw([asdict(one) | {"total": one.total} for one in rows], chosen.png)
    document: dict[str, Any] = {"machine": machine(), "rows": [asdict(one) for one in rows], "means": summary}
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
