"""The metrics of the papers. Some are meters, which accumulate batches; the others are functions of complete sets."""

from lamofc_tools.metrics.accuracy import Accuracy
from lamofc_tools.metrics.depth import Depth
from lamofc_tools.metrics.frechet import frechet_distance
from lamofc_tools.metrics.mean_iou import IGNORED, MeanIoU
from lamofc_tools.metrics.meter import Meter
from lamofc_tools.metrics.text import exact_match, word_error_rate

__all__ = [
    "IGNORED",
    "Accuracy",
    "Depth",
    "MeanIoU",
    "Meter",
    "exact_match",
    "frechet_distance",
    "word_error_rate",
]
