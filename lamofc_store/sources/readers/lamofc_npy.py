"""LaMoFC's and DT-UFC's trees of .npy: MODEL/TASK/feature/NAME.npy, of four axes, a file a sample.

The feature goes by its task. Of depth estimation (`dpt`) the second axis holds layers of very different scale: each is
a feature of its own, `dpt.0` to `dpt.3`, and the whole comes back when they are put together again.
"""

from __future__ import annotations

import json
from pathlib import Path

from lamofc_store.errors import Hint, SourceError
from lamofc_store.sample import UNNAMED_FEATURE, Sample
from lamofc_store.sources.families import IMAGE
from lamofc_store.sources.readers import numpy_files
from lamofc_store.sources.readers.protocols import Wanted

FOLDERS = ("feature", "feature_test")
LAYERED = "dpt"
_LAYERS = 1
"""The axis of `dpt` that holds them."""
PATTERNS = {
    "cls": "n b t c -> (n b t) c",
    "seg": "n b t c -> (n b t) c",
    "csr": "n b t c -> (n b t) c",
    "tti": "n c h w -> (n h w) c",
    "cnn": IMAGE,
    LAYERED: "n t c -> (n t) c",
}
"""By task."""


def task_of(path: Path) -> str | None:
    """The task that a file's folders name; None where it is not one of such a tree."""
    task = path.parent.parent.name
    return task if path.parent.name in FOLDERS and task in PATTERNS else None


def read(path: Path, name: str, wanted: Wanted) -> Sample:
    """One sample, its feature named for its task."""
    task = task_of(path)
    if task is None:
        raise SourceError(
            f"{path} does not lie in TASK/{FOLDERS[0]} with TASK one of {', '.join(PATTERNS)}",
            Hint("[format] npy takes any array"),
        )
    arrays = numpy_files.read(path, name, Wanted()).features
    if set(arrays) != {UNNAMED_FEATURE}:
        raise SourceError(
            f"{path} holds {', '.join(arrays)} and is no single array", Hint("[format] npz takes several arrays")
        )
    tensor = arrays[UNNAMED_FEATURE]
    if task != LAYERED or tensor.dim() != 4:
        features, structure = {task: tensor}, json.dumps({"tensor": task})
    else:
        features = {f"{task}.{layer}": one for layer, one in enumerate(tensor.unbind(_LAYERS))}
        nodes = [{"tensor": feature} for feature in features]
        structure = json.dumps({"stack": [_LAYERS, nodes]})
    picked = wanted.pick(features, str(path))
    pattern = PATTERNS[task]
    fits = all(len(pattern.split("->")[0].split()) == one.dim() for one in picked.values())
    patterns = dict.fromkeys(picked, pattern) if fits else {}
    return Sample(name, picked, {"task": task}, structure if len(picked) == len(features) else None, patterns)
