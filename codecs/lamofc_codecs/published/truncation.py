"""The ranges that LaMoFC clips values to before it quantises them: one for each of its tasks, by coder."""

from __future__ import annotations

from collections.abc import Sequence

from lamofc_codecs.errors import UnsupportedInput

Range = tuple[float, float]

TRUNCATION: dict[str, dict[str, Range]] = {
    "vtm": {
        "cls": (-20.0, 20.0),
        "seg": (-20.0, 20.0),
        "dpt.1": (-1.0, 1.0),
        "dpt.2": (-2.0, 2.0),
        "dpt.3": (-10.0, 10.0),
        "dpt.4": (-20.0, 20.0),
        "csr": (-5.0, 5.0),
        "tti": (-5.79, 4.46),
    },
    "hyperprior": {
        "cls": (-5.0, 5.0),
        "seg": (-5.0, 5.0),
        "dpt.1": (-1.0, 1.0),
        "dpt.2": (-2.0, 2.0),
        "dpt.3": (-10.0, 10.0),
        "dpt.4": (-10.0, 10.0),
        "csr": (-5.0, 5.0),
        "tti": (-5.79, 4.46),
    },
}
"""LaMoFC, Table 4. `dpt.1` to `dpt.4` are its four layers; `tti` is not clipped: its range is that of its values."""
BITS = 10


def published_ranges(name: str, features: Sequence[str]) -> list[Range]:
    """Return the range of a task, or, of a coder alone such as `hyperprior`, those of the tasks of these features.

    The feature of a task has its name, those of the layers of `dpt` are `dpt.0` to `dpt.3`.
    """
    if name not in TRUNCATION:
        return [published_range(name)]
    if not features:
        raise UnsupportedInput(f"truncation={name!r} for a feature without a name", f"name the task: {name}.cls")
    return [published_range(f"{name}.{_task_of(feature)}") for feature in features]


def _task_of(feature: str) -> str:
    """Return the task of a feature; layers of tasks are counted from 1, those of features from 0."""
    task, _, layer = feature.partition(".")
    return f"{task}.{int(layer) + 1}" if layer.isdecimal() else feature


def published_range(name: object) -> Range:
    """Return the range of a task, such as `cls`, for VTM, or of a coder and a task, such as `hyperprior.cls`."""
    coder, dot, task = str(name).partition(".")
    tables = TRUNCATION.get(coder) if dot else None
    bounds = tables.get(task) if tables else TRUNCATION["vtm"].get(str(name))
    if bounds is None:
        raise UnsupportedInput(
            f"truncation={name!r}", f"one of {', '.join(TRUNCATION['vtm'])}, or hyperprior. before one of them"
        )
    return bounds
