"""Split inference as the papers define it: the rest of a model runs on the features that were stored at the split.

Blocks up to the split are not computed. Each passes its input on and restores the keys and values, or states, that
were stored for it; the last one returns the stored feature. This holds for one forward pass, that of the whole input;
tokens that are generated afterwards go through every block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from lamofc_store import Quality, Store
from lamofc_tools.models.caches import find_cache
from lamofc_tools.models.inputs import ModelInput
from lamofc_tools.models.loaded_model import LoadedModel
from lamofc_tools.models.substitution import Features, replaced_forward, require_feature


@torch.no_grad()
def replay(
    loaded: LoadedModel, store: Store, items: Sequence[ModelInput], block: int, quality: Quality | None = None
) -> Any:
    """Return the model's output for a batch, computed from the stored features after `block`, read at any quality."""
    samples = [store.tensors(item.id, [loaded.output_name(block)], quality) for item in items]
    with substitute_features(loaded, block, samples):
        options = {} if loaded.kind.cache is None else {"use_cache": False}
        return loaded.model(**loaded.inputs(list(items)), **options)


@contextmanager
def substitute_features(loaded: LoadedModel, block: int, samples: Sequence[Features]) -> Iterator[None]:
    """Make the model's next pass within the context start after `block`, on the features of these samples."""
    forwards = _SubstituteForwards(loaded, loaded.require_block(block), samples)
    with ExitStack() as stack:
        for number, module in enumerate(loaded.blocks[: block + 1]):
            stack.enter_context(replaced_forward(module, forwards.forward_of(number, module.forward)))
        yield


class _SubstituteForwards:
    """Replacement forwards of the blocks up to the split, each of which is used once."""

    def __init__(self, loaded: LoadedModel, block: int, samples: Sequence[Features]) -> None:
        self._loaded, self._block, self._samples = loaded, block, samples
        self._output = self._batched(loaded.output_name(block))
        self._passed: set[int] = set()

    def forward_of(self, number: int, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return the replacement forward of a block."""

        def forward(hidden: Tensor, *arguments: Any, **options: Any) -> Any:
            if number in self._passed:
                return original(hidden, *arguments, **options)
            self._passed.add(number)
            cache, layout = find_cache((*arguments, *options.values())), self._loaded.kind.cache
            if cache is not None and layout is not None:
                names = [f"layer.{number}.{state.feature}" for state in layout.states]
                layout.restore(cache, number, [self._batched(name).to(self._loaded.device) for name in names])
            return hidden if number < self._block else self._output.to(hidden.device)

        return forward

    def _batched(self, name: str) -> Tensor:
        """Concatenate one feature of all samples to a batch."""
        return torch.cat([require_feature(sample, name) for sample in self._samples])
