"""Replay of the rest of an encoder with a head, or with a decoder that reads it, on decoded features of one input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lamofc_tools.consumer.answers import AnswerSums
from lamofc_tools.consumer.gradients import generators_for
from lamofc_tools.consumer.media.encoder import EncoderSplit, Inputs
from lamofc_tools.consumer.media.speech import TRANSCRIPT, before_end, draw_transcripts
from lamofc_tools.models import Features, ModelInput

_SEED = 1
"""Seed of transcripts; other ones than those that a metric was measured on."""


@dataclass(frozen=True)
class EncoderReplay:
    """Measures the divergence of the answers of an encoder's head, or of a decoder along a transcript that it draws.

    The inputs give no more than the shape of what the model reads, and the transcript.
    """

    split: EncoderSplit
    items: Mapping[str, ModelInput]
    """The inputs, by the ids of their samples."""
    length: int = TRANSCRIPT
    """Most tokens of a transcript."""

    @torch.no_grad()
    def __call__(self, sample: str, features: Features) -> Callable[[Features], float] | None:
        """Return the measure of a sample, given its id; None for one that the model cannot read.

        Such a sample has no input, or lacks the feature; or this is not finite, or not of the shape that the input has.
        """
        name, loaded = self.split.feature, self.split.loaded
        if sample not in self.items or name not in features or not torch.isfinite(features[name]).all():
            return None
        inputs, original = loaded.inputs([self.items[sample]]), features[name]
        if self.split.features(inputs).shape != original.shape:
            return None
        if loaded.config.is_encoder_decoder:
            tokens = draw_transcripts(loaded, inputs, generators_for([sample], _SEED), self.length)
            inputs = {**inputs, "decoder_input_ids": tokens}
        wanted = self._answers(inputs, original)

        @torch.no_grad()
        def divergence(decoded: Features) -> float:
            sums = AnswerSums()
            sums.compare(wanted, self._answers(inputs, decoded.get(name, original)))
            return sums.kl

        return divergence

    def _answers(self, inputs: Inputs, feature: Tensor) -> Tensor:
        """Return the log-probabilities of answers, positions x classes."""
        own = next(self.split.loaded.model.parameters())
        answers = self.split.answer(inputs, feature.to(own)).float().log_softmax(-1).flatten(0, -2)
        if "decoder_input_ids" not in inputs:
            return answers
        return answers[before_end(inputs["decoder_input_ids"], self.split.loaded.config.eos_token_id)[0]]
