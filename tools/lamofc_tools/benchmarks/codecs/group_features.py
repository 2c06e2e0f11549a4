"""A group of features of a language model with the weights that the rest of the model gives them; or a drawn one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lamofc_codecs import Quality
from lamofc_tools.benchmarks import synthetic_features as synthetic
from lamofc_tools.benchmarks.frame import Report
from lamofc_tools.benchmarks.learning.gemma import gemma_folder
from lamofc_tools.benchmarks.learning.own_texts import fit_texts, measured_texts
from lamofc_tools.benchmarks.learning.replayed.coded_texts import rows_of
from lamofc_tools.consumer import (
    Consumer,
    ModelMetric,
    Passages,
    Split,
    closed_form_metric,
    cut_passages,
    find_rotary,
    measure_metric,
)
from lamofc_tools.models import ModelInput, open_model

DRAWN_WIDTHS = {f"layer.{block}.{name}_cache": 256 for block in range(5) for name in "kv"} | {"layer.4.output": 640}
"""Channels of the features of Gemma 3 270M after block 4."""
_PIECES = 2
"""Pieces of a text, each of which is a sample."""
_CONTINUATION = 48

Sample = Mapping[str, Tensor]


@dataclass(frozen=True)
class GroupFeatures:
    """Samples to fit on and samples to code, float16, with the options of the fit."""

    fitted: Sequence[Sample]
    coded: Sequence[Sample]
    quality: Quality
    options: Mapping[str, Any]

    @classmethod
    def of_model(cls, arguments: argparse.Namespace, report: Report) -> GroupFeatures:
        """Extract features of texts at a split of a model, and measure or read its metric."""
        loaded = open_model(str(arguments.model or gemma_folder()), dtype="float32")
        split = Split(loaded, arguments.blocks)
        fitting, coding = (
            cut_passages(loaded, _pieces(texts(count)), arguments.tokens, _CONTINUATION).first(count)
            for texts, count in ((fit_texts, arguments.samples), (measured_texts, arguments.coded))
        )
        report.progress(f"{len(fitting.ids)} texts to fit on, {len(coding.ids)} to code")
        consumer = Consumer.of_metric(_metric(split, fitting, arguments))
        fitted, coded = (_features(split, passages) for passages in (fitting, coding))
        return cls(fitted, coded, Quality(kl=arguments.kl), consumer.codec_options())

    @classmethod
    def drawn(cls, arguments: argparse.Namespace) -> GroupFeatures:
        """Draw tokens and weights, each weight a matrix whose directions count very unlike."""
        names = sorted(DRAWN_WIDTHS)
        widths = [DRAWN_WIDTHS[name] for name in names]
        count, tokens = arguments.samples + arguments.coded, arguments.tokens
        pieces_of_one = max(1, synthetic.TOKENS // tokens)
        draws = synthetic.random_tokens(sum(widths), -(-count // pieces_of_one), 1)
        pieces = [draw[k * tokens : (k + 1) * tokens].half() for draw in draws for k in range(pieces_of_one)]
        samples = [dict(zip(names, torch.split(piece, widths, 1), strict=True)) for piece in pieces[:count]]
        noise = torch.Generator().manual_seed(0)
        weight = {
            name: torch.randn(2 * width, width, generator=noise) * torch.logspace(0, -1, width)
            for name, width in zip(names, widths, strict=True)
        }
        quality = Quality(snr_db=arguments.snr)
        return cls(samples[: arguments.samples], samples[arguments.samples :], quality, {"weight": weight})


def _metric(split: Split, passages: Passages, arguments: argparse.Namespace) -> ModelMetric:
    """Read the metric of these weights from the file that is named, or measure it and write the file."""
    loaded, file = split.loaded, arguments.metric
    measure = closed_form_metric if arguments.closed_form else measure_metric
    consumer = Consumer(
        split.consumer,
        split.channels,
        {name: turn for name, turn in find_rotary(loaded).items() if name in split.patterns},
        "",
        lambda: measure(loaded, passages.first(arguments.metric_count), arguments.blocks),
        digest=loaded.digest,
    )
    return (consumer if file is None else consumer.kept_in(file)).measure()


def _features(split: Split, passages: Passages) -> list[Sample]:
    """Run the model; return the features of each passage's prefix, tokens x channels, in float16."""
    return [
        {name: value.half() for name, value in rows_of(features, split).items()}
        for texts in passages.batches(4)
        for features in split.features(passages.batch(texts)[:, : passages.prefix])
    ]


def _pieces(texts: Sequence[ModelInput]) -> list[ModelInput]:
    """Cut each text into pieces of one length, so that fewer texts make as many samples."""
    pieces = []
    for text in texts:
        length = len(text.text) // _PIECES
        for number in range(_PIECES):
            part = text.text[number * length : (number + 1) * length]
            pieces.append(ModelInput(f"{text.id} {number}", Path(), part))
    return pieces
