"""The rest of a state-space model, such as FalconMamba, as the consumer of hidden states and of its own states.

A block keeps no keys of earlier tokens but one recurrent state and the last inputs of its convolution, whatever the
length of the prefix. Only the tokens that continue the prefix read them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.consumer.decoder import Passages, Split
from lamofc_tools.consumer.fisher import read_texts
from lamofc_tools.consumer.gradients import SquareSums, generators_for
from lamofc_tools.consumer.metric import ModelMetric
from lamofc_tools.models import STATE_SPACE, Features, LoadedModel


class StateSpaceSplit(Split):
    """A state-space model of texts cut after a block, counted from zero."""

    def _require_kind(self) -> None:
        """Refuse a model whose blocks keep no recurrent states."""
        if self.loaded.kind.cache is not STATE_SPACE:
            raise BadArgument(
                f"{self.loaded.name} is a {self.loaded.config.model_type}, which keeps no recurrent states",
                "give a state-space model, such as FalconMamba or Mamba",
            )

    @property
    def patterns(self) -> dict[str, str]:
        """Empty: all features have the default pattern, states a row for each inner channel."""
        return {}

    def _require_states(self, features: Features, prefix: int) -> None:
        """Accept prefixes of any length, which states sum up."""

    def go_on(self, ids: Tensor, cache: Any) -> Tensor:
        """Return what the last block leaves at further tokens, which read the states and change them.

        They go through the model token by token: several at once would begin with an empty state.
        """
        return torch.cat([self._pass(token, cache) for token in torch.split(ids, 1, 1)], 1)

    def gradients(self) -> AbstractContextManager[object]:
        """Return a context in which states may be updated in place: what a step needs of the former one is copied."""
        return torch.autograd.graph.allow_mutation_on_saved_tensors()

    def has_tokens(self, feature: str) -> bool:
        """Return whether a feature has a row for each token of the prefix: the hidden state has, states have not."""
        return feature == self.output


def split_decoder(loaded: LoadedModel, block: int) -> Split:
    """Cut a causal language model after a block, counted from zero, whatever its blocks keep of earlier tokens."""
    return (StateSpaceSplit if loaded.kind.cache is STATE_SPACE else Split)(loaded, block)


@torch.enable_grad()
def measure_state_space(
    loaded: LoadedModel, passages: Passages, block: int, *, seed: int = 0, batch: int = 4, draws: int = 2
) -> ModelMetric:
    """Return the metric of the rest of a state-space model after `block`, counted from zero, over all tokens.

    It is made as that of a decoder with attention: `draws` labels at every position of prefix and continuation, which
    count together as much as each other. The rows of a state are its inner channels; its matrix is the sum over them,
    shared out among the tokens of a prefix, so that the mean weighted error of its rows foretells the divergence.
    """
    split, sums = StateSpaceSplit(loaded, block), SquareSums()
    for names in passages.batches(batch):
        with split.gradients():
            ids = passages.batch(names)
            samples = split.features(ids[:, : passages.prefix])
            features = {name: torch.cat([sample[name] for sample in samples]) for name in samples[0]}
            sums.add(read_texts(split, features, ids, generators_for(names, seed), draws))
    tokens = passages.prefix * len(passages.ids)
    return ModelMetric(split.consumer, sums.means(tokens), tokens, 2 * tokens, consumer_digest=loaded.digest)
