"""Several items in one `klt` record: each as good as asked for, and records of some of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lamofc_codecs.klt.encode.candidate import Candidate
from lamofc_codecs.klt.encode.sample_encoder import SampleEncoder
from lamofc_codecs.klt.layers import entropy_classes
from lamofc_codecs.klt.quantise import MOST, ItemGains, Tokens, energies_of, errors_of_tokens, least_lifts, up
from lamofc_codecs.runtime import Doubles
from lamofc_codecs.stats import sum_by_item

_ROUNDS = 4
_NEAR = 1.03
"""A seventh of a decibel: by so much an item's squared error may be off."""
_REACH = 15
"""How far from those before lifts are looked for that are a little better."""


def equalise_items(sample: SampleEncoder, trial: Candidate) -> tuple[SampleEncoder, Candidate]:
    """The same step for tokens lifted so that each item, and not only all together, is as good as asked for."""
    items, quality = sample.source.items, sample.quality
    if len(items) < 2 or quality.kind not in ("snr_db", "mse"):
        return sample, trial
    allowed = sum_by_item(sample.squares, items) * 10 ** (-quality.value / 10)
    if quality.kind == "mse":
        allowed = quality.value * sample.source.channels * np.array(items, np.float64)
    lifting, lifts = _Lifting(sample, sample, sample.columns.shape[1], trial.step), np.zeros(len(items), np.int64)
    for _ in range(_ROUNDS):
        left = lifting.left(trial)
        if (left <= _NEAR * allowed).all() and (lifting.sample is not sample or (allowed <= _NEAR * left).all()):
            break
        lifts = lifting.least(lifts, left, allowed)
        lifted = lifting.lifted(lifts)
        trial = lifted.trial(trial.step, None if lifting.sample is sample else lifting.columns)
        lifting = replace(lifting, sample=lifted, columns=trial.head.columns[-1])
    return lifting.sample, trial


@dataclass(frozen=True)
class _Lifting:
    """One step for items that are lifted."""

    sample: SampleEncoder
    """As it is lifted."""
    first: SampleEncoder
    """As it was."""
    columns: int
    """Of the first, that are looked at."""
    step: float

    def left(self, trial: Candidate) -> Doubles:
        """The weighted squared error of each item."""
        decoded = self.sample.decoded(trial.head.step_of(len(trial.runs) - 1), trial.runs[-1], trial.numbers[-1])
        self.sample.lost(decoded)  # puts exact entries into place
        return sum_by_item(self.sample.token_errors(decoded[0]), self.sample.source.items)

    def least(self, lifts: ItemGains, left: Doubles, allowed: Doubles) -> ItemGains:
        """The least lifts that are enough, given what those before left."""
        beyond = left - self.errors(lifts)
        reach = MOST if self.sample is self.first else _REACH
        return least_lifts(lambda tried: self.errors(tried) + beyond <= allowed, lifts, reach)

    def lifted(self, lifts: ItemGains) -> SampleEncoder:
        """The sample, its items lifted."""
        each = np.repeat(lifts, self.first.source.items)
        return replace(self.first, columns=self.first.columns * up(each)[:, None], lifts=each)

    def errors(self, lifts: ItemGains) -> Doubles:
        """About that of each item, in those columns."""
        each = up(np.repeat(lifts, self.first.source.items))
        values, step = self.first.columns * each[:, None], np.float32(self.step)
        sigma, band = self.first.known.spreads[:, : values.shape[1]], np.zeros(len(values), np.uint8)
        tokens = Tokens.of(energies_of(values, band, sigma, step))
        kinds = entropy_classes(sigma[:, : self.columns], step, tokens)
        values = np.ascontiguousarray(values[:, : self.columns])
        off = errors_of_tokens(values, tokens.group, kinds, step, self.first.known.rounding)
        return sum_by_item(np.square(self.step / each.astype(np.float64)) * off, self.first.source.items)
