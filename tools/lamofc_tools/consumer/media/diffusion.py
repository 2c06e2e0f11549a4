"""A pipeline of Stable Diffusion 3 as the consumer of prompts, of latents, and of its denoiser's hidden states.

Prompts and hidden states are felt by the denoiser's answers, latents by the picture that is decoded from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.consumer.gradients import (
    Deviations,
    MeasuredMatrices,
    Reading,
    SquareSums,
    generators_for,
    sign_draws,
)
from lamofc_tools.models import DiffusionSource, ModelInput, replaced_forward, short_name

_CHANNELS = -3
"""The axis of the channels of answers and pictures."""
_MEASURED_STEPS = 4
"""Steps of a picture at which the denoiser's answers are measured, evenly spread."""
_LATENTS = "vae.decoder"
_PROMPTS = "text_encoder"
_STATES = ("encoder_hidden_states", "hidden_states")
"""Outputs of a transformer block, in this order; the last block leaves no states of the prompt."""


@dataclass(frozen=True)
class _Answer:
    """Answer of a part of the pipeline to some features."""

    part: str
    features: Mapping[str, Tensor]
    values: Tensor
    patterns: Mapping[str, str] = field(default_factory=dict)


Reader = Callable[[ModelInput], Iterator[_Answer]]


def measure_diffusion(
    source: DiffusionSource, items: Sequence[ModelInput], block: int | None = None, *, seed: int = 0, draws: int = 2
) -> MeasuredMatrices:
    """Measure a pipeline over some prompts, by random signs; the pipeline runs twice on each prompt.

    Without a block the features are those that the pipeline's samples have: prompt embeddings, felt by the answers of
    the denoiser, by classifier-free guidance, at four steps, and latents, felt by the decoded picture. A
    ControlNet's states of a prompt stay as they are, and its image has no matrix. With a block they are
    `layer.N.hidden_states` after transformer block N, counted from zero, and `layer.N.encoder_hidden_states`, which the
    last block does not have. Values of answers count relative to the deviation of their channel. Memory is that of one
    prompt.
    """
    reader = _PipelineReader(source) if block is None else _BlockReader(source, _require_block(source, block))
    deviations: dict[str, Deviations] = {}
    with torch.no_grad():
        for answer in (answer for item in items for answer in reader.read(item)):
            deviations.setdefault(answer.part, Deviations(_CHANNELS)).add(answer.values)
    sums, tokens = {part: SquareSums() for part in deviations}, 0
    for item in items:
        (generator,) = generators_for([item.id], seed)
        with torch.enable_grad():
            for answer in reader.read(item):
                scale = deviations[answer.part].scale(answer.values)
                drawn = sign_draws(answer.values, scale, [generator], draws)
                sums[answer.part].add(Reading(answer.features, answer.values, drawn, answer.patterns))
                tokens += answer.values[:, 0].numel()
    means = [total.means(deviations[part].values) for part, total in sums.items()]
    matrices = {name: matrix for found in means for name, matrix in found.items()}
    return MeasuredMatrices(reader.consumer, matrices, tokens, 0, source.digest)


def _require_block(source: DiffusionSource, block: int) -> int:
    count = len(source.pipeline.transformer.transformer_blocks)
    if not 0 <= block < count:
        raise BadArgument(f"block {block} of a denoiser that has {count}", Hint(f"give [block] 0 to {count - 1}"))
    return block


@dataclass(frozen=True)
class _PipelineReader:
    """Reads the features of a pipeline's samples."""

    source: DiffusionSource

    @property
    def consumer(self) -> str:
        """Name of the pipeline."""
        return short_name(self.source.name)

    def read(self, item: ModelInput) -> Iterator[_Answer]:
        """Yield the denoiser's answers to the prompt at some steps, and the picture."""
        with _recorded_calls(self.source.pipeline.transformer, self.source.steps) as calls:
            (sample,) = self.source.extract([item])
        features = {name: tensor.clone() for name, tensor in sample.features.items()}
        prompts = {name: features[name].requires_grad_() for name in features if name.startswith(_PROMPTS)}
        with self.source.substitute_conditioning(features):
            embeddings = self._embeddings(item, doubled=len(calls[0]["hidden_states"]) == 2)
        for call in calls:
            values = _denoised(self.source, {**call, **embeddings})
            yield _Answer("answers", prompts, values, sample.patterns)
        latents = features[_LATENTS].requires_grad_()
        picture = self.source.pipeline.vae.decoder(latents[None].to(self.source.pipeline.vae.device))
        yield _Answer("pictures", {_LATENTS: latents}, picture, sample.patterns)

    def _embeddings(self, item: ModelInput, *, doubled: bool) -> dict[str, Tensor]:
        """Return the arguments by which the denoiser sees the prompt, and the negative one above it."""
        options: dict[str, Any] = {"prompt": item.text, "prompt_2": None, "prompt_3": None}
        prompt, negative, pooled, negative_pooled = self.source.pipeline.encode_prompt(
            **options, do_classifier_free_guidance=doubled
        )
        both = ((negative, prompt), (negative_pooled, pooled)) if doubled else ((prompt,), (pooled,))
        states, vectors = map(torch.cat, both)
        return {"encoder_hidden_states": states, "pooled_projections": vectors}


@dataclass(frozen=True)
class _BlockReader:
    """Reads the states after a transformer block of the denoiser."""

    source: DiffusionSource
    block: int

    @property
    def consumer(self) -> str:
        """Name of the rest of the denoiser, `MODEL@BLOCK`."""
        return f"{short_name(self.source.name)}@{self.block}"

    def read(self, item: ModelInput) -> Iterator[_Answer]:
        """Yield the denoiser's answers at some steps."""
        transformer = self.source.pipeline.transformer
        with _recorded_calls(transformer, self.source.steps) as calls, torch.no_grad():
            self.source.run(item)
        for call in calls:
            states = self._states(call)
            with _substituted_states(transformer.transformer_blocks[: self.block + 1], states):
                values = _denoised(self.source, call)
            features = {f"layer.{self.block}.{name}": tensor for name, tensor in states.items()}
            yield _Answer("answers", features, values)

    @torch.no_grad()
    def _states(self, call: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return what the block leaves, as tensors that require gradients."""
        transformer, left = self.source.pipeline.transformer, []
        hook = transformer.transformer_blocks[self.block].register_forward_hook(lambda *passed: left.append(passed[2]))
        try:
            transformer(**call)
        finally:
            hook.remove()
        states = zip(_STATES, left[0], strict=True)
        return {name: tensor.detach().clone().requires_grad_() for name, tensor in states if tensor is not None}


@contextmanager
def _recorded_calls(transformer: nn.Module, steps: int) -> Iterator[list[dict[str, Any]]]:
    """Record the arguments of the denoiser's calls within the context, at some of its steps."""
    chosen = measured_steps(steps)
    calls: list[dict[str, Any]] = []
    numbers = iter(range(steps))

    def record(module: nn.Module, arguments: tuple[()], options: dict[str, Any]) -> None:
        if next(numbers, None) in chosen:
            calls.append(dict(options))

    hook = transformer.register_forward_pre_hook(record, with_kwargs=True)
    try:
        yield calls
    finally:
        hook.remove()


@contextmanager
def _substituted_states(blocks: nn.ModuleList, states: Mapping[str, Tensor]) -> Iterator[None]:
    """Make these blocks pass the states on, instead of computing them."""
    left = tuple(states.get(name) for name in _STATES)
    with ExitStack() as stack:
        for block in blocks:
            stack.enter_context(replaced_forward(block, lambda *arguments, **options: left))
        yield


def measured_steps(steps: int) -> set[int]:
    """Return the steps of a picture at which the denoiser's answers are measured, counted from zero."""
    return set(torch.linspace(0, steps - 1, min(steps, _MEASURED_STEPS)).round().int().tolist())


def _denoised(source: DiffusionSource, call: Mapping[str, Any]) -> Tensor:
    return scaled_answer(source, source.pipeline.transformer(**call)[0])


def scaled_answer(source: DiffusionSource, answer: Tensor) -> Tensor:
    """Return the denoiser's answer, by classifier-free guidance scaled away from that to a negative prompt, if any."""
    if len(answer) == 1:
        return answer
    negative, positive = answer.chunk(2)
    scale: float = source.pipeline.guidance_scale
    return negative + scale * (positive - negative)
