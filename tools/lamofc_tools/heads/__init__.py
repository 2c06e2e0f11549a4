"""Heads that are trained on features."""

from lamofc_tools.heads.architectures import AttentiveHead, DptHead, KnnHead, LinearHead, SegmentationHead, fit_linear
from lamofc_tools.heads.contract import Head, Task, TrainingConfig, TrainingSet
from lamofc_tools.heads.error_weights import weights_for
from lamofc_tools.heads.rate_curve import Judging, Point, Protocol, cheapest, curve
from lamofc_tools.heads.registry import KINDS
from lamofc_tools.heads.sensitivity import joined, sensitivity
from lamofc_tools.heads.serialisation import load, save
from lamofc_tools.heads.trainer import Progress, Training, evaluate, gathered, train

__all__ = [
    "KINDS",
    "AttentiveHead",
    "DptHead",
    "Head",
    "Judging",
    "KnnHead",
    "LinearHead",
    "Point",
    "Progress",
    "Protocol",
    "SegmentationHead",
    "Task",
    "Training",
    "TrainingConfig",
    "TrainingSet",
    "cheapest",
    "curve",
    "evaluate",
    "fit_linear",
    "gathered",
    "joined",
    "load",
    "save",
    "sensitivity",
    "train",
    "weights_for",
]
