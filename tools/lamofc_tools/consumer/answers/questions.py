"""Questions after texts: the answer that the rest of a model finds likeliest, reading the caches of a passage's prefix.

Likelihoods are those of lm-evaluation-harness: the sum of the log-likelihoods of an answer's tokens after the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.consumer.decoder import Split, token_ids
from lamofc_tools.models import LoadedModel, ModelInput, copy_rows

ANSWER = "answer"
"""Key of a text's JSON line with the right answer: a choice or its number from 0, or where there are none, a text."""


@dataclass(frozen=True)
class Question:
    """The answers to one text, of which one is right."""

    rest: Tensor
    """Tokens of the text after the prefix whose features are given."""
    answers: Sequence[str]
    tokens: Sequence[Tensor]
    """Tokens of each answer, as they follow the text."""
    right: int

    @classmethod
    def of(cls, loaded: LoadedModel, text: ModelInput, prefix: int) -> Question | None:
        """Return the question of a text, given the number of tokens of its prefix; None if it asks nothing."""
        right = text.attributes.get(ANSWER)
        if not text.choices and not isinstance(right, str):
            return None
        answers = text.choices or (str(right),)
        number = answers.index(right) if right in answers else right
        if not isinstance(number, int) or not 0 <= number < len(answers):
            raise BadArgument(
                f"text {text.id!r} has {len(answers)} choices and the answer {right!r}",
                f'write the right choice or its number: "{ANSWER}": 0 for the first',
            )
        ids = token_ids(loaded, text.text)
        wholes = [token_ids(loaded, _joined(text.text, answer)) for answer in answers]
        empty = [answer for answer, whole in zip(answers, wholes, strict=True) if len(whole) <= len(ids)]
        if empty:
            raise BadArgument(f"the answer {empty[0]!r} to text {text.id!r} adds no token", "give an answer of a word")
        return cls(ids[prefix:], answers, [whole[len(ids) :] for whole in wholes], number)

    def outcomes(self, split: Split, hidden: Tensor, cache: Any) -> dict[str, bool]:
        """Return whether the likeliest answer is right, by each measure, given one text's caches.

        `hidden` is what the last block leaves at the last token of the prefix.
        """
        scores, greedy = self._likelihoods(split, hidden, cache)
        if len(self.answers) == 1:
            return {"exact_match": greedy[0]}
        sizes = {
            "accuracy": [1 for _ in self.answers],
            "accuracy_norm": [len(answer) for answer in self.answers],
            "accuracy_bytes": [len(answer.encode()) for answer in self.answers],
        }
        normalised = {
            name: [score / max(size, 1) for score, size in zip(scores, each, strict=True)]
            for name, each in sizes.items()
        }
        return {name: values.index(max(values)) == self.right for name, values in normalised.items()}

    def _likelihoods(self, split: Split, hidden: Tensor, cache: Any) -> tuple[list[float], list[bool]]:
        """Return the log-likelihood of each answer, and whether each of its tokens is the likeliest one."""
        count, start = len(self.tokens), len(self.rest)
        rows = [torch.cat([self.rest, answer]) for answer in self.tokens]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # no token looks at the padding after it
        after = split.go_on(ids, copy_rows(cache, torch.zeros(count, dtype=torch.int64, device=ids.device)))
        before = torch.cat([hidden.expand(count, 1, -1), after[:, :-1]], 1)
        scores, greedy = [], []
        for row, answer in zip(before, self.tokens, strict=True):
            asked = row[start : start + len(answer)]
            logs = torch.cat([split.logits(chunk).log_softmax(-1) for chunk in split.chunks(asked)])
            scores.append(float(logs.gather(1, answer[:, None]).sum(dtype=torch.float64)))
            greedy.append(bool((logs.argmax(-1) == answer).all()))
        return scores, greedy


@dataclass
class QuestionTally:
    """Shares of right answers."""

    questions: Mapping[str, Question]
    """Questions by the id of their text; texts without one are passed over."""
    _right: dict[str, list[bool]] = field(init=False, default_factory=dict)

    def add(self, split: Split, names: Sequence[str], hidden: Tensor, cache: Any) -> None:
        """Answer the questions of a batch of texts, given what the last block leaves at the last tokens, and caches."""
        for row, name in enumerate(names):
            if name in self.questions:
                own = copy_rows(cache, torch.tensor([row], device=hidden.device))
                for measure, right in self.questions[name].outcomes(split, hidden[row], own).items():
                    self._right.setdefault(measure, []).append(right)

    def shares(self) -> dict[str, float]:
        """Return the share of right answers by each measure."""
        return {measure: sum(right) / len(right) for measure, right in self._right.items()}


def _joined(text: str, answer: str) -> str:
    """Return the text with the answer after it, a space between them unless one of them has it."""
    space = text[-1:].isspace() or answer[:1].isspace()
    return f"{text}{'' if space else ' '}{answer}"
