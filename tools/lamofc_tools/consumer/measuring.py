"""The metric of any consumer that has one: the function that measures it, by the kind of the model."""

from __future__ import annotations

from collections.abc import Sequence

from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.consumer.decoder import CONTINUATION, PREFIX, cut_passages
from lamofc_tools.consumer.fisher import measure_metric
from lamofc_tools.consumer.gradients import MeasuredMatrices
from lamofc_tools.consumer.media import measure_diffusion, measure_encoder, measure_speech
from lamofc_tools.consumer.metric import ModelMetric
from lamofc_tools.consumer.state_space import measure_state_space
from lamofc_tools.models import STATE_SPACE, DiffusionSource, LoadedModel, ModelInput


def measure_consumer(  # noqa: PLR0913 - options are keywords
    model: LoadedModel | DiffusionSource,
    items: Sequence[ModelInput],
    block: int | None = None,
    *,
    prefix: int = PREFIX,
    continuation: int = CONTINUATION,
    draws: int = 2,
    seed: int = 0,
) -> ModelMetric:
    """Return the metric of a model, or of the rest of it after `block`, counted from zero, over some of its inputs.

    Decoders of texts, by attention or by states, answer at a prefix of each text and at its continuation; both lengths
    concern these alone. `draws` labels, or sums under random signs, are drawn of each answer; more of them make up for
    few items. Encoders of images and sounds answer by the head that `open_model(..., head=True)` gave them, a speech
    recogniser by its decoder, and others by their final states. Only a pipeline of diffusers goes without a block: its
    features are those of its samples.
    """
    if isinstance(model, DiffusionSource):
        return _metric(measure_diffusion(model, _some(items), block, seed=seed, draws=draws))
    if not isinstance(model, LoadedModel):
        raise BadArgument(
            f"a {type(model).__name__} as a consumer",
            "give a model of open_model or a DiffusionSource; Kimi-Audio, which its own package loads, has no metric",
        )
    if block is None:
        raise BadArgument(f"{model.name} without a block", Hint(f"give [block] 0 to {model.last_split}"))
    if model.kind.cache is None:
        decoded = model.has_head and model.config.is_encoder_decoder
        measure = measure_speech if decoded else measure_encoder
        return _metric(measure(model, _some(items), block, seed=seed, draws=draws))
    passages = cut_passages(model, items, prefix, continuation)
    if model.kind.cache is STATE_SPACE:
        return measure_state_space(model, passages, block, seed=seed, draws=draws)
    return measure_metric(model, passages, block, seed=seed, draws=draws)


def _metric(measured: MeasuredMatrices) -> ModelMetric:
    return ModelMetric(
        measured.consumer,
        measured.matrices,
        measured.tokens,
        measured.positions,
        consumer_digest=measured.consumer_digest,
    )


def _some(items: Sequence[ModelInput]) -> Sequence[ModelInput]:
    if not items:
        raise BadArgument(f"a metric over {len(items)} inputs", "give some; 16 to 64 are enough")
    return items
