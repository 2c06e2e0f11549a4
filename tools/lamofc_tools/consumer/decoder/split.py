"""A causal language model cut after a block: the features there, and the answers of the rest of the model to them.

The rest answers twice: at every token of a prefix, whose features are given, and at the tokens that continue it and
read its caches of keys and values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from lamofc_store.errors import BadArgument
from lamofc_store.sources import CACHE
from lamofc_tools.consumer.decoder.drawing import Drawn, draw_tokens
from lamofc_tools.models import (
    ATTENTION,
    CacheLayout,
    Features,
    LoadedModel,
    ModelInput,
    block_outputs,
    cache_parameter,
    copy_rows,
    new_cache,
    replaced_forward,
    require_feature,
    short_name,
    substitute_features,
)

_LOGITS_AT_ONCE = 1 << 23
"""Most logits that are held at a time."""
_OUTPUT = "b t c -> (b t) c"


def token_ids(loaded: LoadedModel, text: str) -> Tensor:
    """Return the tokens of a text, as the model's own tokenizer makes them."""
    return loaded.inputs([ModelInput("", Path(), text)])["input_ids"][0]


def require_attention(loaded: LoadedModel) -> CacheLayout:
    """Return the layout of a model's caches; BadArgument if the model keeps anything but keys and values."""
    layout = loaded.kind.cache
    if layout is not ATTENTION:
        raise BadArgument(
            f"{loaded.name} is a {loaded.config.model_type}, which keeps no keys and values of earlier tokens",
            "give a decoder with attention, such as Llama, Qwen or Gemma",
        )
    return layout


@dataclass(frozen=True)
class Split:
    """A causal language model cut after a block, counted from zero."""

    loaded: LoadedModel
    block: int

    def __post_init__(self) -> None:
        self._require_kind()
        last = self.loaded.last_split
        if not 0 <= self.block <= last:
            raise BadArgument(
                f"a split after block {self.block} of {self.loaded.name}, whose last one is {last + 1}",
                f"give a block from 0 to {last}, which a later one reads",
            )

    def _require_kind(self) -> None:
        """Refuse a model whose blocks keep anything but keys and values of earlier tokens."""
        require_attention(self.loaded)

    @property
    def consumer(self) -> str:
        """Name of the rest of the model, `MODEL@BLOCK`."""
        return f"{short_name(self.loaded.name)}@{self.block}"

    @property
    def output(self) -> str:
        """Name of the hidden state at the split."""
        return self.loaded.output_name(self.block)

    @property
    def patterns(self) -> dict[str, str]:
        """The features at the split, each with the pattern that makes it tokens x channels."""
        states = require_attention(self.loaded).states
        caches = [f"layer.{number}.{state.feature}" for number in range(self.block + 1) for state in states]
        return dict.fromkeys(caches, CACHE) | {self.output: _OUTPUT}

    @cached_property
    def channels(self) -> dict[str, int]:
        """Channels of each feature at the split."""
        return feature_channels(self.loaded, [self.block])

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each feature of a text of two tokens."""
        return _feature_shapes(self.loaded, [self.block], caches=True)

    def is_whole(self, features: Features) -> bool:
        """Whether the features of a sample are of as many tokens each, which the caches of a window may not be."""
        known = {name: value for name, value in features.items() if name in self.channels and value.dim() > 1}
        return len(self._lengths(known)) < 2

    def _lengths(self, features: Features) -> set[int]:
        """Return the numbers of tokens of those features that have a row for each."""
        return {value.shape[_token_axis(value.shape)] for name, value in features.items() if self.has_tokens(name)}

    def prefix_of(self, features: Features, tokens: int) -> dict[str, Tensor]:
        """Return what a sample holds of its first tokens, in the model's dtype: all features at the split.

        For a sample without any cache it is the hidden state alone. States, which sum up all tokens, stay as they are.
        BadArgument for features of another model.
        """
        dtype = next(self.loaded.model.parameters()).dtype
        wanted = list(self.channels)
        if not any(name in features for name in wanted if name != self.output):
            wanted = [self.output]
        given = {name: require_feature(features, name) for name in wanted}
        for name, value in given.items():
            self._check_shape(name, value)
        lengths = self._lengths(given)
        if len(lengths) > 1:
            raise BadArgument(
                f"a sample has features of {min(lengths)} and of {max(lengths)} tokens",
                "give samples of shorter texts, of which the model's window holds every token",
            )
        first = {
            name: value.narrow(_token_axis(value.shape), 0, min(tokens, *lengths)) if self.has_tokens(name) else value
            for name, value in given.items()
        }
        return {name: value.detach().clone().to(dtype) for name, value in first.items()}

    def _check_shape(self, name: str, value: Tensor) -> None:
        """Refuse a feature whose shape differs from the model's own by more than the number of tokens."""
        expected = list(self._shapes[name])
        axis = _token_axis(expected) if self.has_tokens(name) else None
        found = list(value.shape)
        if len(found) != len(expected) or any(
            found[place] != size for place, size in enumerate(expected) if place != axis
        ):
            words = " x ".join("tokens" if place == axis else str(size) for place, size in enumerate(expected))
            raise BadArgument(
                f"{name!r} is {' x '.join(map(str, found))}; {self.loaded.name} has {words} there",
                "give features of this model, or name the model that they are of",
            )

    def features(self, ids: Tensor) -> list[dict[str, Tensor]]:
        """Return the features of each text, given its token ids, texts x tokens."""
        outputs, states = block_outputs(self.loaded, {"input_ids": ids}, [self.block])
        named = _by_name(states) | {self.output: outputs[self.block]}
        self._require_states(named, ids.shape[1])
        return [{name: value[row : row + 1].clone() for name, value in named.items()} for row in range(len(ids))]

    def _require_states(self, features: Features, prefix: int) -> None:
        """Refuse a prefix of which the blocks keep only the last tokens."""
        kept = min(value.shape[2] for name, value in features.items() if name != self.output)
        if kept < prefix:
            raise BadArgument(
                f"{self.loaded.name} keeps keys of {kept} tokens, and the prefix has {prefix}", "give a shorter prefix"
            )

    def run(self, ids: Tensor, prefix: int, samples: Sequence[Features] | None = None) -> Tensor:
        """Return what the last block leaves at every token, texts x tokens x channels.

        With `samples`, the features of the prefix of each text, nothing before the split is computed for the prefix,
        whose token ids do not matter then. Caches are read only where tokens follow the prefix.
        """
        before, cache = self.begin(ids[:, :prefix], samples, continued=ids.shape[1] > prefix)
        return before if cache is None else torch.cat([before, self.go_on(ids[:, prefix:], cache)], 1)

    def begin(
        self, ids: Tensor, samples: Sequence[Features] | None = None, *, continued: bool = True
    ) -> tuple[Tensor, Any]:
        """Return what the last block leaves at every token of the prefixes, and the caches that tokens after them read.

        With `samples`, the features of each text, nothing before the split is computed; unless tokens follow, there are
        no caches.
        """
        cache = new_cache(self.loaded.config) if continued else None
        with nullcontext() if samples is None else substitute_features(self.loaded, self.block, samples):
            return self._pass(ids, cache), cache

    def go_on(self, ids: Tensor, cache: Any) -> Tensor:
        """Return what the last block leaves at further tokens, which read the caches and are added to them."""
        return self._pass(ids, cache)

    def gradients(self) -> AbstractContextManager[object]:
        """Return the context in which gradients are taken back through passes."""
        return nullcontext()

    def has_tokens(self, feature: str) -> bool:
        """Return whether a feature has a row for each token of the prefix, so that a shorter one has its first rows."""
        return True

    def _pass(self, ids: Tensor, cache: Any) -> Tensor:
        """Return what the last block leaves at tokens that go through the model at once."""
        base = self._base
        options = {"use_cache": False} if cache is None else {cache_parameter(base): cache, "use_cache": True}
        hidden: Tensor = base(input_ids=ids, **options).last_hidden_state
        return hidden

    def likeliest(self, hidden: Tensor, cache: Any, count: int) -> Tensor:
        """Return the likeliest tokens after texts, one after another, texts x count; the caches take all but the last.

        `hidden` is what the last block leaves at the last token of each text, texts x channels.
        """
        tokens = [self.logits(hidden).argmax(-1)]
        while len(tokens) < count:
            tokens.append(self.logits(self.go_on(tokens[-1][:, None], cache)[:, -1]).argmax(-1))
        return torch.stack(tokens, 1)

    @torch.no_grad()
    def generate(self, sample: Features, tokens: int, generators: Sequence[torch.Generator]) -> Drawn:
        """Let the model itself continue a prefix by tokens that are drawn from its answers, once by each generator."""
        ids = torch.zeros(1, sample[self.output].shape[1], dtype=torch.int64, device=self.loaded.device)
        hidden, first = self.begin(ids, [sample])
        rows = torch.zeros(len(generators), dtype=torch.int64, device=hidden.device)
        cache = copy_rows(first, rows)
        left: list[Tensor] = [hidden[rows, -1:]]
        drawn: list[Tensor] = []
        while len(drawn) < tokens:
            drawn.append(draw_tokens(self.logits(left[-1][:, 0]).softmax(-1), generators))
            left.append(self.go_on(drawn[-1], cache))
        return Drawn(torch.cat(drawn, 1), hidden[0], torch.cat(left[1:], 1))

    def logits(self, hidden: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Return the model's answers, positions x vocabulary, float32, to what its last block leaves at positions.

        With `tokens`, the answers are of these alone, where the model's head is a matrix; others take far more time.
        """
        from transformers.modeling_outputs import BaseModelOutputWithPast

        left = BaseModelOutputWithPast(last_hidden_state=hidden[None])
        ids = torch.zeros(1, len(hidden), dtype=torch.int64, device=hidden.device)
        with replaced_forward(self._base, lambda *arguments, **options: left), self._answering_by(tokens):
            logits: Tensor = self.loaded.model(input_ids=ids, use_cache=False).logits[0]
        return (logits if tokens is None or logits.shape[1] == len(tokens) else logits[:, tokens]).float()

    def _answering_by(self, tokens: Tensor | None) -> AbstractContextManager[None]:
        """Let the model answer by some tokens only within the context, if its head is a matrix."""
        head = cast(Any, self.loaded.model).get_output_embeddings()
        if tokens is None or not isinstance(head, nn.Linear):
            return nullcontext()
        weight, bias = head.weight[tokens], None if head.bias is None else head.bias[tokens]
        return replaced_forward(head, lambda hidden: nn.functional.linear(hidden, weight, bias))

    def chunks(self, hidden: Tensor) -> Iterator[Tensor]:
        """Cut positions x channels so that the logits of a part fit in little memory."""
        return iter(torch.split(hidden, max(1, _LOGITS_AT_ONCE // self.loaded.config.vocab_size)))

    @property
    def _base(self) -> nn.Module:
        """The model without the head that makes logits."""
        return cast(nn.Module, self.loaded.model.base_model)


def _token_axis(shape: Sequence[int]) -> int:
    """Return the axis of tokens: 1 x tokens x channels, or 1 x heads x tokens x channels."""
    return len(shape) - 2


def feature_channels(loaded: LoadedModel, blocks: Sequence[int], *, caches: bool = True) -> dict[str, int]:
    """Return the channels of the features after some blocks of a decoder, and of the caches up to the last of them."""
    shapes = _feature_shapes(loaded, blocks, caches=caches)
    return {name: math.prod(shape) // shape[_token_axis(shape)] for name, shape in shapes.items()}


def _feature_shapes(loaded: LoadedModel, blocks: Sequence[int], *, caches: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of these features of one text of two tokens."""
    ids = torch.zeros(1, 2, dtype=torch.int64, device=loaded.device)
    outputs, states = block_outputs(loaded, {"input_ids": ids}, sorted(blocks), caches=caches)
    named = {loaded.output_name(block): output for block, output in outputs.items()} | _by_name(states)
    return {name: tuple(tensor.shape) for name, tensor in named.items()}


def _by_name(states: Mapping[Any, Sequence[Tensor]]) -> dict[str, Tensor]:
    """Return the tensors that blocks keep by the names of their features."""
    return {
        f"layer.{number}.{state.feature}": tensor
        for state, tensors in states.items()
        for number, tensor in enumerate(tensors)
    }
