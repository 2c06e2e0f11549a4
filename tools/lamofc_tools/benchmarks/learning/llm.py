"""Bits that a language model feels: coders of its features at a split, by what the rest of the model answers after
them.

Gemma 3 270M is cut after a block. Its hidden state there, and keys and values of all blocks up to it, are coded for
the first tokens of each text; the rest of the model runs on what is decoded. Divergence from the unbroken run in nats,
and the share of positions at which the likeliest token is the same, are given for these tokens, which depend on the
hidden state, and for tokens that continue them, which read the caches. Coders learn from other texts, of another kind.

Blocks, tokens and numbers of texts to learn from may be lists. Each list varies by itself, while the others stay at
their only value or, of several, at the default. The metric of a block is measured once, on texts of the largest number,
and where lengths vary at the default length or, if that is not among them, at the first.

The coders `ablation: ...` leave out one step each of `klt for model`, and `klt with gains` and `klt guided` take a
minute or more a text; all of them are measured when --codecs names them. The last table has the bits at which the
divergence of prefix and of continuation, or that of the continuation where caches alone are coded, is small.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from lamofc_codecs import UnsupportedInput
from lamofc_store.errors import BadArgument
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, names, whole_number
from lamofc_tools.benchmarks.learning.gemma import gemma_folder
from lamofc_tools.benchmarks.learning.own_texts import fit_texts, manual_pages, measured_texts
from lamofc_tools.benchmarks.learning.peers.coders import TRAIN_STEPS, choose_coders
from lamofc_tools.benchmarks.learning.peers.feature_coder import ALL, CACHES, FeatureCoder
from lamofc_tools.benchmarks.learning.replayed import bits_at
from lamofc_tools.benchmarks.learning.replayed.coded_texts import UNITS, code_texts, replay_of
from lamofc_tools.benchmarks.learning.replayed.swept_model import Setting, Sweep, SweptModel, check_pattern
from lamofc_tools.consumer import CONTINUATION, TEXTS, FidelityMeter
from lamofc_tools.models import ModelInput, find_inputs, open_model
from lamofc_tools.plots import draw_losses

_SETTING_COLUMNS = {
    "block": Column("block", "block", ">5"),
    "tokens": Column("tokens", "tokens", ">6"),
    "fit_texts": Column("fit_texts", "fit texts", ">9"),
}
_CODEC, _SCOPE = Column("codec", "codec", "<22"), Column("scope", "scope", "<7")
COLUMNS = (
    _CODEC,
    Column("setting", "setting", "<22"),
    _SCOPE,
    Column("bits", "bits", ">7.3f"),
    Column("profile_bits", "profile", ">8.4f"),
    Column("kl_prefix", "KL pre", ">8.4f"),
    Column("top1_prefix", "top1 pre", ">9.3f"),
    Column("kl_continued", "KL gen", ">8.4f"),
    Column("top1_continued", "top1 gen", ">9.3f"),
    Column("bits_caches", "caches", ">7.3f"),
    Column("bits_hidden", "hidden", ">7.3f"),
)
SUMMARY = (_CODEC, _SCOPE, *bits_at.COLUMNS)


def whole_numbers(text: str) -> list[int]:
    """Parse an argument such as `0,4,9`."""
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers, such as 2,4,9")
    return [int(part) for part in parts]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    usual = Setting()
    parser.add_argument("--model", metavar="FOLDER", help="a folder of transformers; by default Gemma 3 270M, fetched")
    parser.add_argument("--fit-texts", metavar="FILE", help="texts to learn from, lines of JSON with id and text")
    parser.add_argument("--texts", metavar="FILE", help="texts to measure on, of the same form")
    parser.add_argument(
        "--texts-of", metavar="LANGUAGE", help="measure on this machine's manual pages in a language, such as de"
    )
    _add_list(parser, "--fit-count", usual.fit_texts, "most texts to learn from")
    parser.add_argument("--count", type=whole_number, default=16, metavar="N", help="most texts to measure on")
    parser.add_argument(
        "--metric-count", type=whole_number, default=TEXTS, metavar="N", help="texts for the model's metric"
    )
    parser.add_argument(
        "--metric",
        type=Path,
        metavar="FILE",
        help="keep the metric here, and take it if it is there; {block} in the name gives each block its own file",
    )
    _add_list(parser, "--blocks", usual.block, "split after these blocks, counted from 0")
    _add_list(parser, "--tokens", usual.tokens, "coded tokens of a text")
    parser.add_argument("--continued", type=whole_number, default=CONTINUATION, metavar="N", help="tokens after them")
    parser.add_argument(
        "--every", type=whole_number, default=1, metavar="N", help="compare one of so many coded tokens"
    )
    parser.add_argument(
        "--packed", action="store_true", help="measure on sequences of half a text and the beginning of the next"
    )
    parser.add_argument("--codecs", type=names, metavar="GLOB,...", help="measure these coders only")
    parser.add_argument("--scopes", type=names, default="all,caches", metavar="SCOPE,...", help="all, caches")
    parser.add_argument(
        "--train-steps",
        type=whole_number,
        default=TRAIN_STEPS,
        metavar="N",
        help="steps of each training of hyperprior",
    )
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw divergence against bits")
    parser.add_argument(
        "--beside",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a document of an earlier run, whose rows are summed up and drawn, too; repeatable",
    )


def _add_list(parser: argparse.ArgumentParser, name: str, usual: int, words: str) -> None:
    parser.add_argument(name, type=whole_numbers, default=str(usual), metavar="N,...", help=words)


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Extract, fit, code and replay."""
    sweep = Sweep.of(arguments.blocks, arguments.tokens, arguments.fit_count)
    check_pattern(arguments.metric, arguments.blocks)
    beside = [row for path in arguments.beside for row in _rows_of(path)]
    _require_coders(arguments, report)
    loaded = open_model(str(arguments.model or gemma_folder()), dtype="float32")
    model = SweptModel(loaded, arguments.continued, _fit_texts(arguments), _measured_texts(arguments))
    testing = model.all_testing(sweep, arguments.count, packed=arguments.packed)
    facts = model.facts(sweep.metric_setting, arguments.metric_count, arguments.metric)
    varying = [_SETTING_COLUMNS[name] for name in sweep.varying]
    figures: dict[str, list[dict[str, Any]]] = {"rows": [], "left_out": []}
    report.table([*varying, *COLUMNS])
    for (block, tokens), settings in groupby(sweep.settings, lambda setting: (setting.block, setting.tokens)):
        meter = FidelityMeter(model.split(block), testing[tokens], every=arguments.every)
        for setting in settings:
            samples = model.samples(setting)
            place = {"block": block, "tokens": tokens, "fit_texts": len(samples), "texts": len(meter.features)}
            report.progress(", ".join(f"{name} {value}" for name, value in place.items()))
            for coder, scopes in _coders(arguments):
                coder.fit(samples, replace(facts(block), replay=replay_of(meter)))
                _measure(coder, scopes, meter, place, report, figures)
    together = [*figures["rows"], *beside]
    summary = bits_at.bits_at(together)
    report.line()
    report.table([*varying, *SUMMARY], summary)
    if arguments.png:
        draw(together, arguments.png, sweep.varying)
    return {**figures, "bits_at": summary}


def _coders(arguments: argparse.Namespace) -> Iterator[tuple[FeatureCoder, list[str]]]:
    """Yield the chosen coders that run here, not fitted yet, each with those of the chosen scopes that it has."""
    for coder in choose_coders(arguments.codecs, arguments.train_steps):
        scopes = [scope for scope in arguments.scopes if scope in coder.scopes]
        if scopes and not coder.lack():
            yield coder, scopes


def _require_coders(arguments: argparse.Namespace, report: Report) -> None:
    """Name the coders that this machine lacks something for; BadArgument if none is left."""
    if not set(arguments.scopes) <= {ALL, CACHES}:
        raise BadArgument(f"scopes {', '.join(arguments.scopes)}", f"give {ALL}, {CACHES} or both")
    chosen = choose_coders(arguments.codecs, arguments.train_steps)
    lacks = {coder.codec: lack for coder in chosen if (lack := coder.lack())}
    for codec, lack in lacks.items():
        report.line(f"{codec} is left out: {lack}")
    if not any(_coders(arguments)):
        scopes = ", ".join(dict.fromkeys(scope for coder in chosen for scope in coder.scopes))
        raise BadArgument(
            f"none of {len(chosen)} coders is left, with scopes {', '.join(arguments.scopes)}",
            "; ".join(lacks.values()) or f"give scopes {scopes}",
        )


def _measure(
    coder: FeatureCoder,
    scopes: Sequence[str],
    meter: FidelityMeter,
    place: Mapping[str, int],
    report: Report,
    figures: Mapping[str, list[dict[str, Any]]],
) -> None:
    """Add the rows of a coder to the figures, or why it is left out, such as a quality that is beyond its profile."""
    try:
        coded = code_texts(coder, meter)
    except UnsupportedInput as error:
        figures["left_out"].append({**place, "codec": coder.codec, "setting": coder.setting, "why": str(error)})
        report.line(f"{coder.codec} {coder.setting} is left out: {error}")
        return
    for scope in scopes:
        figures["rows"].append({**place, **coded.row(scope, meter), **coder.figures})
        report.row(figures["rows"][-1])


def _rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a document that this benchmark wrote."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("bench") != "llm" or not isinstance(document.get("rows"), list):
        raise BadArgument(f"{path} is no document of this benchmark", "give the --output of tools/bench llm")
    rows: list[dict[str, Any]] = document["rows"]
    return rows


def _fit_texts(arguments: argparse.Namespace) -> Callable[[int], Sequence[ModelInput]]:
    """Return the function from a count to texts to learn from."""
    file = arguments.fit_texts
    return fit_texts if file is None else lambda count: find_inputs(file, "texts")


def _measured_texts(arguments: argparse.Namespace) -> Sequence[ModelInput]:
    """Return texts to measure on; more than are needed, since some may be too short."""
    count = 2 * arguments.count
    if arguments.texts is not None:
        return find_inputs(arguments.texts, "texts")
    return measured_texts(count) if arguments.texts_of is None else manual_pages(arguments.texts_of, count)


def draw(rows: Sequence[Mapping[str, Any]], path: Path, varying: Sequence[str] = ()) -> None:
    """Write a PNG of divergence against bits: a panel for the prefix and one for the continuation, a line a coder.

    Lines are told apart by what varies, too.
    """
    panels = (
        ("all", "kl_prefix", "KL of the prefix, nats"),
        ("all", "kl_continued", "KL of the continuation, nats"),
        ("caches", "kl_continued", "KL of the continuation, hidden state exact, nats"),
    )
    points = {
        label: [
            (", ".join([str(row["codec"]), *(f"{name} {row[name]}" for name in varying)]), row["bits"], row[key])
            for row in rows
            if row["scope"] == scope and row[key] > 0
        ]
        for scope, key, label in panels
    }
    draw_losses(points, path)


BENCHMARK = Benchmark("llm", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
