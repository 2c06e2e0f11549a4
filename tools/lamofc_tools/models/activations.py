"""Features after blocks of a model, as samples by their family's names; blocks after the last one are not run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lamofc_store import Sample
from lamofc_store.errors import SourceError
from lamofc_store.sources import CACHE, of_family
from lamofc_tools.models.caches import cache_parameter, new_cache
from lamofc_tools.models.inputs import Given
from lamofc_tools.models.loaded_model import Inputs, LoadedModel
from lamofc_tools.models.registry import Kind


class _EnoughError(Exception):
    """What is asked for is there."""


def take(opened: LoadedModel, given: Sequence[Given], blocks: Sequence[int], *, caches: bool = True) -> list[Sample]:
    """What stands after those blocks, counted from zero, for each item; of texts also what all of them keep."""
    with _telling(opened, given):
        inputs = opened.inputs(list(given))
        outputs, kept = outputs_of(opened, inputs, sorted(map(opened.block, blocks)), caches=caches)
    samples, grid = [], opened.grid(inputs)
    for row, one in enumerate(given):
        payload = _payload(opened.kind, {block: value[row : row + 1] for block, value in outputs.items()}, kept, row)
        sample = _sample(opened.kind, one, payload)
        samples.append(sample if grid is None else replace(sample, grids=dict.fromkeys(sample.features, grid)))
    return samples


@contextmanager
def _telling(opened: LoadedModel, given: Sequence[Given]) -> Iterator[None]:
    """Turn what a model raises at its inputs into an error that names them."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        said = (str(error).splitlines() or [""])[0][:200]
        many = f" and {len(given) - 1} more" * (len(given) > 1)
        cure = "--batch 1" if isinstance(error, torch.OutOfMemoryError) else "leave it out: is it empty, or too short?"
        raise SourceError(f"{given[0].path}{many} cannot go through {opened.name}: {said}", cure) from error


@torch.no_grad()
def outputs_of(
    opened: LoadedModel, inputs: Inputs, blocks: Sequence[int], *, caches: bool = True
) -> tuple[dict[int, Tensor], dict[str, list[Tensor]]]:
    """Outputs of blocks, samples first, and by name what each block up to the last of them keeps for later tokens."""
    cache: Any = None
    if opened.kind.reads and caches:
        cache = new_cache(opened.config)
        inputs = {**inputs, cache_parameter(opened.model): cache, "use_cache": True}  # type: ignore[dict-item]
    with _listening(opened, blocks) as outputs, suppress(_EnoughError):
        opened.model(**inputs)
    return outputs, {} if cache is None else _kept(opened.kind, cache.layers[: blocks[-1] + 1])


@contextmanager
def _listening(opened: LoadedModel, blocks: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    outputs: dict[int, Tensor] = {}

    def listen(block: int) -> Any:
        def hook(module: Any, arguments: Any, output: Any) -> None:
            outputs[block] = (output[0] if isinstance(output, tuple) else output).detach()
            if block == blocks[-1]:
                raise _EnoughError

        return hook

    with ExitStack() as stack:
        for block in blocks:
            stack.enter_context(opened.blocks[block].register_forward_hook(listen(block)))
        yield outputs


def _kept(kind: Kind, layers: Sequence[Any]) -> dict[str, list[Tensor]]:
    if kind is Kind.MAMBA:
        states = [(_first(layer.recurrent_states), _first(layer.conv_states)) for layer in layers]
        return {"ssm_state": [state for state, _ in states], "conv_state": [state for _, state in states]}
    return {"key": [layer.keys for layer in layers], "value": [layer.values for layer in layers]}


def _first(states: Any) -> Tensor:
    """Some versions keep the states of a layer by number."""
    found: Tensor = states if isinstance(states, Tensor) else states[0]
    return found


def _payload(kind: Kind, outputs: dict[int, Tensor], kept: dict[str, list[Tensor]], row: int) -> dict[str, Any]:
    """An object as its family's files hold it."""
    here = {block: value.cpu() for block, value in outputs.items()}
    if not kind.reads:
        name = "backbone.blocks.{}" if kind is Kind.VISION else "layer.{}"
        return {name.format(block): value for block, value in here.items()}
    lists = {name: [one[row : row + 1].cpu().clone() for one in several] for name, several in kept.items()}
    if len(here) == 1 and lists:
        return {"output": next(iter(here.values())), **lists}
    return {f"layer.{block}.output": value for block, value in here.items()} | lists


def _sample(kind: Kind, given: Given, payload: dict[str, Any]) -> Sample:
    family = kind.family if "output" in payload or kind is Kind.VISION else None
    if family is not None:
        found = of_family(payload, given.id, family)
        return replace(found, attributes=given.attributes)
    features = {name: value for name, value in payload.items() if isinstance(value, Tensor)}
    for name, several in payload.items():
        if isinstance(several, list):
            kinds = {"key": "k_cache", "value": "v_cache"}
            features |= {f"layer.{block}.{kinds.get(name, name)}": one for block, one in enumerate(several)}
    patterns = dict.fromkeys(features, "b c h w -> (b h w) c") if kind is Kind.CNN else {}
    patterns |= {name: CACHE for name in features if name.endswith(("k_cache", "v_cache"))}
    return Sample(given.id, features, given.attributes, None, patterns)
