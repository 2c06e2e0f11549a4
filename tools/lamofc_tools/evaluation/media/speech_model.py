"""The rest of a speech recogniser: the transcripts that its decoder makes of the encoder's states."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument, Hint, NotFound
from lamofc_tools.consumer import AnswerSums
from lamofc_tools.consumer.media import before_end, encoder_states, likeliest_transcripts
from lamofc_tools.evaluation.contract import UNBROKEN, Figure, FigureSet
from lamofc_tools.evaluation.media.encoder_model import HEAD_FIGURES, EncoderModel
from lamofc_tools.metrics import word_error_rate
from lamofc_tools.models import Features

_FIGURES = FigureSet(
    "sound",
    (
        *HEAD_FIGURES,
        Figure("wer_transcript", "WER", label="word error rate against the unbroken transcript"),
        Figure("wer_reference", "WER to reference"),
    ),
    {"positions": "tokens of transcripts"},
)
_LEAST_LENGTH = 2
"""Fewest tokens of a transcript: the start and one that is answered."""


@dataclass(frozen=True)
class _Transcript:
    """The likeliest transcript of a sound by the unbroken model."""

    tokens: Tensor
    """Token ids from the start token on; those at which the model answers, so that its end is not among them."""
    states: Tensor
    """Hidden states that the decoder leaves at these tokens, tokens x channels."""
    text: str


@dataclass
class SpeechModel(EncoderModel):
    """The rest of a speech recogniser, by the tokens and the words of transcripts."""

    length: int | None = None
    """Most tokens of a transcript; None for all that the model takes."""

    def __post_init__(self) -> None:
        if self.length is not None and self.length < _LEAST_LENGTH:
            raise BadArgument(f"transcripts of {self.length} tokens", Hint(f"give [continued] {_LEAST_LENGTH} or more"))

    @property
    def figure_set(self) -> FigureSet:
        """Divergence and agreement along the unbroken transcript, and word error rates."""
        return _FIGURES

    @property
    def settings(self) -> dict[str, Any]:
        """The length of transcripts."""
        return {"transcript_tokens": self.most_tokens}

    @property
    def most_tokens(self) -> int:
        """Most tokens of a transcript."""
        longest: int = self.split.loaded.config.max_target_positions
        return min(self.length or longest, longest)

    @torch.no_grad()
    def prepare(self, progress: Callable[[int], None]) -> None:
        """Transcribe all sounds by the unbroken model."""
        self.transcripts: dict[str, _Transcript] = {}
        for names in self.batches():
            states = encoder_states(self.split.loaded, self.inputs(names))
            tokens = likeliest_transcripts(self.split.loaded, states, self.most_tokens)
            for name, row, left, answered in zip(
                names, tokens, self.decoded(states, tokens), self.answered(tokens), strict=True
            ):
                self.transcripts[name] = _Transcript(row[answered], left[answered], self.text(row))
            progress(len(names))

    def tally(self) -> SpeechTally:
        """Return an empty tally."""
        return SpeechTally(self)

    @cached_property
    def references(self) -> dict[str, str]:
        """The true transcripts of those sounds that have one."""
        return {item.id: item.text for item in self.items if item.text}

    def decoded(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Return what the decoder leaves at the tokens of transcripts, given the states of the encoder."""
        base: Any = self.split.loaded.model.base_model
        left: Tensor = base(encoder_outputs=(states,), decoder_input_ids=tokens, use_cache=False).last_hidden_state
        return left

    def answers(self, left: Tensor) -> Tensor:
        """Return log-probabilities of the next token, given what the decoder leaves."""
        model: Any = self.split.loaded.model
        logits: Tensor = model.get_output_embeddings()(left)
        return logits.float().log_softmax(-1)

    def answered(self, tokens: Tensor) -> Tensor:
        """Return at which tokens of transcripts the model answers."""
        return before_end(tokens, self.split.loaded.config.eos_token_id)

    def text(self, tokens: Tensor) -> str:
        """Return the words of a transcript up to its end, without punctuation and in lower case."""
        return _words(self._tokenizer.decode(tokens[self.answered(tokens[None])[0]], skip_special_tokens=True))

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        name = self.split.loaded.name
        try:
            return AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise NotFound(f"{name} has no tokenizer to write transcripts with", "save it beside the model") from error


@dataclass
class SpeechTally:
    """Transcripts made of the decoded features of one store at one rate."""

    rest: SpeechModel
    sums: AnswerSums = field(init=False, default_factory=AnswerSums)
    texts: dict[str, str] = field(init=False, default_factory=dict)

    @torch.no_grad()
    def add(self, names: Sequence[str], samples: Sequence[Features]) -> None:
        """Transcribe a batch of sounds from their decoded features, and answer along their unbroken transcripts."""
        rest, loaded = self.rest, self.rest.split.loaded
        with rest.split.substituted(rest.batched(samples)):
            states = encoder_states(loaded, rest.inputs(names))
        unbroken = [rest.transcripts[name] for name in names]
        rows = [transcript.tokens for transcript in unbroken]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # no token looks at the padding after it
        for transcript, left in zip(unbroken, rest.decoded(states, padded), strict=True):
            found = left[: len(transcript.tokens)]
            self.sums.compare(rest.answers(transcript.states), rest.answers(found))
        tokens = likeliest_transcripts(loaded, states, rest.most_tokens)
        self.texts |= {name: rest.text(row) for name, row in zip(names, tokens, strict=True)}

    def values(self) -> dict[str, float]:
        """Return divergence, agreement, and word error rates against unbroken and true transcripts."""
        unbroken = {name: self.rest.transcripts[name].text for name in self.texts}
        references = {name: _words(text) for name, text in self.rest.references.items()}
        values = {
            "kl": self.sums.kl,
            "top1": self.sums.top1,
            "positions": self.sums.positions,
            "wer_transcript": _word_error_rate(self.texts, unbroken),
        }
        if references:
            values["wer_reference"] = _word_error_rate(self.texts, references)
            values[f"{UNBROKEN}wer_reference"] = _word_error_rate(unbroken, references)
        return values


def _word_error_rate(texts: dict[str, str], references: dict[str, str]) -> float:
    """Return the word error rate over all texts that have a reference."""
    return word_error_rate([texts[name] for name in references], list(references.values()))


def _words(text: str) -> str:
    """Return a text without punctuation and in lower case, as word error rates compare it."""
    return re.sub(r"[^\w\s']", " ", text.lower())
