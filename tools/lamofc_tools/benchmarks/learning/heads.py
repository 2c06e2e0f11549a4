"""What each bit is worth to a linear head, and what a fit saves that knows it: `tools/bench heads`.

DATA is a safetensors file of one feature, samples x tokens x channels, and `label`. Heads are logistic regressions on
mean-pooled tokens, trained on original features; every sample is judged once, by a head and a profile that never saw it
(folds). Then the classes are parted in two halves with a head each, and a profile is fitted for the first head alone,
for both, and for none: what the second head makes of each is the price of not being known. Rates are of records,
headers counted, profiles apart. The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import json
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
from lamofc_tools.heads import LinearHead, combined_weights, fit_linear, sensitivity
from lamofc_tools.machine import machine

RATES = "0.01,0.02,0.03,0.05,0.1,0.3,1,3"
Heads = Sequence[LinearHead]


@dataclass(frozen=True)
class Data:
    """Features, their classes, and the fold that each sample is judged in."""

    features: Tensor
    labels: Tensor
    fold: Tensor

    @classmethod
    def read(cls, file: Path, folds: int) -> Data:
        """Of a file."""
        tensors = load_file(file)
        names = [name for name in tensors if name != "label"]
        if "label" not in tensors or len(names) != 1 or tensors[names[0]].dim() != 3:
            raise BadArgument(f"{file} holds {sorted(tensors)}", "one feature, samples x tokens x channels, and label")
        labels = tensors["label"].long()
        return cls(tensors[names[0]], labels, torch.arange(len(labels)) % folds)

    @property
    def folds(self) -> int:
        """How many there are."""
        return int(self.fold.max()) + 1


def head_of(data: Data, chosen: Tensor) -> LinearHead:
    """A head trained on some samples."""
    rows = data.features[chosen].float().mean(1)
    return fit_linear(rows, data.labels[chosen], classes=int(data.labels.max()) + 1)


def right(head: LinearHead, features: Tensor, labels: Tensor) -> int:
    """How many samples it tells right."""
    with torch.no_grad():
        return int((head.scores(features.float().mean(1)).argmax(1) == labels).sum())


def profile_of(data: Data, chosen: Tensor, rate: float, heads: Heads) -> Profile:
    """Fitted on some samples, in the eyes of some heads."""
    samples = list(data.features[chosen])
    options: dict[str, Any] = {}
    if heads:
        batches = [[data.features[chosen]]]
        options["weight"] = combined_weights([sensitivity(head, batches)[0] for head in heads])
    return fit("klt", samples, Quality(bpfp=rate), **options)


def coded(data: Data, chosen: Tensor, profile: Profile) -> tuple[Tensor, int]:
    """Some samples as they come back, and their bits."""
    records = [record.data for record in encode(list(data.features[chosen]), profile)]
    return torch.stack(decode(records, profile)), 8 * sum(map(len, records))


def known(data: Data, rates: Sequence[float], tell: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Accuracy on originals, and at each rate by a plain fit and by one that knows the head."""
    total = len(data.labels)
    splits = [(data.fold != fold, data.fold == fold) for fold in range(data.folds)]
    heads = [head_of(data, train) for train, _ in splits]
    pairs = list(zip(splits, heads, strict=True))
    original = sum(right(head, data.features[test], data.labels[test]) for (_, test), head in pairs)
    yield {"fit": "original", "bpfp": 8.0 * data.features.element_size(), "accuracy": original / total}
    for name in ("plain", "for the head"):
        for rate in rates:
            hits = bits = 0
            for (train, test), head in pairs:
                profile = profile_of(data, train, rate, [head] if name != "plain" else [])
                back, spent = coded(data, test, profile)
                hits, bits = hits + right(head, back, data.labels[test]), bits + spent
            tell(f"{name} {rate:g}")
            yield {"fit": name, "asked": rate, "bpfp": bits / data.features.numel(), "accuracy": hits / total}


def unknown(data: Data, rates: Sequence[float], tell: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Accuracy of a head for the second half of the classes, by what the fit knew."""
    half = data.labels >= (int(data.labels.max()) + 1) // 2
    total = int(half.sum())
    for name in ("original", "plain", "for the other head", "for both"):
        for rate in rates if name != "original" else (0.0,):
            hits, bits, elements = 0, 0.0, 0
            for fold in range(data.folds):
                train, test = data.fold != fold, (data.fold == fold) & half
                one, other = head_of(data, train & ~half), head_of(data, train & half)
                heads = {"for the other head": [one], "for both": [one, other]}.get(name, [])
                back, spent = data.features[test], 0
                if name != "original":
                    back, spent = coded(data, test, profile_of(data, train, rate, heads))
                hits, bits, elements = (
                    hits + right(other, back, data.labels[test]),
                    bits + spent,
                    elements + back.numel(),
                )
            tell(f"second head, {name} {rate:g}")
            yield {"fit": name, "asked": rate, "bpfp": bits / elements, "accuracy": hits / total}


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """A table."""
    print(f"\n{title}\n{'fit':22}{'asked':>8}{'bits/element':>14}{'accuracy':>10}")
    for row in rows:
        asked = f"{row['asked']:g}" if row.get("asked") else "-"
        print(f"{row['fit']:22}{asked:>8}{row['bpfp']:>14.4f}{row['accuracy']:>10.3f}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench heads", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--folds", type=int, default=3, metavar="N")
    parser.add_argument("--rates", default=RATES, metavar="BITS,...")
    parser.add_argument("--other-rates", default="0.05,0.3", metavar="BITS,...", help="for the second head")
    chosen = parser.parse_args(arguments)
    data = Data.read(chosen.data, chosen.folds)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    print(f"{machine()}; {chosen.data.name}: {tuple(data.features.shape)}, {chosen.folds} folds")
    rates, others = ([float(rate) for rate in text.split(",")] for text in (chosen.rates, chosen.other_rates))
    tables = {"known": list(known(data, rates, tell)), "unknown": list(unknown(data, others, tell))}
    show("A head that the fit may know", tables["known"])
    show("A head for the second half of the classes", tables["unknown"])
    print(json.dumps({"machine": machine(), "data": chosen.data.name, "folds": chosen.folds, **tables}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
