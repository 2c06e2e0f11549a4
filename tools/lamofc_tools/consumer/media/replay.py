"""Replay of the rest of an encoder with a head, or with a decoder that reads it, on decoded features of one input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lamofc_tools.consumer.answers import AnswerSums, Replay
from lamofc_tools.consumer.gradients import fisher_draws, generators_for
from lamofc_tools.consumer.media.encoder import EncoderSplit, Inputs
from lamofc_tools.consumer.media.speech import TRANSCRIPT, before_end, draw_transcripts
from lamofc_tools.models import Features, ModelInput

_SEED = 1
"""Seed of transcripts; other ones than those that a metric was measured on."""


@dataclass(frozen=True)
class UnbrokenInput:
    """An input, with a transcript where the model has a decoder, and the answers to its feature as it was."""

    split: EncoderSplit
    inputs: Inputs
    feature: Tensor
    """The feature, on the model's device and in its dtype."""

    @torch.no_grad()
    def divergence(self, decoded: Features) -> float:
        """Return the divergence of the answers to a decoded feature."""
        sums = AnswerSums()
        sums.compare(self._unbroken, self._answers(decoded.get(self.split.feature, self.feature)))
        return sums.kl

    @torch.enable_grad()
    def gradient(self, decoded: Features) -> dict[str, Tensor]:
        """Return the gradient of the divergence by a decoded feature."""
        name = self.split.feature
        if name not in decoded:
            return {}
        leaf = decoded[name].detach().float().requires_grad_()
        surprise = -(self._unbroken.exp() * self._answers(leaf)).sum() / len(self._unbroken)
        return {name: torch.autograd.grad(surprise, leaf)[0]}

    @torch.enable_grad()
    def draw(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a gradient of the answers by the feature as it was."""
        leaf = self.feature.detach().float().requires_grad_()
        answers = self._answers(leaf)
        (along,) = fisher_draws(answers[None], [generator], 1)
        return {self.split.feature: torch.autograd.grad(answers, leaf, along[0] / len(answers) ** 0.5)[0]}

    @cached_property
    @torch.no_grad()
    def _unbroken(self) -> Tensor:
        return self._answers(self.feature)

    def _answers(self, feature: Tensor) -> Tensor:
        """Return the log-probabilities of answers, positions x classes."""
        answers = self.split.answer(self.inputs, feature.to(self.feature)).float().log_softmax(-1).flatten(0, -2)
        if "decoder_input_ids" not in self.inputs:
            return answers
        return answers[before_end(self.inputs["decoder_input_ids"], self.split.loaded.config.eos_token_id)[0]]


@dataclass(frozen=True)
class ReplayedInput:
    """An input on the model's device, with transcripts that a decoder draws of it."""

    sample: str
    input: UnbrokenInput
    length: int

    def divergence(self, decoded: Features) -> float:
        """Return the divergence of the answers to a decoded feature."""
        return self._measured.divergence(decoded)

    def gradient(self, decoded: Features, step: int) -> dict[str, Tensor]:
        """Return the gradient of the divergence, of a decoder along another transcript."""
        return self._guiding.gradient(decoded)

    def draw(self, step: int) -> dict[str, Tensor]:
        """Draw a gradient of the answers by the feature as it was."""
        return self._guiding.draw(generators_for([self.sample], step)[0])

    @cached_property
    def _measured(self) -> UnbrokenInput:
        return self._transcribed(_SEED)

    @cached_property
    def _guiding(self) -> UnbrokenInput:
        return self._transcribed(_SEED + 1) if self._has_decoder else self._measured

    @property
    def _has_decoder(self) -> bool:
        return bool(self.input.split.loaded.config.is_encoder_decoder)

    @torch.no_grad()
    def _transcribed(self, seed: int) -> UnbrokenInput:
        """Return the input with a transcript drawn by a seed; as it is where the model has no decoder."""
        if not self._has_decoder:
            return self.input
        loaded, inputs = self.input.split.loaded, self.input.inputs
        tokens = draw_transcripts(loaded, inputs, generators_for([self.sample], seed), self.length)
        return UnbrokenInput(self.input.split, {**inputs, "decoder_input_ids": tokens}, self.input.feature)


@dataclass(eq=False)
class EncoderReplay(Replay):
    """Measures the divergence of the answers of an encoder's head, or of a decoder along a transcript that it draws.

    The inputs give no more than the shape of what the model reads, and the transcript.
    """

    split: EncoderSplit
    items: Mapping[str, ModelInput]
    """The inputs, by the ids of their samples."""
    length: int = TRANSCRIPT
    """Most tokens of a transcript."""

    @torch.no_grad()
    def open(self, sample: str, features: Features) -> ReplayedInput | None:
        """Move the input and the feature of a sample to the model's device; None for one that the model cannot read.

        Such a sample has no input, or lacks the feature; or this is not finite, or not of the shape that the input has.
        """
        name, loaded = self.split.feature, self.split.loaded
        if sample not in self.items or name not in features:
            return None
        inputs = loaded.inputs([self.items[sample]])
        if self.split.features(inputs).shape != features[name].shape:
            return None
        feature = features[name].to(next(loaded.model.parameters()))
        if not torch.isfinite(feature).all():
            return None
        return ReplayedInput(sample, UnbrokenInput(self.split, inputs, feature), self.length)
