"""Record features after blocks of a model by forward hooks. Blocks after the last requested one are not run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lamofc_store import Sample
from lamofc_store.errors import Hint, SourceError, first_line
from lamofc_store.sources import of_family
from lamofc_tools.models.caches import BlockState, cache_parameter, new_cache
from lamofc_tools.models.inputs import ImageViews, ModelInput
from lamofc_tools.models.loaded_model import Inputs, LoadedModel
from lamofc_tools.models.registry import ModelKind

States = Mapping[BlockState, Sequence[Tensor]]
"""Tensors that the blocks keep for later tokens, one for each block up to the last requested one."""


class _LastBlockReached(Exception):
    """Ends a forward pass early, because all requested outputs are recorded."""


def extract_features(
    loaded: LoadedModel,
    items: Sequence[ModelInput],
    blocks: Sequence[int],
    *,
    caches: bool = True,
    views: ImageViews | None = None,
) -> list[Sample]:
    """Return a sample for each input, with the outputs of blocks, counted from zero.

    Samples of models that generate text also get the tensors that all blocks up to the last one keep for later tokens,
    unless `caches` is false. With `views`, the features of a sample are those of all views of its image.
    """
    with _inputs_in_errors(loaded, items):
        inputs = loaded.inputs(list(items), views)
        outputs, states = block_outputs(loaded, inputs, sorted(map(loaded.require_block, blocks)), caches=caches)
    samples, grid = [], loaded.grid(inputs)
    count = next(iter(outputs.values())).shape[0] // len(items)
    for number, item in enumerate(items):
        rows = slice(number * count, (number + 1) * count)
        sample = _sample(loaded.kind, item, _rows_of_outputs(outputs, rows), _rows_of_states(states, rows))
        samples.append(sample if grid is None else replace(sample, grids=dict.fromkeys(sample.features, grid)))
    return samples


@contextmanager
def _inputs_in_errors(loaded: LoadedModel, items: Sequence[ModelInput]) -> Iterator[None]:
    """Turn an exception that a model raises for its inputs into an error that names the inputs."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        others = f" and {len(items) - 1} more" * (len(items) > 1)
        memory = isinstance(error, torch.OutOfMemoryError)
        hint = Hint("give [batch] 1") if memory else "check whether it is empty or too short, or leave it out"
        raise SourceError(
            f"{items[0].path}{others} cannot go through {loaded.name}: {first_line(error)}", hint
        ) from error


@torch.no_grad()
def block_outputs(
    loaded: LoadedModel, inputs: Inputs, blocks: Sequence[int], *, caches: bool = True
) -> tuple[dict[int, Tensor], States]:
    """Run a model up to the last of some blocks; return their outputs, samples first, and the states of all blocks."""
    cache: Any = None
    layout = loaded.kind.cache if caches else None
    if layout is not None:
        cache = new_cache(loaded.config)
        inputs = {**inputs, cache_parameter(loaded.model): cache, "use_cache": True}  # type: ignore[dict-item]
    with _recorded_outputs(loaded, blocks) as outputs, suppress(_LastBlockReached):
        loaded.model(**inputs)
    if layout is None:
        return outputs, {}
    layers = cache.layers[: blocks[-1] + 1]
    return outputs, {state: [state.read(layer) for layer in layers] for state in layout.states}


@contextmanager
def _recorded_outputs(loaded: LoadedModel, blocks: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Record the outputs of blocks in the mapping, and end the forward pass after the last of these blocks."""
    outputs: dict[int, Tensor] = {}

    def hook_of(block: int) -> Any:
        def hook(module: Any, arguments: Any, output: Any) -> None:
            outputs[block] = (output[0] if isinstance(output, tuple) else output).detach()
            if block == blocks[-1]:
                raise _LastBlockReached

        return hook

    with ExitStack() as stack:
        for block in blocks:
            stack.enter_context(loaded.blocks[block].register_forward_hook(hook_of(block)))
        yield outputs


def _rows_of_outputs(outputs: Mapping[int, Tensor], rows: slice) -> dict[int, Tensor]:
    return {block: output[rows].cpu() for block, output in outputs.items()}


def _rows_of_states(states: States, rows: slice) -> dict[BlockState, list[Tensor]]:
    return {state: [tensor[rows].cpu().clone() for tensor in tensors] for state, tensors in states.items()}


def _sample(
    kind: ModelKind, item: ModelInput, outputs: dict[int, Tensor], states: dict[BlockState, list[Tensor]]
) -> Sample:
    """Make a sample, with the nesting of the family's files if these can hold it, and the positions of its caches."""
    sample = _unplaced_sample(kind, item, outputs, states)
    return replace(sample, first_positions=_first_positions(outputs, states))


def _first_positions(outputs: dict[int, Tensor], states: dict[BlockState, list[Tensor]]) -> dict[str, int]:
    """Return the positions of the first tokens that caches of a window still hold, where these are not the first."""
    found = {}
    for state, tensors in states.items():
        tokens = next(iter(outputs.values())).shape[1]
        for block, tensor in enumerate(tensors):
            found[f"layer.{block}.{state.feature}"] = state.first_position(tensor, tokens)
    return {feature: position for feature, position in found.items() if position}


def _unplaced_sample(
    kind: ModelKind, item: ModelInput, outputs: dict[int, Tensor], states: dict[BlockState, list[Tensor]]
) -> Sample:
    if kind.family is not None and (kind.cache is None or (len(outputs) == 1 and states)):
        payload: dict[str, Any] = {kind.file_key.format(block): output for block, output in outputs.items()}
        payload |= {state.file_key: tensors for state, tensors in states.items()}
        return replace(of_family(payload, item.id, kind.family), attributes=item.attributes)
    features = {kind.output.format(block): output for block, output in outputs.items()}
    patterns = {} if kind.pattern is None else dict.fromkeys(features, kind.pattern)
    for state, tensors in states.items():
        named = {f"layer.{block}.{state.feature}": tensor for block, tensor in enumerate(tensors)}
        features |= named
        patterns |= {} if state.pattern is None else dict.fromkeys(named, state.pattern)
    return Sample(item.id, features, item.attributes, None, patterns)
