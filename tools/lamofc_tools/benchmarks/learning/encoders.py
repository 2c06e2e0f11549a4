"""Bits that encoders feel: codings of their features, by the answers of a head and by the states that they end with.

Two encoders with heads are cut after blocks: the vision transformer of the demo, which names digits, and MiniLM with a
linear head that says which package a paragraph of documentation is from. `klt` codes the features plainly, for the rest
of the encoder with its head (Fisher matrices), and for the rest without it (J'J of final states). Where the head reads
the features itself, its Jacobian weighs errors, too, as `--for-head` does. Losses are those of inputs that no fit saw.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamofc_codecs import Quality
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, names, numbers
from lamofc_tools.benchmarks.learning.peers.scaled_tokens import Fp8, Int8
from lamofc_tools.benchmarks.learning.readers.coded_features import (
    CodedFeatures,
    code_features,
    fit_profile,
    profile_bits,
)
from lamofc_tools.benchmarks.learning.readers.digit_encoder import digit_encoder
from lamofc_tools.benchmarks.learning.readers.equal_loss import bits_at
from lamofc_tools.benchmarks.learning.readers.labelled_encoder import LabelledEncoder
from lamofc_tools.benchmarks.learning.readers.text_encoder import text_encoder
from lamofc_tools.heads import combined_weights, sensitivity
from lamofc_tools.plots import draw_losses

PLAIN = "klt"
RATES = "0.05,0.1,0.2,0.35,0.6,1,2"
EQUAL_LOSSES = {"kl": (0.1, 0.02, 0.005), "state_error": (0.2, 0.05)}
"""Losses at which the bits of all codings are compared."""
COLUMNS = (
    Column("features", "features", "<12"),
    Column("codec", "codec", "<24"),
    Column("setting", "setting", "<14"),
    Column("bits", "bits", ">7.3f"),
    Column("profile_bits", "profile", ">8.4f"),
    Column("kl", "KL", ">8.4f"),
    Column("top1", "top-1", ">7.3f"),
    Column("accuracy", "accuracy", ">9.3f"),
    Column("state_error", "error", ">8.4f"),
)
EQUAL_COLUMNS = (
    Column("features", "features", "<12"),
    Column("codec", "codec", "<24"),
    *(Column(f"{loss}_{at:g}", f"{loss} {at:g}", ">16.3f") for loss, levels in EQUAL_LOSSES.items() for at in levels),
)
UNITS = {
    "bits": "bits per element, whole records",
    "profile_bits": "bits per element, spread over 10 000 samples",
    "kl": "nats an answer of the head",
    "top1": "share of inputs of which the head says the same as without coding",
    "accuracy": "share of inputs of which the head says the true class",
    "state_error": "squared error of final states, relative to their squares",
    "equal": "bits per element at a loss, profile counted",
}


def measure_codings(encoder: LabelledEncoder, rates: Sequence[float], waves: bool | None) -> Iterator[dict[str, Any]]:
    """Yield a row for each coding of the features of an encoder, cut after a block."""
    middle = Quality(bpfp=sorted(rates)[len(rates) // 2])
    for codec, options in _fits(encoder, waves).items():
        profile = fit_profile(encoder.samples, codec.split()[0], middle, **options)
        for quality in (Quality(bpfp=rate) for rate in rates):
            coded = code_features(encoder.measured_samples, profile, quality)
            yield _row(encoder, codec, str(quality), coded)
    for coder in (Fp8(), Int8()):
        yield _row(encoder, coder.codec, coder.setting, _scaled(encoder, coder))


def _fits(encoder: LabelledEncoder, waves: bool | None) -> dict[str, dict[str, Any]]:
    """Return the options of the fit of each codec."""
    common = {"waves": waves}
    fits: dict[str, dict[str, Any]] = {
        PLAIN: common,
        "klt for the head": {"metric": encoder.head_metric, **common},
        "klt for final states": {"metric": encoder.state_metric, **common},
    }
    head = encoder.directly_read
    if head is not None:
        batches = [[sample.features[encoder.feature]] for sample in encoder.samples]
        fits["klt by the head's J'J"] = {"weight": combined_weights(sensitivity(head, batches)), **common}
    return {**fits, "uniform": {}}


def _scaled(encoder: LabelledEncoder, coder: Fp8) -> CodedFeatures:
    """Code by eight bits a value, which nothing is fitted for."""
    decoded, size, elements = {}, 0, 0
    for sample in encoder.measured_samples:
        value = sample.features[encoder.feature]
        rows = value.float().reshape(-1, value.shape[-1])
        data = coder.pack(encoder.feature, rows.numpy())
        restored = torch.from_numpy(coder.unpack(encoder.feature, data, len(rows)).astype(np.float32))
        decoded[sample.id] = {encoder.feature: restored.reshape(value.shape)}
        size, elements = size + len(data), elements + value.numel()
    return CodedFeatures(decoded, 8 * size / elements, profile_bits(encoder.samples, 0))


def _row(encoder: LabelledEncoder, codec: str, setting: str, coded: CodedFeatures) -> dict[str, Any]:
    return {
        "features": encoder.name,
        "codec": codec,
        "setting": setting,
        "bits": coded.bits,
        "profile_bits": coded.profile_bits,
        **{name: value for name, value in encoder.losses(coded.decoded).items() if name != "positions"},
    }


def equal_bits(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each coding the bits at some losses, None where it does not cross one."""
    found = []
    for features, codec in dict.fromkeys((row["features"], row["codec"]) for row in rows):
        chosen = [row for row in rows if (row["features"], row["codec"]) == (features, codec)]
        bits = {
            f"{loss}_{at:g}": bits_at([(row["bits"] + row["profile_bits"], row[loss]) for row in chosen], at)
            for loss, levels in EQUAL_LOSSES.items()
            for at in levels
        }
        if len(chosen) > 1:
            found.append({"features": features, "codec": codec, **bits})
    return found


def encoders(arguments: argparse.Namespace) -> Iterator[tuple[LabelledEncoder, bool | None]]:
    """Make the encoders, cut after each of their blocks, and say whether codecs may use a cosine transform.

    A feature of a digit is so small that a record holds many, which it cannot behind a cosine transform over its grid.
    """
    if "digits" in arguments.encoders:
        digits = digit_encoder(arguments.digits, arguments.measured_digits, arguments.epochs)
        yield from ((digits.at(int(block)), False) for block in arguments.digit_blocks)
    if "texts" in arguments.encoders:
        texts = text_encoder(arguments.texts, arguments.measured_texts)
        yield from ((texts.at(int(block)), None) for block in arguments.text_blocks)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--encoders", type=names, default="digits,texts", metavar="NAME,...", help="digits, texts")
    parser.add_argument("--rates", type=numbers, default=RATES, metavar="BITS,...", help="bits per element")
    parser.add_argument("--digits", type=int, default=1347, metavar="N", help="digits to learn from")
    parser.add_argument("--measured-digits", type=int, default=450, metavar="N", help="digits to measure on")
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="epochs of the vision transformer")
    parser.add_argument("--digit-blocks", type=numbers, default="1,3", metavar="N,...", help="split after these of 4")
    parser.add_argument("--texts", type=int, default=400, metavar="N", help="texts to learn from")
    parser.add_argument("--measured-texts", type=int, default=160, metavar="N", help="texts to measure on")
    parser.add_argument("--text-blocks", type=numbers, default="3,5", metavar="N,...", help="split after these of 6")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw divergence against bits")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Train, fit, code, and run the rest of each encoder."""
    rows: list[dict[str, Any]] = []
    report.table(COLUMNS)
    for encoder, waves in encoders(arguments):
        for row in measure_codings(encoder, arguments.rates, waves):
            rows.append(row)
            report.row(row)
    equal = equal_bits(rows)
    report.line("\nBits per element at a loss, profile counted")
    report.table(EQUAL_COLUMNS, equal)
    if arguments.png:
        draw(rows, arguments.png)
    return {"rows": rows, "equal": equal}


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a PNG of divergence against bits: a panel for each encoder and block, a line for each coding."""
    panels = {
        f"{features}: KL, nats": [
            (str(row["codec"]), row["bits"] + row["profile_bits"], row["kl"])
            for row in rows
            if row["features"] == features and row["kl"] > 0
        ]
        for features in dict.fromkeys(row["features"] for row in rows)
    }
    draw_losses(panels, path)


BENCHMARK = Benchmark("encoders", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
