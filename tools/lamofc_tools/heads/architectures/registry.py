"""All architectures by name. A new one is a file in this folder and a line in `HEADS`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.heads.architectures.attentive import AttentiveHead
from lamofc_tools.heads.architectures.dpt import DptHead
from lamofc_tools.heads.architectures.knn import KnnHead
from lamofc_tools.heads.architectures.linear import LinearHead
from lamofc_tools.heads.architectures.linear_segmentation import SegmentationHead
from lamofc_tools.heads.architectures.mask2former import Mask2FormerHead
from lamofc_tools.heads.contract import Head, Task, TrainingSet

HEADS: dict[str, type[Head]] = {
    head.kind: head
    for head in (
        LinearHead,
        KnnHead,
        AttentiveHead,
        SegmentationHead,
        DptHead,
        Mask2FormerHead,
    )
}


def head_type(kind: str) -> type[Head]:
    """Return the class of an architecture."""
    if kind not in HEADS:
        raise BadArgument(f"{kind!r} is no head", f"one of {', '.join(HEADS)}")
    return HEADS[kind]


def option_defaults(kind: str) -> dict[str, Any]:
    """Return the options that an architecture declares, with their defaults."""
    return {field.name: field.default for field in fields(head_type(kind).options_type)}


def new_head(
    kind: str,
    samples: TrainingSet,
    *,
    task: str | None = None,
    classes: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Head:
    """Make an untrained head for the inputs and the target of some samples.

    The task is the architecture's default if none is given; classes are counted if their number is not given.
    """
    head, defaults = head_type(kind), option_defaults(kind)
    task_kind = next((usual for usual in head.tasks if task in (None, usual)), None)
    if task_kind is None:
        raise BadArgument(f"a {kind} head for {task}", Hint(f"give [task] {' or '.join(head.tasks)}"))
    for name, value in (options or {}).items():
        if name not in defaults:
            raise BadArgument(f"the head {kind} has no option {name!r}", f"it has {', '.join(defaults) or 'none'}")
        if defaults[name] is not None and type(value) is not type(defaults[name]):
            raise BadArgument(f"{name}={value!r} for the head {kind}", f"give it as {type(defaults[name]).__name__}")
    outputs = 1 if task_kind == "depth" else classes or samples.classes()
    return head(samples.widths(), Task(task_kind, outputs), **(options or {}))
