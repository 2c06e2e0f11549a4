"""A linear probe of a language model's hidden state: it tells from each token what kind of token came before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lamofc_tools.consumer import AnswerSums, ModelMetric
from lamofc_tools.consumer.gradients import Reading, SquareSums, fisher_draws, generators_for
from lamofc_tools.heads import LinearHead, fit_linear
from lamofc_tools.models import Features, LoadedModel

KINDS = ("start of a word", "inside of a word", "digit", "other")
_WORD_STARTS = ("▁", "Ġ", " ")
_DRAWS = 2


@dataclass(frozen=True)
class LinearProbe:
    """A logistic regression on single tokens of one feature."""

    feature: str
    head: LinearHead

    @classmethod
    def fitted(cls, loaded: LoadedModel, feature: str, texts: Sequence[tuple[Tensor, Features]]) -> LinearProbe:
        """Fit the probe to texts, each with its token ids and its features."""
        rows = torch.cat([_rows(features[feature])[1:] for _, features in texts])
        kinds = torch.cat([token_kinds(loaded, ids[: len(_rows(features[feature])) - 1]) for ids, features in texts])
        return cls(feature, fit_linear(rows, kinds, classes=len(KINDS)))

    def metric(self, samples: Mapping[str, Features]) -> ModelMetric:
        """Return the Fisher matrix of the probe's answers to all tokens but the first of some texts, by their ids."""
        sums, tokens = SquareSums(), 0
        with torch.enable_grad():
            for name, features in samples.items():
                rows = _rows(features[self.feature])[1:].clone().requires_grad_()
                answer = self.head.scores(rows)[None]
                sums.add(Reading({self.feature: rows}, answer, fisher_draws(answer, generators_for([name], 0), _DRAWS)))
                tokens += len(rows)
        return ModelMetric("probe", sums.means(tokens), tokens, tokens)

    @torch.no_grad()
    def divergence(self, samples: Mapping[str, Features], decoded: Mapping[str, Features]) -> float:
        """Return the mean divergence in nats of answers to decoded features of some texts from those to their own."""
        sums = AnswerSums()
        for name, features in samples.items():
            both = (_rows(found[self.feature])[1:] for found in (features, decoded[name]))
            sums.compare(*(self.head.scores(rows).log_softmax(-1) for rows in both))
        return sums.kl


def token_kinds(loaded: LoadedModel, ids: Tensor) -> Tensor:
    """Return the kind of each token."""
    return torch.tensor([_kind(token) for token in loaded.processor.convert_ids_to_tokens(ids.tolist())])


def _kind(token: str) -> int:
    if token.startswith(_WORD_STARTS):
        return 0
    return 1 if token.isalpha() else 2 if token.isdigit() else 3


def _rows(value: Tensor) -> Tensor:
    return value.float().reshape(-1, value.shape[-1])
