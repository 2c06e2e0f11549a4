"""A causal language model cut after a block: the features there, and the answers of the rest of the model to them.

The rest answers twice: at every token of a prefix, whose features are given, and at the tokens that continue it and
read its caches of keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from lamofc_store.errors import BadArgument, Hint
from lamofc_store.sources import CACHE
from lamofc_tools.models import (
    ATTENTION,
    CacheLayout,
    Features,
    LoadedModel,
    ModelInput,
    block_outputs,
    cache_parameter,
    new_cache,
    replaced_forward,
    substitute_features,
)

_LOGITS_AT_ONCE = 1 << 23
"""Most logits that are held at a time."""
PREFIX = 192
"""Tokens of a text whose features are coded, unless another number is given."""
CONTINUATION = 48
"""Tokens after the prefix that read its caches, unless another number is given."""
_OUTPUT = "b t c -> (b t) c"


@dataclass(frozen=True)
class Passages:
    """Token ids of texts of one length: a prefix, whose features are coded, and the tokens after it."""

    ids: Mapping[str, Tensor]
    """The token ids of each text, by its id."""
    prefix: int
    """Number of tokens of the prefix."""

    @property
    def length(self) -> int:
        """Number of tokens of prefix and continuation."""
        return len(next(iter(self.ids.values())))

    def batches(self, size: int) -> Iterator[list[str]]:
        """Yield the ids of texts that go through the model together."""
        names = list(self.ids)
        return (names[start : start + size] for start in range(0, len(names), size))

    def batch(self, names: Sequence[str]) -> Tensor:
        """Return the token ids of some texts, texts x tokens."""
        return torch.stack([self.ids[name] for name in names])


def cut_passages(
    loaded: LoadedModel, texts: Sequence[ModelInput], prefix: int = PREFIX, continuation: int = CONTINUATION
) -> Passages:
    """Cut texts to a prefix and its continuation, by the model's tokens; shorter texts are left out."""
    if prefix < 2 or continuation < 2:
        raise BadArgument(f"a prefix of {prefix} tokens and {continuation} after it", "give two or more of each")
    if loaded.kind.cache is None:
        raise BadArgument(f"{loaded.name} is a {loaded.config.model_type}, which reads no texts", "give a decoder")
    length = prefix + continuation
    rows = {text.id: token_ids(loaded, text.text) for text in texts}
    ids = {name: row[:length] for name, row in rows.items() if len(row) >= length}
    if not ids:
        longest = max(map(len, rows.values()), default=0)
        raise BadArgument(f"no text of {length} tokens: the longest of {len(rows)} has {longest}", "give longer texts")
    return Passages(ids, prefix)


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
        require_attention(self.loaded)
        last = len(self.loaded.blocks) - 1
        if self.loaded.require_block(self.block) == last:
            raise BadArgument(
                f"a split after block {self.block} of {self.loaded.name}, its last one",
                Hint(f"give a [block] below {last}: no later block would read anything"),
            )

    @property
    def consumer(self) -> str:
        """Name of the rest of the model, `MODEL@BLOCK`."""
        return f"{Path(self.loaded.name).name}@{self.block}"

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

    def features(self, ids: Tensor) -> list[dict[str, Tensor]]:
        """Return the features of each text, given its token ids, texts x tokens."""
        outputs, states = block_outputs(self.loaded, {"input_ids": ids}, [self.block])
        named = {
            f"layer.{number}.{state.feature}": tensor
            for state, tensors in states.items()
            for number, tensor in enumerate(tensors)
        }
        named[self.output] = outputs[self.block]
        tokens = next(iter(states.values()))[0].shape[2]
        if tokens < ids.shape[1]:
            raise BadArgument(
                f"{self.loaded.name} keeps keys of {tokens} tokens, and the prefix has {ids.shape[1]}",
                "give a shorter prefix",
            )
        return [{name: value[row : row + 1].clone() for name, value in named.items()} for row in range(len(ids))]

    def run(self, ids: Tensor, prefix: int, samples: Sequence[Features] | None = None) -> Tensor:
        """Return what the last block leaves at every token, texts x tokens x channels.

        With `samples`, the features of the prefix of each text, nothing before the split is computed for the prefix.
        """
        before, cache = self.begin(ids[:, :prefix], samples)
        return torch.cat([before, self.go_on(ids[:, prefix:], cache)], 1)

    def begin(self, ids: Tensor, samples: Sequence[Features] | None = None) -> tuple[Tensor, Any]:
        """Return what the last block leaves at every token of the prefixes, and the caches that tokens after them read.

        With `samples`, the features of each text, nothing before the split is computed.
        """
        cache = new_cache(self.loaded.config)
        with nullcontext() if samples is None else substitute_features(self.loaded, self.block, samples):
            return self._pass(ids, cache), cache

    def go_on(self, ids: Tensor, cache: Any) -> Tensor:
        """Return what the last block leaves at further tokens, which read the caches and are added to them."""
        return self._pass(ids, cache)

    def has_tokens(self, feature: str) -> bool:
        """Return whether a feature has a row for each token of the prefix, so that a shorter one has its first rows."""
        return True

    def _pass(self, ids: Tensor, cache: Any) -> Tensor:
        """Return what the last block leaves at tokens that go through the model at once."""
        base = self._base
        options: dict[str, Any] = {cache_parameter(base): cache, "use_cache": True}
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

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the model's answers, positions x vocabulary, float32, to what its last block leaves at positions."""
        from transformers.modeling_outputs import BaseModelOutputWithPast

        left = BaseModelOutputWithPast(last_hidden_state=hidden[None])
        ids = torch.zeros(1, len(hidden), dtype=torch.int64, device=hidden.device)
        with replaced_forward(self._base, lambda *arguments, **options: left):
            logits: Tensor = self.loaded.model(input_ids=ids, use_cache=False).logits[0]
        return logits.float()

    def chunks(self, hidden: Tensor) -> Iterator[Tensor]:
        """Cut positions x channels so that the logits of a part fit in little memory."""
        return iter(torch.split(hidden, max(1, _LOGITS_AT_ONCE // self.loaded.config.vocab_size)))

    @property
    def _base(self) -> nn.Module:
        """The model without the head that makes logits."""
        return cast(nn.Module, self.loaded.model.base_model)
