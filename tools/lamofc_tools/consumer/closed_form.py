"""The metric of a Llama-like decoder without a backward pass through its blocks, for models whose gradients do not fit.

What an error adds to the hidden state of a token is taken to reach the last norm as it is: blocks in between add to it,
and what they make of the error itself is left out. Only the last norm and the head are differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from lamofc_codecs import Rotary
from lamofc_store.errors import BadArgument
from lamofc_tools.consumer.decoder import Passages, Split, key_rotations
from lamofc_tools.consumer.fisher import answer_gradients
from lamofc_tools.consumer.gradients import generators_for, key_squares, value_squares
from lamofc_tools.consumer.metric import ModelMetric
from lamofc_tools.models import LoadedModel

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3", "qwen3_moe")
"""Values of `model_type` of decoders that add what attention projects to the hidden state, with nothing in between."""
_Found = Callable[[int, Any, dict[str, Tensor]], None]
"""A callback that receives a block's number, its attention, and queries, values and weights of a batch of texts."""


def closed_form_metric(
    loaded: LoadedModel, passages: Passages, block: int, *, seed: int = 0, batch: int = 1, draws: int = 2
) -> ModelMetric:
    """Return an estimate of `measure_metric(...)`, in the memory of one pass without gradients.

    The hidden state after `block` is felt by the answer at its own token alone; keys and values by what attention adds
    to the hidden states of the continuation. Heads are taken one by one, so that matrices of caches have no entries
    between heads. As there, the first token of each text is left out, and continuations count as much as prefixes.
    The shape of the matrices is nearer than their size: where later blocks amplify errors, divergences are larger.
    """
    if loaded.config.model_type not in MODEL_TYPES:
        raise BadArgument(
            f"{loaded.name} is a {loaded.config.model_type}: closed forms are of {', '.join(MODEL_TYPES)}",
            "measure its metric by gradients, with measure_metric",
        )
    split, prefix = Split(loaded, block), passages.prefix
    rotary = key_rotations(loaded, block + 1)
    before, after = _squares_at_the_end(split, passages, seed, batch, draws)
    root = _root(after * (prefix / (passages.length - prefix)))
    sums: dict[str, Tensor] = {}

    def add(number: int, attention: Any, computed: dict[str, Tensor]) -> None:
        projections = root @ rearrange(attention.o_proj.weight, "c (h d) -> h c d", d=attention.head_dim).double()
        turned = rotary.get(f"layer.{number}.k_cache")
        for row in range(len(computed["weights"])):
            text = {name: tensor[row].double() for name, tensor in computed.items()}
            keys, values = _cache_squares(text, projections, prefix, turned, attention.scaling)
            for name, matrix in ((f"layer.{number}.k_cache", keys), (f"layer.{number}.v_cache", values)):
                sums[name] = sums.get(name, 0) + matrix.cpu()

    with _attention_hooks(split, add), torch.no_grad():
        for names in passages.batches(batch):
            _base(split)(input_ids=passages.batch(names), use_cache=False)
    means = {name: (total / len(passages.ids)).float() for name, total in sums.items()}
    means[loaded.output_name(block)] = before.float().cpu()
    texts = len(passages.ids)
    tokens, positions = (prefix - 1) * texts, 2 * prefix * texts
    turned = {name: rotation for name, rotation in rotary.items() if name in means and rotation is not None}
    return ModelMetric(split.consumer, means, tokens, positions, turned, loaded.digest)


def _squares_at_the_end(split: Split, passages: Passages, seed: int, batch: int, draws: int) -> tuple[Tensor, Tensor]:
    """Return E[g g'] of labels' likelihood by what the last block leaves, over prefixes and over continuations."""
    before: Tensor | float = 0.0
    after: Tensor | float = 0.0
    for names in passages.batches(batch):
        ends = _ends(split, passages.batch(names))
        for hidden, generator in zip(ends, generators_for(names, seed), strict=True):
            leaf = hidden.requires_grad_()
            with torch.enable_grad():
                normed = _base(split).norm(leaf)
            for drawn in answer_gradients(split, normed.detach(), generator, draws):
                (rows,) = torch.autograd.grad(normed, leaf, drawn, retain_graph=True)
                before = before + _mean_squares(rows[1 : passages.prefix])
                after = after + _mean_squares(rows[passages.prefix :])
    count = draws * len(passages.ids)
    return torch.as_tensor(before) / count, torch.as_tensor(after) / count


@torch.no_grad()
def _ends(split: Split, ids: Tensor) -> Tensor:
    """Return what the last block leaves, before the last norm, texts x tokens x channels."""
    found: list[Tensor] = []
    norm = _base(split).norm
    hook = norm.register_forward_pre_hook(lambda module, arguments: found.append(arguments[0]))
    try:
        _base(split)(input_ids=ids, use_cache=False)
    finally:
        hook.remove()
    return found[0]


def _base(split: Split) -> Any:
    """Return the model without the head that makes logits."""
    return split.loaded.model.base_model


def _mean_squares(rows: Tensor) -> Tensor:
    wide = rows.double()
    return wide.T @ wide / len(wide)


def _root(matrix: Tensor) -> Tensor:
    """Return R with R' R the matrix, for one that is symmetric and not negative."""
    sizes, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * sizes.clamp_min(0).sqrt()).T
    return root


@contextmanager
def _attention_hooks(split: Split, found: _Found) -> Iterator[None]:
    """Call back for each block up to the split within the context, in passes of the model."""
    model: Any = split.loaded.model
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")  # the only one that returns its weights
    try:
        with ExitStack() as stack:
            for number, layer in enumerate(split.loaded.blocks[: split.block + 1]):
                for hook in _hooks_of(number, layer.self_attn, found):
                    stack.callback(hook.remove)
            yield
    finally:
        model.set_attn_implementation(implementation)


def _hooks_of(number: int, attention: Any, found: _Found) -> list[Any]:
    computed: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, output: Tensor) -> None:
            heads = output.reshape(*output.shape[:2], -1, attention.head_dim)
            computed[name] = heads.transpose(1, 2)

        return hook

    def finish(module: nn.Module, arguments: Any, output: tuple[Tensor, Tensor]) -> None:
        found(number, attention, {**computed, "weights": output[1]})
        computed.clear()

    last_of_queries = getattr(attention, "q_norm", attention.q_proj)
    return [
        last_of_queries.register_forward_hook(keep("queries")),
        attention.v_proj.register_forward_hook(keep("values")),
        attention.register_forward_hook(finish),
    ]


def _cache_squares(
    text: dict[str, Tensor], projections: Tensor, prefix: int, rotary: Rotary | None, scaling: float
) -> tuple[Tensor, Tensor]:
    """Return the squares of a block's keys and values of one text, as its continuation feels them.

    `projections` make of the output of a query head the gradients that its part of the hidden state has.
    """
    weights, values = text["weights"], text["values"]
    parts = (text["queries"][:, prefix:] * scaling, weights[:, prefix:], projections)
    grouped = [rearrange(part, "(g h) t c -> g h t c", g=len(values)) for part in parts]
    key_blocks, value_blocks = [], []
    for queries, shares, projection, value in zip(*grouped, values, strict=True):
        felt = shares[..., 1:prefix]
        apart = torch.cdist(shares @ value @ projection.mT, value[1:prefix] @ projection.mT).square()
        moments = queries.mT @ queries / queries.shape[1]
        key_blocks.append(key_squares(moments, _by_lag(felt.square() * apart, prefix), rotary))
        value_blocks.append(value_squares(felt, projection))
    keys: Tensor = torch.block_diag(*key_blocks)  # type: ignore[no-untyped-call]
    return keys, torch.block_diag(*value_blocks)  # type: ignore[no-untyped-call]


def _by_lag(weights: Tensor, prefix: int) -> Tensor:
    """Sum heads x queries x keys to heads x lags, for queries from `prefix` on and keys from 1 on; mean over keys."""
    heads, queries, keys = weights.shape
    lags = prefix + torch.arange(queries)[:, None] - torch.arange(1, keys + 1)
    summed = weights.new_zeros(heads, prefix + queries)
    summed.index_add_(1, lags.flatten().to(weights.device), weights.flatten(1))
    return summed / keys
