"""Measure the accuracy of a linear head at each rate, and the gain of a fit that knows the head.

DATA is a safetensors file of one feature, samples x tokens x channels, and `label`. Heads are logistic regressions on
mean-pooled tokens, trained on original features. Every sample is classified once, by a head and a profile that were
made without it (folds). Then the classes are divided into two halves with a head each, and a profile is fitted for the
first head alone, for both, and for none: the accuracy of the second head shows the cost of not being known to the fit.
Rates are those of records, headers counted, profiles not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lamofc_codecs import Profile, Quality, decode, encode, fit
from lamofc_store.errors import BadArgument
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, numbers
from lamofc_tools.heads import LinearHead, combined_weights, fit_linear, sensitivity

RATES = "0.01,0.02,0.03,0.05,0.1,0.3,1,3"
COLUMNS = (
    Column("fit", "fit", "<22"),
    Column("asked", "target", ">8g"),
    Column("bpfp", "bits/element", ">13.4f"),
    Column("accuracy", "accuracy", ">9.3f"),
)
UNITS = {"asked": "bits per element", "bpfp": "bits per element", "accuracy": "share of samples"}
Heads = Sequence[LinearHead]


@dataclass(frozen=True)
class FoldedData:
    """Features, their classes, and the fold in which each sample is tested."""

    features: Tensor
    labels: Tensor
    fold: Tensor

    @classmethod
    def read(cls, file: Path, folds: int) -> FoldedData:
        """Read a safetensors file."""
        tensors = load_file(file)
        names = [name for name in tensors if name != "label"]
        if "label" not in tensors or len(names) != 1 or tensors[names[0]].dim() != 3:
            raise BadArgument(
                f"{file} holds {sorted(tensors)}", "give a file of one feature, samples x tokens x channels, and label"
            )
        labels = tensors["label"].long()
        return cls(tensors[names[0]], labels, torch.arange(len(labels)) % folds)

    @property
    def folds(self) -> int:
        """The number of folds."""
        return int(self.fold.max()) + 1


def fit_head(data: FoldedData, arguments: Tensor) -> LinearHead:
    """Train a head on some samples."""
    rows = data.features[arguments].float().mean(1)
    return fit_linear(rows, data.labels[arguments], classes=int(data.labels.max()) + 1)


def count_correct(head: LinearHead, features: Tensor, labels: Tensor) -> int:
    """Count the samples that a head classifies correctly."""
    with torch.no_grad():
        return int((head.scores(features.float().mean(1)).argmax(1) == labels).sum())


def fit_profile(data: FoldedData, arguments: Tensor, rate: float, heads: Heads) -> Profile:
    """Fit a profile on some samples, with errors weighted for some heads."""
    samples = list(data.features[arguments])
    options: dict[str, Any] = {}
    if heads:
        batches = [[data.features[arguments]]]
        options["weight"] = combined_weights([sensitivity(head, batches)[0] for head in heads])
    return fit("klt", samples, Quality(bpfp=rate), **options)


def decoded_features(data: FoldedData, arguments: Tensor, profile: Profile) -> tuple[Tensor, int]:
    """Encode and decode some samples; return them with the bits of their records."""
    records = [record.data for record in encode(list(data.features[arguments]), profile)]
    return torch.stack(decode(records, profile)), 8 * sum(map(len, records))


def known_head(data: FoldedData, rates: Sequence[float], progress: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Measure accuracy on originals, and at each rate with a plain fit and with one that knows the head."""
    total = len(data.labels)
    splits = [(data.fold != fold, data.fold == fold) for fold in range(data.folds)]
    heads = [fit_head(data, train) for train, _ in splits]
    pairs = list(zip(splits, heads, strict=True))
    original = sum(count_correct(head, data.features[test], data.labels[test]) for (_, test), head in pairs)
    yield {"fit": "original", "bpfp": 8.0 * data.features.element_size(), "accuracy": original / total}
    for name in ("plain", "for the head"):
        for rate in rates:
            correct = bits = 0
            for (train, test), head in pairs:
                profile = fit_profile(data, train, rate, [head] if name != "plain" else [])
                decoded, record_bits = decoded_features(data, test, profile)
                correct += count_correct(head, decoded, data.labels[test])
                bits += record_bits
            progress(f"{name} {rate:g}")
            yield {"fit": name, "asked": rate, "bpfp": bits / data.features.numel(), "accuracy": correct / total}


def unknown_head(data: FoldedData, rates: Sequence[float], progress: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Measure accuracy of a head for the second half of the classes, by the heads that the fit knew."""
    half = data.labels >= (int(data.labels.max()) + 1) // 2
    for name in ("original", "plain", "for the other head", "for both"):
        for rate in rates if name != "original" else (0.0,):
            correct, bits, elements = 0, 0, 0
            for fold in range(data.folds):
                train, test = data.fold != fold, (data.fold == fold) & half
                first, second = fit_head(data, train & ~half), fit_head(data, train & half)
                heads = {"for the other head": [first], "for both": [first, second]}.get(name, [])
                decoded, record_bits = data.features[test], 0
                if name != "original":
                    decoded, record_bits = decoded_features(data, test, fit_profile(data, train, rate, heads))
                correct += count_correct(second, decoded, data.labels[test])
                bits, elements = bits + record_bits, elements + decoded.numel()
            progress(f"second head, {name} {rate:g}")
            yield {"fit": name, "asked": rate, "bpfp": bits / elements, "accuracy": correct / int(half.sum())}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("data", type=Path, metavar="DATA", help="a safetensors file of one feature and `label`")
    parser.add_argument("--folds", type=int, default=3, metavar="N", help="folds of the samples")
    parser.add_argument("--rates", type=numbers, default=RATES, metavar="BITS,...", help="bits per element")
    parser.add_argument(
        "--other-rates", type=numbers, default="0.05,0.3", metavar="BITS,...", help="the same, for the second head"
    )


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure both questions."""
    data = FoldedData.read(arguments.data, arguments.folds)
    report.line(f"{arguments.data.name}: {tuple(data.features.shape)}, {arguments.folds} folds")
    for_known_head = list(known_head(data, arguments.rates, report.progress))
    for_unknown_head = list(unknown_head(data, arguments.other_rates, report.progress))
    report.line("\nA head that the fit may know")
    report.table(COLUMNS, for_known_head)
    report.line("\nA head for the second half of the classes")
    report.table(COLUMNS, for_unknown_head)
    return {"data": arguments.data.name, "folds": arguments.folds, "known": for_known_head, "unknown": for_unknown_head}


BENCHMARK = Benchmark("heads", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
