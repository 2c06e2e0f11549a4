"""`klt` for the model that reads: all features in one space, rotation undone, errors weighed by the model's metric.

The keys' rotation is undone, each feature is multiplied by the root of its matrix in the metric, and all of them, side
by side, are one tensor with one step, so that bits go where the model looks. The first token, to which every other one
attends, is kept as float16 and counted, as are the matrices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

import lamofc_codecs
from lamofc_codecs import Profile, Quality
from lamofc_store.errors import BadArgument
from lamofc_tools.benchmarks.learning.peers.feature_coder import ALL, FeatureCoder, ModelFacts, Sample
from lamofc_tools.consumer import rotate, unrotate

_BYTES_OF_A_HALF = 2


class KltForModel(FeatureCoder):
    """One tensor of all features, weighed, without the keys' rotation and without the first token."""

    codec = "klt for model"
    profile: Profile

    def __init__(self, snr_db: float) -> None:
        self.snr_db, self.setting = snr_db, f"{snr_db:g} dB weighed"

    def fit(self, samples: Sequence[Sample], facts: ModelFacts) -> None:
        """Take the weights from the metric, and fit the codec on weighed features."""
        super().fit(samples, facts)
        if facts.metric is None:
            raise BadArgument(f"{self.codec} without a metric of the model", "measure one first")
        self._weights = {name: weight.float() for name, weight in facts.metric.weights().items()}
        self._inverses = {name: torch.linalg.inv(weight.double()).float() for name, weight in self._weights.items()}
        packed = [self._weighed(sample) for sample in samples]
        signal = float(torch.cat(packed).var(0).mean())
        self.quality = Quality(mse=signal * 10 ** (-self.snr_db / 10))
        self.profile = lamofc_codecs.fit("klt", packed, self.quality)
        self.profile_bytes = len(self.profile.data) + sum(weight.nbytes for weight in self._weights.values())

    def encode(self, sample: Sample) -> dict[str, bytes]:
        """Write the first token, then the record of the others."""
        first = torch.cat([sample[name][0] for name in self.widths]).half().numpy().tobytes()
        (record,) = lamofc_codecs.encode([self._weighed(sample)], self.profile, quality=self.quality)
        return {ALL: first + record.data}

    def decode(self, record: Mapping[str, bytes], tokens: int) -> dict[str, Tensor]:
        """Undo the weights and rotate the keys again."""
        start = _BYTES_OF_A_HALF * sum(self.widths.values())
        first = torch.from_numpy(np.frombuffer(record[ALL][:start], np.float16).astype(np.float32))
        (rest,) = lamofc_codecs.decode([record[ALL][start:]], self.profile)
        widths = list(self.widths.values())
        parts = zip(self.widths, torch.split(first, widths), torch.split(rest.float(), widths, 1), strict=True)
        return {name: torch.cat([head[None], self._unweighed(name, tail)]) for name, head, tail in parts}

    def _weighed(self, sample: Sample) -> Tensor:
        """Return the tokens after the first one as one tensor."""
        plain = [unrotate(x, r) if (r := self.facts.rotary.get(name)) else x for name, x in self._ordered(sample)]
        parts = [rows[1:] @ self._weights[name] for name, rows in zip(self.widths, plain, strict=True)]
        return torch.cat(parts, 1).contiguous()

    def _ordered(self, sample: Sample) -> list[tuple[str, Tensor]]:
        return [(name, sample[name]) for name in self.widths]

    def _unweighed(self, name: str, rows: Tensor) -> Tensor:
        plain = rows @ self._inverses[name]
        rotary = self.facts.rotary.get(name)
        return plain if rotary is None else rotate(plain, rotary, 1)
