"""The codecs `hyperprior` and `elic`: levels, then an image codec's networks on one channel.

In: planes of level indices, and trained weights. Out: streams that CompressAI's coder would write. Training and import
of weights need the extra `learned`; decoding needs torch alone."""

from lamofc_codecs.learned.codec import Elic, Hyperprior
from lamofc_codecs.learned.compressai import PAPERS, import_checkpoint, trainable, weights_from_model
from lamofc_codecs.learned.export import checkpoint_state
from lamofc_codecs.learned.fit_scale import training_planes
from lamofc_codecs.learned.networks import Sizes
from lamofc_codecs.learned.profile import weights_profile

__all__ = [
    "PAPERS",
    "Elic",
    "Hyperprior",
    "Sizes",
    "checkpoint_state",
    "import_checkpoint",
    "trainable",
    "training_planes",
    "weights_from_model",
    "weights_profile",
]
