"""The rest of a speech recogniser as the consumer of its encoder's states, which its decoder reads by attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lamofc_tools.consumer.gradients import MeasuredMatrices, Reading, SquareSums, fisher_draws, generators_for
from lamofc_tools.consumer.media.encoder import EncoderSplit, Inputs
from lamofc_tools.models import LoadedModel, ModelInput, cache_parameter

TRANSCRIPT = 24
"""Tokens of a transcript that is drawn, unless another number is given."""


@torch.enable_grad()
def measure_speech(  # noqa: PLR0913 - options are keywords
    loaded: LoadedModel,
    items: Sequence[ModelInput],
    block: int,
    *,
    seed: int = 0,
    batch: int = 4,
    draws: int = 2,
    length: int = TRANSCRIPT,
) -> MeasuredMatrices:
    """Measure the rest of an encoder after `block`, counted from zero, with the decoder that reads it.

    A transcript of each sound of at most `length` tokens is drawn from the model's own answers, from its start token
    on, so that language and task are drawn as well. Each of its tokens up to the end has `draws` gradients.
    Memory is that of one batch; the result does not depend on the batch.
    """
    split, sums = EncoderSplit(loaded, block), SquareSums()
    tokens = positions = 0
    for group in split.batches(items, batch):
        inputs, generators = loaded.inputs(group), generators_for([item.id for item in group], seed)
        features = split.features(inputs).requires_grad_()
        transcripts = draw_transcripts(loaded, inputs, generators, length)
        answered = before_end(transcripts, loaded.config.eos_token_id)
        with split.substituted(features):
            logits = loaded.model(**inputs, decoder_input_ids=transcripts, use_cache=False).logits
        sums.add(Reading({split.feature: features}, logits, fisher_draws(logits, generators, draws, answered)))
        tokens += features.shape[0] * features.shape[1]
        positions += int(answered.sum())
    return MeasuredMatrices(split.consumer, sums.means(tokens), tokens, positions, loaded.digest)


@torch.no_grad()
def draw_transcripts(loaded: LoadedModel, inputs: Inputs, generators: Sequence[torch.Generator], length: int) -> Tensor:
    """Return token ids drawn one after another, sounds x length, each beginning with the start token."""

    def draw(logits: Tensor) -> Tensor:
        chances = logits.softmax(-1).cpu()
        tokens = [torch.multinomial(row, 1, generator=own) for row, own in zip(chances, generators, strict=True)]
        return torch.stack(tokens).to(logits.device)

    return _transcripts(loaded, encoder_states(loaded, inputs), length, draw)


@torch.no_grad()
def likeliest_transcripts(loaded: LoadedModel, states: Tensor, length: int) -> Tensor:
    """Return the likeliest token ids one after another, given the final states of the encoder, sounds x tokens.

    Each begins with the start token. There are `length` of them, or as many as the longest has up to its end.
    """
    return _transcripts(loaded, states, length, lambda logits: logits.argmax(-1, keepdim=True), until_end=True)


def encoder_states(loaded: LoadedModel, inputs: Inputs) -> Tensor:
    """Return the final states of the encoder, which the decoder reads."""
    model: Any = loaded.model
    states: Tensor = model.get_encoder()(**inputs).last_hidden_state
    return states


def _transcripts(
    loaded: LoadedModel,
    states: Tensor,
    length: int,
    choose: Callable[[Tensor], Tensor],
    *,
    until_end: bool = False,
) -> Tensor:
    """Choose tokens one after another by the logits of each sound, with `until_end` until all transcripts end."""
    from transformers import DynamicCache, EncoderDecoderCache

    model: Any = loaded.model
    options: dict[str, Any] = {cache_parameter(model): EncoderDecoderCache(DynamicCache(), DynamicCache())}
    chosen = [torch.full((len(states), 1), loaded.config.decoder_start_token_id, device=states.device)]
    ended = torch.zeros_like(chosen[0], dtype=torch.bool)
    while len(chosen) < length and not (until_end and ended.all()):
        logits = model(encoder_outputs=(states,), decoder_input_ids=chosen[-1], use_cache=True, **options).logits
        chosen.append(choose(logits[:, -1].float()))
        ended |= chosen[-1] == loaded.config.eos_token_id
    return torch.cat(chosen, 1)


def before_end(transcripts: Tensor, end: int) -> Tensor:
    """Return at which tokens the model still answers: those before the first end of the text."""
    return (transcripts == end).cumsum(1) == 0
