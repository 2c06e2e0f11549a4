"""Bits that a profile fitted for one consumer costs another: features coded for each of several, judged by all of them.

Features of the demo's vision transformer are read by its head, by whoever wants its final states, and by whoever wants
the features themselves. The hidden state of Gemma 3 270M after a block is read by the rest of the model, by a linear
probe of single tokens, and for itself. Profiles are fitted for each of these, for two at once, and for one with a floor
below which no direction counts, which keeps general use. The table gives for each profile and judge the ratio of bits
to those of the judge's own profile, at the loss that this one has at some bits, and the ratio of losses at those bits:
measured, and foretold by the judge's metric from the errors alone, without running the model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from lamofc_codecs import Quality
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, names, numbers
from lamofc_tools.benchmarks.learning.gemma import gemma_folder
from lamofc_tools.benchmarks.learning.own_texts import fit_texts, measured_texts
from lamofc_tools.benchmarks.learning.readers.coded_features import code_features, fit_profile
from lamofc_tools.benchmarks.learning.readers.digit_encoder import digit_encoder
from lamofc_tools.benchmarks.learning.readers.equal_loss import bits_at, loss_at
from lamofc_tools.benchmarks.learning.readers.shared_features import SharedFeatures, digit_features, hidden_features
from lamofc_tools.consumer import Split, cut_passages
from lamofc_tools.models import ModelInput, find_inputs, open_model

COLUMNS = (
    Column("features", "features", "<14"),
    Column("fitted_for", "fitted for", "<26"),
    Column("judge", "judged by", "<14"),
    Column("at", "at bits", ">8g"),
    Column("loss", "loss", ">9.4f"),
    Column("loss_ratio", "loss ratio", ">11.2f"),
    Column("foretold_ratio", "foretold", ">9.2f"),
    Column("bits_ratio", "bits ratio", ">11.2f"),
)
UNITS = {
    "bits": "bits per element, whole records",
    "profile_bits": "bits per element, spread over 10 000 samples",
    "losses": "nats an answer, or squared error relative to the squares",
    "foretold": "nats an answer, or squared change of an answer's values relative to their variance",
    "loss_ratio": "loss over that of the judge's own profile at equal bits, profile counted",
    "foretold_ratio": "the same of foretold losses",
    "bits_ratio": "bits over those of the judge's own profile at equal loss, profile counted",
}


def measure_profiles(shared: SharedFeatures, rates: Sequence[float]) -> Iterator[dict[str, Any]]:
    """Yield a row for each profile and rate, with the losses of all judges."""
    middle = Quality(bpfp=sorted(rates)[len(rates) // 2])
    for fitted_for, (metric, options) in shared.fits.items():
        profile = fit_profile(shared.samples, "klt", middle, metric, **options)
        for rate in rates:
            coded = code_features(shared.measured_samples, profile, Quality(bpfp=rate))
            yield {
                "features": shared.name,
                "fitted_for": fitted_for,
                "setting": f"bpfp={rate:g}",
                "bits": coded.bits,
                "profile_bits": coded.profile_bits,
                "losses": dict(shared.losses(coded.decoded)),
                "foretold": shared.foretold(coded.decoded),
            }


def matrix(rows: Sequence[Mapping[str, Any]], reference_bits: Sequence[float]) -> list[dict[str, Any]]:
    """Return a cell for each profile and judge at each number of bits, beside the judge's own profile."""
    curves = {
        (row["features"], row["fitted_for"], kind, judge): [
            (other["bits"] + other["profile_bits"], other[kind][judge])
            for other in rows
            if (other["features"], other["fitted_for"]) == (row["features"], row["fitted_for"])
        ]
        for row in rows
        for kind in ("losses", "foretold")
        for judge in row[kind]
    }
    cells = []
    for (features, fitted_for, kind, judge), curve in curves.items():
        for at in reference_bits if kind == "losses" else ():
            own = curves[features, judge, kind, judge]
            loss, own_loss = loss_at(curve, at), loss_at(own, at)
            foretold = [loss_at(curves[features, name, "foretold", judge], at) for name in (fitted_for, judge)]
            cells.append(
                {
                    "features": features,
                    "fitted_for": fitted_for,
                    "judge": judge,
                    "at": at,
                    "loss": loss,
                    "loss_ratio": _ratio(loss, own_loss),
                    "foretold_ratio": _ratio(*foretold),
                    "bits_ratio": None if own_loss is None else _ratio(bits_at(curve, own_loss), at),
                }
            )
    return cells


def _ratio(found: float | None, own: float | None) -> float | None:
    return None if found is None or own is None else found / own


def shared_features(arguments: argparse.Namespace, report: Report) -> Iterator[SharedFeatures]:
    """Make the features of each model, with the consumers that share them."""
    if "digits" in arguments.models:
        encoder = digit_encoder(arguments.digits, arguments.measured_digits, arguments.epochs)
        yield digit_features(encoder.at(arguments.digit_block))
    if "gemma" in arguments.models:
        loaded = open_model(str(arguments.model or gemma_folder()), dtype="float32")
        cut = partial(cut_passages, loaded, prefix=arguments.tokens, continuation=2)
        learned = cut(_texts(arguments.fit_texts, fit_texts, 2 * arguments.fit_count)).first(arguments.fit_count)
        measured = cut(_texts(arguments.texts, measured_texts, 2 * arguments.count)).first(arguments.count)
        report.progress(f"{len(learned.ids)} texts to learn from, {len(measured.ids)} to measure on")
        split = Split(loaded, arguments.block)
        yield hidden_features(split, learned, measured, arguments.metric_count, arguments.every)


def _texts(file: str | None, own: Callable[[int], list[ModelInput]], count: int) -> list[ModelInput]:
    return own(count) if file is None else find_inputs(file, "texts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--models", type=names, default="digits,gemma", metavar="NAME,...", help="digits, gemma")
    parser.add_argument(
        "--rates", type=numbers, default="0.1,0.2,0.4,0.8,1.6", metavar="BITS,...", help="bits an element"
    )
    parser.add_argument(
        "--at", type=numbers, default="0.3,0.8", metavar="BITS,...", help="bits at which losses are compared"
    )
    parser.add_argument("--digits", type=int, default=1347, metavar="N", help="digits to learn from")
    parser.add_argument("--measured-digits", type=int, default=450, metavar="N", help="digits to measure on")
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="epochs of the vision transformer")
    parser.add_argument("--digit-block", type=int, default=3, metavar="N", help="split it after this block of 4")
    parser.add_argument("--model", metavar="FOLDER", help="a folder of transformers; by default Gemma 3 270M, fetched")
    parser.add_argument("--block", type=int, default=4, metavar="N", help="split it after this block, counted from 0")
    parser.add_argument("--fit-texts", metavar="FILE", help="texts to learn from, lines of JSON with id and text")
    parser.add_argument("--texts", metavar="FILE", help="texts to measure on, of the same form")
    parser.add_argument("--fit-count", type=int, default=64, metavar="N", help="most texts to learn from")
    parser.add_argument("--metric-count", type=int, default=24, metavar="N", help="texts for the model's metric")
    parser.add_argument("--count", type=int, default=8, metavar="N", help="most texts to measure on")
    parser.add_argument("--tokens", type=int, default=96, metavar="N", help="tokens of a text")
    parser.add_argument("--every", type=int, default=4, metavar="N", help="compare answers at every so many-th token")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Fit for each consumer, code, and let all of them judge."""
    rows: list[dict[str, Any]] = []
    for shared in shared_features(arguments, report):
        for row in measure_profiles(shared, arguments.rates):
            rows.append(row)
            report.progress(f"{row['features']}, {row['fitted_for']}, {row['setting']}: {row['losses']}")
    cells = matrix(rows, arguments.at)
    report.table(COLUMNS, cells)
    return {"rows": rows, "matrix": cells}


BENCHMARK = Benchmark("consumers", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
