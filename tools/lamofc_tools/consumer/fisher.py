"""Measure the metric of the rest of a language model, without labels: Fisher matrices of its own answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
def measure_metric(
    loaded: LoadedModel,
    passages: Passages,
    block: int,
    *,
    seed: int = 0,
    batch: int = 1,
    sink_ratio: float | None = None,
) -> ModelMetric:
    """Return the metric of the rest of a model after `block`, counted from zero, over the tokens of some prefixes.

    A gradient is that of the log-likelihood of one label at every position of prefix and continuation, drawn from the
    model's own answer. 16 to 64 texts are enough. The first token of each text is left out, since others attend to it
    whatever it is; so are, with `sink_ratio`, tokens whose feature after the block is longer than that many times the
    median token's. Memory is that of one batch; the result does not depend on the batch.
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
        for gradients, mask in zip(_gradients(split, ids, samples, generators), kept, strict=True):
            _add_squares(sums, _by_token(gradients, split, rotary), mask)
    if not tokens:
        raise BadArgument(f"sink_ratio={sink_ratio} leaves no token of {len(passages.ids)} texts", "give a larger one")
    means = {name: (total / tokens).float() for name, total in sums.items()}
    return ModelMetric(split.consumer, means, tokens, sum(map(len, passages.ids.values())))


def _kept_tokens(output: Tensor, sink_ratio: float | None) -> Tensor:
    """Return which tokens count: all but the first one and sinks."""
    lengths = output.float().norm(dim=-1).cpu()
    kept = (
        torch.ones(len(lengths), dtype=torch.bool) if sink_ratio is None else lengths <= sink_ratio * lengths.median()
    )
    kept[0] = False
    return kept


def _gradients(
    split: Split, ids: Tensor, samples: Sequence[Mapping[str, Tensor]], generators: Sequence[torch.Generator]
) -> list[dict[str, Tensor]]:
    """Return the gradient of each sample's log-likelihood by each of its features."""
    leaves = [{name: value.requires_grad_() for name, value in sample.items()} for sample in samples]
    prefix = leaves[0][split.loaded.output_name(split.block)].shape[1]
    hidden = split.run(ids, prefix, leaves)
    by_hidden = [_gradient_of_answers(split, row, draw) for row, draw in zip(hidden.detach(), generators, strict=True)]
    wanted = [value for sample in leaves for value in sample.values()]
    found = iter(torch.autograd.grad(hidden, wanted, torch.stack(by_hidden)))
    return [{name: next(found) for name in sample} for sample in leaves]


def _gradient_of_answers(split: Split, hidden: Tensor, generator: torch.Generator) -> Tensor:
    """Return the gradient of the log-likelihood of drawn labels by what the last block leaves, positions x channels."""
    gradients = []
    for chunk in split.chunks(hidden):
        leaf = chunk.clone().requires_grad_()
        logs = split.logits(leaf).log_softmax(-1)
        drawn = torch.multinomial(logs.detach().exp().cpu(), 1, generator=generator).to(logs.device)
        gradients.append(torch.autograd.grad(logs.gather(1, drawn).sum(), leaf)[0])
    return torch.cat(gradients)


def _by_token(gradients: Mapping[str, Tensor], split: Split, rotary: Mapping[str, Rotary]) -> dict[str, Tensor]:
    """Return gradients as tokens x channels, those by keys for keys without their rotation."""
    rows = {name: rearrange(gradients[name], pattern).double().cpu() for name, pattern in split.patterns.items()}
    return {name: rotary[name].turned(value, back=True) if name in rotary else value for name, value in rows.items()}


def _add_squares(sums: dict[str, Tensor], rows: Mapping[str, Tensor], kept: Tensor) -> None:
    for name, gradient in rows.items():
        counted = gradient[kept]
        sums[name] = sums.get(name, 0) + counted.T @ counted
