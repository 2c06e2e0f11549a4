"""The coders that are compared on the features of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from lamofc_codecs import Quality
from lamofc_store.errors import BadArgument
from lamofc_tools.benchmarks.learning.peers.ablations import ablations
from lamofc_tools.benchmarks.learning.peers.cachegen import CacheGen
from lamofc_tools.benchmarks.learning.peers.feature_coder import FeatureCoder
from lamofc_tools.benchmarks.learning.peers.hyperprior import Hyperprior, Trainings
from lamofc_tools.benchmarks.learning.peers.kivi import Kivi
from lamofc_tools.benchmarks.learning.peers.klt_for_model import KltByReplay, KltForModel, OneFit
from lamofc_tools.benchmarks.learning.peers.kvtc import Kvtc
from lamofc_tools.benchmarks.learning.peers.lamofc_codec import LamofcCodec
from lamofc_tools.benchmarks.learning.peers.scaled_tokens import Fp8, Int8
from lamofc_tools.benchmarks.learning.peers.turboquant import TurboQuant

_DIVERGENCES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
_DIVERGENCES_OF_CACHES = (0.02, 0.01, 0.005, 0.002, 0.001)
_REPLAYED, _REPLAYED_OF_CACHES = (0.1, 0.05, 0.02), (0.02, 0.01, 0.005)
_GUIDED, _GUIDED_OF_CACHES = (0.06, 0.03), (0.01, 0.005)
_LAMBDAS = (0.02, 0.1, 0.5, 2.0)
TRAIN_STEPS = 1500
"""Steps of a training, unless another number is given: some minutes on two cores."""


def usual_coders() -> list[FeatureCoder]:
    """Return the coders that learn in seconds to minutes, not fitted yet."""
    fits = OneFit(), OneFit(only_caches=True)
    return [
        *(KltForModel(Quality(kl=kl), fits[0]) for kl in _DIVERGENCES),
        *(KltForModel(Quality(kl=kl), fits[1]) for kl in _DIVERGENCES_OF_CACHES),
        *(KltByReplay(Quality(kl=kl), fits[0]) for kl in _REPLAYED),
        *(KltByReplay(Quality(kl=kl), fits[1]) for kl in _REPLAYED_OF_CACHES),
        *(LamofcCodec("klt", Quality(snr_db=snr_db)) for snr_db in (10, 20, 30)),
        *(LamofcCodec("uniform", Quality(snr_db=snr_db)) for snr_db in (10, 20, 30)),
        LamofcCodec("lloydmax"),
        Fp8(),
        Int8(),
        *(Kivi(bits) for bits in (4, 2)),
        *(TurboQuant(bits) for bits in (4, 3, 2)),
        *(Kvtc(bits) for bits in (4, 2, 1)),
        Kvtc(2, window=128),
        *(CacheGen(bins) for bins in (128, 32, 16)),
    ]


def guided_coders() -> list[FeatureCoder]:
    """Return the coders that take minutes for each text, not fitted yet."""
    fits = OneFit(), OneFit(only_caches=True)
    return [
        KltByReplay(Quality(kl=kl), fit, gains=True, guided=guided)
        for guided in (False, True)
        for fit, divergences in zip(fits, (_GUIDED, _GUIDED_OF_CACHES), strict=True)
        for kl in divergences
    ]


def choose_coders(globs: Sequence[str] | None, train_steps: int) -> list[FeatureCoder]:
    """Return the coders that match a glob, not fitted yet; without globs all but guided ones and ablations."""
    trainings = Trainings(train_steps)
    usual = [*usual_coders(), *(Hyperprior(lmbda, trainings) for lmbda in _LAMBDAS)]
    if globs is None:
        return usual
    every = [*usual, *guided_coders(), *ablations()]
    for glob in globs:
        if not any(fnmatchcase(coder.codec, glob) for coder in every):
            names = ", ".join(dict.fromkeys(coder.codec for coder in every))
            raise BadArgument(f"{glob!r} matches no coder", f"name some of {names}")
    return [coder for coder in every if any(fnmatchcase(coder.codec, glob) for glob in globs)]
