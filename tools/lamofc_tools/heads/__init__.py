"""Heads that are trained on features."""

from lamofc_tools.heads.attentive import AttentiveHead
from lamofc_tools.heads.course import Course
from lamofc_tools.heads.dpt import DptHead
from lamofc_tools.heads.files import load, save
from lamofc_tools.heads.head import Head
from lamofc_tools.heads.kinds import KINDS
from lamofc_tools.heads.knn import KnnHead
from lamofc_tools.heads.lesson import Lesson
from lamofc_tools.heads.linear import LinearHead, fit_linear
from lamofc_tools.heads.segmentation import SegmentationHead
from lamofc_tools.heads.sensitivity import joined, sensitivity
from lamofc_tools.heads.task import Task
from lamofc_tools.heads.training import Progress, Training, evaluate, gathered, train
from lamofc_tools.heads.weights import weights_for

__all__ = [
    "KINDS",
    "AttentiveHead",
    "Course",
    "DptHead",
    "Head",
    "KnnHead",
    "Lesson",
    "LinearHead",
    "Progress",
    "SegmentationHead",
    "Task",
    "Training",
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
