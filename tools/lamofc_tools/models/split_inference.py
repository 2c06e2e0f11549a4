"""Features put back where they were taken, and the rest of the model run on them: the papers' split inference.

Blocks up to the split are not run: they pass on what they are given, and put back the keys and values, or states, that
were stored for them. The last of them gives the stored features. It holds for one pass, the one that reads the input;
tokens that are generated afterwards go through every block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from lamofc_store import Quality, Store
from lamofc_tools.models.caches import cache_given
from lamofc_tools.models.inputs import Given
from lamofc_tools.models.loaded_model import LoadedModel
from lamofc_tools.models.registry import Kind
from lamofc_tools.models.substitution import Features, replaced_forward, require_feature


@torch.no_grad()
def replay(
    opened: LoadedModel, store: Store, items: Sequence[Given], block: int, quality: Quality | None = None
) -> Any:
    """What the model answers to a batch of items from behind `block`, on their features in a store, at any rate."""
    samples = [store.tensors(one.id, [opened.feature(block)], quality) for one in items]
    with replaying(opened, block, samples):
        return opened.model(**opened.inputs(list(items)), **({"use_cache": False} if opened.kind.reads else {}))


@contextmanager
def replaying(opened: LoadedModel, block: int, samples: Sequence[Features]) -> Iterator[None]:
    """Within it, the next call of the model runs from behind `block`, counted from zero, on these samples' features."""
    split = _Split(opened, opened.block(block), samples)
    with ExitStack() as stack:
        for number, module in enumerate(opened.blocks[: block + 1]):
            stack.enter_context(replaced_forward(module, split.forward(number, module.forward)))
        yield


class _Split:
    """What stands in the place of blocks, once each."""

    def __init__(self, opened: LoadedModel, block: int, samples: Sequence[Features]) -> None:
        self._opened, self._block, self._samples = opened, block, samples
        self._features = self._joined(opened.feature(block))
        self._done: set[int] = set()

    def forward(self, number: int, original: Callable[..., Any]) -> Callable[..., Any]:
        """The forward of a block."""

        def forward(hidden: Tensor, *arguments: Any, **options: Any) -> Any:
            if number in self._done:
                return original(hidden, *arguments, **options)
            self._done.add(number)
            cache = cache_given((*arguments, *options.values()))
            if cache is not None:
                self._refill(cache, number)
            return hidden if number < self._block else self._features.to(hidden.device)

        return forward

    def _refill(self, cache: Any, number: int) -> None:
        """What a block would have kept."""
        device = self._opened.device
        if self._opened.kind is Kind.MAMBA:
            cache.update_conv_state(self._joined(f"layer.{number}.conv_state").to(device), number)
            cache.update_recurrent_state(self._joined(f"layer.{number}.ssm_state").to(device), number)
        else:
            keys, values = (self._joined(f"layer.{number}.{kind}_cache").to(device) for kind in "kv")
            cache.update(keys, values, number)

    def _joined(self, name: str) -> Tensor:
        """A feature of all samples, one after the other."""
        return torch.cat([require_feature(sample, name) for sample in self._samples])
