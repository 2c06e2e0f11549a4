"""Trees of .npy as LaMoFC and DT-UFC keep them: MODEL/TASK/feature/NAME.npy, arrays of four axes, a file a sample.

The feature is named for its task. In depth estimation (`dpt`) the second axis holds layers of very different scale:
each becomes a feature of its own, `dpt.0` to `dpt.3`, and the structure of the sample stacks them again.
"""

from __future__ import annotations

import json
from pathlib import Path

from lamofc_store.errors import Hint, SourceError
from lamofc_store.sample import UNNAMED_FEATURE, Sample
from lamofc_store.sources.contract import ALL_FEATURES, FeatureFilter
from lamofc_store.sources.families import IMAGE
from lamofc_store.sources.readers import numpy_files

FOLDERS = ("feature", "feature_test")
LAYERED = "dpt"
"""The task whose arrays hold several layers."""
_LAYER_AXIS = 1
PATTERNS = {
    "cls": "n b t c -> (n b t) c",
    "seg": "n b t c -> (n b t) c",
    "csr": "n b t c -> (n b t) c",
    "tti": "n c h w -> (n h w) c",
    "cnn": IMAGE,
    LAYERED: "n t c -> (n t) c",
}
"""The pattern of each task's features."""


def is_task_file(path: Path) -> bool:
    """Whether a file lies in such a tree."""
    return _task_of(path) is not None


def _task_of(path: Path) -> str | None:
    """Return the task that a file's folders name; None outside such a tree."""
    task = path.parent.parent.name
    return task if path.parent.name in FOLDERS and task in PATTERNS else None


def read(path: Path, name: str, features: FeatureFilter) -> Sample:
    """Read one sample, its feature named for its task."""
    task = _task_of(path)
    if task is None:
        raise SourceError(
            f"{path} does not lie in TASK/{FOLDERS[0]} with TASK one of {', '.join(PATTERNS)}",
            Hint("[format] npy takes any array"),
        )
    arrays = numpy_files.read(path, name, ALL_FEATURES).features
    if set(arrays) != {UNNAMED_FEATURE}:
        raise SourceError(
            f"{path} holds {', '.join(arrays)} and is no single array", Hint("[format] npz takes several arrays")
        )
    tensor = arrays[UNNAMED_FEATURE]
    if task != LAYERED or tensor.dim() != 4:
        tensors, structure = {task: tensor}, json.dumps({"tensor": task})
    else:
        tensors = {f"{task}.{number}": layer for number, layer in enumerate(tensor.unbind(_LAYER_AXIS))}
        nodes = [{"tensor": feature} for feature in tensors]
        structure = json.dumps({"stack": [_LAYER_AXIS, nodes]})
    picked = features.pick(tensors, str(path))
    pattern = PATTERNS[task]
    fits = all(len(pattern.split("->")[0].split()) == feature.dim() for feature in picked.values())
    patterns = dict.fromkeys(picked, pattern) if fits else {}
    return Sample(name, picked, {"task": task}, structure if len(picked) == len(tensors) else None, patterns)
