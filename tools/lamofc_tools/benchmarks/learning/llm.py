"""Bits that a language model feels: coders of its features at a split, by what the rest of the model answers after
them.

Gemma 3 270M is cut after a block. Its hidden state there, and keys and values of all blocks up to it, are coded for
the first tokens of each text; the rest of the model runs on what is decoded. Divergence from the unbroken run in nats,
and the share of positions at which the likeliest token is the same, are given for these tokens, which depend on the
hidden state, and for tokens that continue them, which read the caches. Coders learn from other texts, of another kind.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from lamofc_codecs import Quality
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, names
from lamofc_tools.benchmarks.learning.coded_texts import UNITS, code_texts, rows_of
from lamofc_tools.benchmarks.learning.gemma import gemma_folder
from lamofc_tools.benchmarks.learning.own_texts import fit_texts, measured_texts
from lamofc_tools.benchmarks.learning.peers.cachegen import CacheGen
from lamofc_tools.benchmarks.learning.peers.feature_coder import FeatureCoder, ModelFacts
from lamofc_tools.benchmarks.learning.peers.kivi import Kivi
from lamofc_tools.benchmarks.learning.peers.klt_for_model import KltForModel, OneFit
from lamofc_tools.benchmarks.learning.peers.kvtc import Kvtc
from lamofc_tools.benchmarks.learning.peers.lamofc_codec import LamofcCodec
from lamofc_tools.benchmarks.learning.peers.scaled_tokens import Fp8, Int8
from lamofc_tools.benchmarks.learning.peers.turboquant import TurboQuant
from lamofc_tools.consumer import (
    CONTINUATION,
    PREFIX,
    TEXTS,
    FidelityMeter,
    ModelMetric,
    Passages,
    Split,
    cut_passages,
    find_rotary,
    measure_metric,
)
from lamofc_tools.models import LoadedModel, ModelInput, find_inputs, open_model
from lamofc_tools.plots import draw_losses

_DIVERGENCES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
_DIVERGENCES_OF_CACHES = (0.02, 0.01, 0.005, 0.002, 0.001)
PEERS: tuple[FeatureCoder, ...] = (
    *(LamofcCodec("klt", Quality(snr_db=snr_db)) for snr_db in (10, 20, 30)),
    *(LamofcCodec("uniform", Quality(snr_db=snr_db)) for snr_db in (10, 20, 30)),
    LamofcCodec("lloydmax"),
    Fp8(),
    Int8(),
    *(Kivi(bits) for bits in (4, 2)),
    *(TurboQuant(bits) for bits in (4, 3, 2)),
    *(Kvtc(bits) for bits in (4, 2, 1)),
    Kvtc(2, window=128),
    *(CacheGen(bins) for bins in (128, 32, 16)),
)
COLUMNS = (
    Column("codec", "codec", "<14"),
    Column("setting", "setting", "<22"),
    Column("scope", "scope", "<7"),
    Column("bits", "bits", ">7.3f"),
    Column("profile_bits", "profile", ">8.4f"),
    Column("kl_prefix", "KL pre", ">8.4f"),
    Column("top1_prefix", "top1 pre", ">9.3f"),
    Column("kl_continued", "KL gen", ">8.4f"),
    Column("top1_continued", "top1 gen", ">9.3f"),
    Column("bits_caches", "caches", ">7.3f"),
    Column("bits_hidden", "hidden", ">7.3f"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--model", metavar="FOLDER", help="a folder of transformers; by default Gemma 3 270M, fetched")
    parser.add_argument("--fit-texts", metavar="FILE", help="texts to learn from, lines of JSON with id and text")
    parser.add_argument("--texts", metavar="FILE", help="texts to measure on, of the same form")
    parser.add_argument("--fit-count", type=int, default=120, metavar="N", help="most texts to learn from")
    parser.add_argument("--count", type=int, default=16, metavar="N", help="most texts to measure on")
    parser.add_argument("--metric-count", type=int, default=TEXTS, metavar="N", help="texts for the model's metric")
    parser.add_argument("--metric", type=Path, metavar="FILE", help="keep the metric here; take it if it is there")
    parser.add_argument("--blocks", type=int, default=4, metavar="N", help="split after this block, counted from 0")
    parser.add_argument("--tokens", type=int, default=PREFIX, metavar="N", help="coded tokens of a text")
    parser.add_argument("--continued", type=int, default=CONTINUATION, metavar="N", help="tokens after them")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="compare every so many-th of the coded tokens"
    )
    parser.add_argument("--codecs", type=names, metavar="GLOB,...", help="measure these coders only")
    parser.add_argument("--scopes", type=names, default="all,caches", metavar="SCOPE,...", help="all, caches")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw divergence against bits")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Extract, fit, code and replay."""
    loaded = open_model(str(arguments.model or gemma_folder()), dtype="float32")
    split = Split(loaded, arguments.blocks)
    cut = partial(cut_passages, loaded, prefix=arguments.tokens, continuation=arguments.continued)
    fitting = cut(_texts(arguments.fit_texts, fit_texts, 2 * arguments.fit_count)).first(arguments.fit_count)
    testing = cut(_texts(arguments.texts, measured_texts, 2 * arguments.count)).first(arguments.count)
    coders = _chosen(arguments.codecs)
    samples = [
        rows_of(features, split) for texts in fitting.batches(4) for features in _features(split, fitting, texts)
    ]
    report.progress(f"{len(samples)} texts to learn from, {len(testing.ids)} to measure on")
    facts = _facts(loaded, fitting, arguments, any(isinstance(coder, KltForModel) for coder in coders))
    meter = FidelityMeter(split, testing, every=arguments.every)
    report.progress("the unbroken model has answered")
    rows = []
    report.table(COLUMNS)
    for coder in coders:
        coder.fit(samples, facts)
        coded = code_texts(coder, meter)
        for scope in arguments.scopes:
            if scope in coder.scopes:
                rows.append(coded.row(scope, meter))
                report.row(rows[-1])
    if arguments.png:
        draw(rows, arguments.png)
    return {"rows": rows}


def _texts(file: str | None, own: Any, count: int) -> list[ModelInput]:
    texts: list[ModelInput] = own(count) if file is None else find_inputs(file, "texts")
    return texts


def coders() -> list[FeatureCoder]:
    """Return all coders, not fitted yet."""
    fits = OneFit(), OneFit(only_caches=True)
    ours = [KltForModel(kl, fits[0]) for kl in _DIVERGENCES]
    ours += [KltForModel(kl, fits[1]) for kl in _DIVERGENCES_OF_CACHES]
    return [*ours, *PEERS]


def _chosen(globs: Sequence[str] | None) -> list[FeatureCoder]:
    return [coder for coder in coders() if globs is None or any(fnmatchcase(coder.codec, glob) for glob in globs)]


def _features(split: Split, passages: Passages, texts: Sequence[str]) -> list[dict[str, Tensor]]:
    return split.features(passages.batch(texts)[:, : passages.prefix])


def _facts(loaded: LoadedModel, fitting: Passages, arguments: argparse.Namespace, with_metric: bool) -> ModelFacts:
    """Return the facts about the model; the metric, which takes minutes, only where a coder needs it."""
    rotary, file = find_rotary(loaded), arguments.metric
    if not with_metric:
        return ModelFacts(rotary)
    if file is not None and file.is_file():
        return ModelFacts(rotary, ModelMetric.load(file))
    metric = measure_metric(loaded, fitting.first(arguments.metric_count), arguments.blocks)
    if file is not None:
        metric.save(file)
    return ModelFacts(rotary, metric)


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a PNG of divergence against bits: a panel for the prefix and one for the continuation, a line a coder."""
    panels = (
        ("all", "kl_prefix", "KL of the prefix, nats"),
        ("all", "kl_continued", "KL of the continuation, nats"),
        ("caches", "kl_continued", "KL of the continuation, hidden state exact, nats"),
    )
    points = {
        label: [(str(row["codec"]), row["bits"], row[key]) for row in rows if row["scope"] == scope and row[key] > 0]
        for scope, key, label in panels
    }
    draw_losses(points, path)


BENCHMARK = Benchmark("llm", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
