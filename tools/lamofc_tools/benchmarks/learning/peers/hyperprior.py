"""DT-UFC's Hyperprior, trained on the features that are compared: 256 levels of each feature as planes of pixels.

All features share the networks, whose inner channels are half as many as in the paper, so that a CPU can train them;
each feature has levels of its own. The loss is the paper's, and each lambda begins with the weights of the one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from torch import Tensor

import lamofc_codecs
from lamofc_codecs import Profile, Sizes
from lamofc_tools.benchmarks.learning.peers.feature_coder import FeatureCoder, ModelFacts, Sample
from lamofc_tools.codec_training import CodecTraining, CodecTrainingConfig, Planes
from lamofc_tools.machine import is_slow_in_bfloat16

_SIZES = Sizes("hyperprior", 64, 192)
_CROP = (128, 128)
_LEVEL_SAMPLES = 10
"""Texts on which the levels of a feature are placed."""
_EVALUATIONS = 12
"""Evaluations of a training, by which one sees whether its loss is flat."""
_BYTES_OF_A_LEVEL = 4


@dataclass
class Trainings:
    """Trainings for several lambdas, one after another."""

    steps: int
    sizes: Sizes = _SIZES
    _last: CodecTraining | None = None

    def train(self, lmbda: float, samples: Sequence[Sample]) -> CodecTraining:
        """Train for a lambda, from the best weights of the training before."""
        planes = Planes()
        for name in samples[0]:
            planes.add([sample[name] for sample in samples])
        planes.held_out = planes.held_out or planes.train  # of fewer than ten texts none is held out
        every = max(1, self.steps // _EVALUATIONS)
        half = not is_slow_in_bfloat16("cpu")
        config = CodecTrainingConfig(
            sizes=self.sizes, lmbda=lmbda, crop=_CROP, steps=self.steps, every=every, lr=1e-3, half=half
        )
        training = CodecTraining(config, planes)
        if self._last is not None:
            training.model.load_state_dict(self._last.best)
        training.run()
        self._last = training
        return training


class Hyperprior(FeatureCoder):
    """A plane of levels for each feature, coded by the networks of one lambda."""

    codec = "hyperprior"

    def __init__(self, lmbda: float, trainings: Trainings) -> None:
        self.setting = f"lambda={lmbda:g}"
        self._lmbda, self._trainings = lmbda, trainings

    def lack(self) -> str:
        """Say whether CompressAI, by which the networks are trained, is not there."""
        if find_spec("compressai") is not None:
            return ""
        return "CompressAI is not installed; on Python 3.12 or older: pip install 'lamofc-store[learned]'"

    def fit(self, samples: Sequence[Sample], facts: ModelFacts) -> None:
        """Train the networks, and place the levels of each feature."""
        super().fit(samples, facts)
        training = self._trainings.train(self._lmbda, samples)
        weights = training.weights()
        self._profiles: dict[str, Profile] = {
            name: lamofc_codecs.fit(
                "hyperprior", [sample[name] for sample in samples[:_LEVEL_SAMPLES]], weights=weights
            )
            for name in self.widths
        }
        levels = sum(profile.tensors["levels"].numel() for profile in self._profiles.values())
        self.profile_bytes = len(weights.data) + _BYTES_OF_A_LEVEL * levels
        self.figures = {
            "training_seconds": training.seconds,
            "training": [[past.step, past.loss, past.bpp, past.mse] for past in training.history],
        }

    def encode(self, sample: Sample) -> dict[str, bytes]:
        """Code the plane of each feature."""
        return {name: lamofc_codecs.encode([value], self._profiles[name])[0].data for name, value in sample.items()}

    def decode(self, record: Mapping[str, bytes], tokens: int) -> dict[str, Tensor]:
        """Decode each plane."""
        return {name: lamofc_codecs.decode([data], self._profiles[name])[0].float() for name, data in record.items()}
