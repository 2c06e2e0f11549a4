"""Measure the metric of the rest of a language model, without labels: Fisher matrices of its own answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from zlib import crc32

import torch
from einops import rearrange
from torch import Tensor

from lamofc_codecs import Rotary
from lamofc_store.errors import BadArgument
from lamofc_tools.consumer.metric import ModelMetric
from lamofc_tools.consumer.rotary import find_rotary
from lamofc_tools.consumer.split import Passages, Split
from lamofc_tools.models import LoadedModel


@torch.enable_grad()
def measure_metric(  # noqa: PLR0913 - options are keywords
    loaded: LoadedModel,
    passages: Passages,
    block: int,
    *,
    seed: int = 0,
    batch: int = 1,
    draws: int = 2,
    sink_ratio: float | None = None,
) -> ModelMetric:
    """Return the metric of the rest of a model after `block`, counted from zero, over the tokens of some prefixes.

    A gradient is that of the log-likelihood of one label at every position of prefix and continuation, drawn from
    the model's own answer; `draws` labels are drawn one after another. 16 to 64 texts are enough. Caches are felt
    by the continuation alone, so that their matrices need more labels there than they have channels. Continuations
    count together as much as prefixes, however many positions they have. The first
    token of each text is left out, since others attend to it whatever it is; so are, with `sink_ratio`, tokens
    whose feature after the block is longer than that many times the median token's. Memory is that of one batch;
    the result does not depend on the batch.
    """
    split, rotary = Split(loaded, block), find_rotary(loaded)
    sums: dict[str, Tensor] = {}
    tokens = 0
    for names in passages.batches(batch):
        ids = passages.batch(names)
        samples = split.features(ids[:, : passages.prefix])
        kept = [_kept_tokens(sample[loaded.output_name(block)][0], sink_ratio) for sample in samples]
        tokens += sum(int(mask.sum()) for mask in kept)
        generators = [torch.Generator().manual_seed(crc32(name.encode(), seed)) for name in names]
        for gradients in _gradients(split, ids, samples, generators, draws):
            for by_feature, mask in zip(gradients, kept, strict=True):
                _add_squares(sums, _by_token(by_feature, split, rotary), mask)
    if not tokens:
        raise BadArgument(f"sink_ratio={sink_ratio} leaves no token of {len(passages.ids)} texts", "give a larger one")
    means = {name: (total / (tokens * draws)).float() for name, total in sums.items()}
    return ModelMetric(split.consumer, means, tokens, 2 * passages.prefix * len(passages.ids))


def _kept_tokens(output: Tensor, sink_ratio: float | None) -> Tensor:
    """Return which tokens count: all but the first one and sinks."""
    lengths = output.float().norm(dim=-1).cpu()
    kept = (
        torch.ones(len(lengths), dtype=torch.bool) if sink_ratio is None else lengths <= sink_ratio * lengths.median()
    )
    kept[0] = False
    return kept


def _gradients(
    split: Split,
    ids: Tensor,
    samples: Sequence[Mapping[str, Tensor]],
    generators: Sequence[torch.Generator],
    draws: int,
) -> Iterator[list[dict[str, Tensor]]]:
    """Yield for each draw the gradient of each sample's log-likelihood by each of its features."""
    leaves = [{name: value.requires_grad_() for name, value in sample.items()} for sample in samples]
    prefix = leaves[0][split.loaded.output_name(split.block)].shape[1]
    hidden = split.run(ids, prefix, leaves)
    by_row = [answer_gradients(split, row, draw, draws) for row, draw in zip(hidden.detach(), generators, strict=True)]
    wanted = [value for sample in leaves for value in sample.values()]
    balance = torch.ones(hidden.shape[1], 1, device=hidden.device)
    balance[prefix:] = (prefix / (hidden.shape[1] - prefix)) ** 0.5
    for by_hidden in zip(*by_row, strict=True):
        found = iter(torch.autograd.grad(hidden, wanted, torch.stack(by_hidden) * balance, retain_graph=True))
        yield [{name: next(found) for name in sample} for sample in leaves]


def answer_gradients(split: Split, hidden: Tensor, generator: torch.Generator, draws: int) -> list[Tensor]:
    """Return for each draw the gradient of the labels' log-likelihood by what the last block leaves at positions."""
    gradients: list[list[Tensor]] = [[] for _ in range(draws)]
    for chunk in split.chunks(hidden):
        leaf = chunk.clone().requires_grad_()
        logs = split.logits(leaf).log_softmax(-1)
        drawn = torch.multinomial(logs.detach().exp().cpu(), draws, replacement=True, generator=generator)
        for found, labels in zip(gradients, drawn.T.to(logs.device), strict=True):
            likelihood = logs.gather(1, labels[:, None]).sum()
            found.append(torch.autograd.grad(likelihood, leaf, retain_graph=True)[0])
    return [torch.cat(parts) for parts in gradients]


def _by_token(gradients: Mapping[str, Tensor], split: Split, rotary: Mapping[str, Rotary]) -> dict[str, Tensor]:
    """Return gradients as tokens x channels, those by keys for keys without their rotation."""
    rows = {name: rearrange(gradients[name], pattern).double().cpu() for name, pattern in split.patterns.items()}
    return {name: rotary[name].turned(value, back=True) if name in rotary else value for name, value in rows.items()}


def _add_squares(sums: dict[str, Tensor], rows: Mapping[str, Tensor], kept: Tensor) -> None:
    for name, gradient in rows.items():
        counted = gradient[kept]
        sums[name] = sums.get(name, 0) + counted.T @ counted
