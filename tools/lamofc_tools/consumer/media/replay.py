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

    def __call__(self, sample: str, features: Features) -> Callable[[Features], float] | None:
        """Return the measure of a sample, given its id; None for one that the model cannot read.

        Such a sample has no input, or lacks the feature; or this is not finite, or not of the shape that the input has.
        """
        inputs, name = self._inputs_of(sample, features, _SEED), self.split.feature
        if inputs is None:
            return None
        original, wanted = features[name], self._unbroken(inputs, features[name])

        @torch.no_grad()
        def divergence(decoded: Features) -> float:
            sums = AnswerSums()
            sums.compare(wanted, self._answers(inputs, decoded.get(name, original)))
            return sums.kl

        return divergence

    def guide(self, sample: str, features: Features) -> Callable[[Features], Features] | None:
        """Return the gradient of a sample's divergence by what is decoded of it; None for one that cannot be read."""
        inputs, name = self._inputs_of(sample, features, _SEED + 1), self.split.feature
        if inputs is None:
            return None
        likelihood = self._unbroken(inputs, features[name]).exp()

        @torch.enable_grad()
        def gradient(decoded: Features) -> dict[str, Tensor]:
            if name not in decoded:
                return {}
            leaf = decoded[name].detach().float().requires_grad_()
            surprise = -(likelihood * self._answers(inputs, leaf)).sum() / len(likelihood)
            return {name: torch.autograd.grad(surprise, leaf)[0]}

        return gradient

    @torch.no_grad()
    def _inputs_of(self, sample: str, features: Features, seed: int) -> Inputs | None:
        """Return what the model read of a sample, with a transcript drawn by a seed; None if it cannot be read."""
        name, loaded = self.split.feature, self.split.loaded
        if sample not in self.items or name not in features or not torch.isfinite(features[name]).all():
            return None
        inputs = loaded.inputs([self.items[sample]])
        if self.split.features(inputs).shape != features[name].shape:
            return None
        if loaded.config.is_encoder_decoder:
            tokens = draw_transcripts(loaded, inputs, generators_for([sample], seed), self.length)
            inputs = {**inputs, "decoder_input_ids": tokens}
        return inputs

    @torch.no_grad()
    def _unbroken(self, inputs: Inputs, feature: Tensor) -> Tensor:
        """Return the answers to a feature as it was."""
        return self._answers(inputs, feature)

    def _answers(self, inputs: Inputs, feature: Tensor) -> Tensor:
        """Return the log-probabilities of answers, positions x classes."""
        own = next(self.split.loaded.model.parameters())
        answers = self.split.answer(inputs, feature.to(own)).float().log_softmax(-1).flatten(0, -2)
        if "decoder_input_ids" not in inputs:
            return answers
        return answers[before_end(inputs["decoder_input_ids"], self.split.loaded.config.eos_token_id)[0]]
