"""DINOv3, features after blocks: of crops or flipped copies, with their class and register tokens.

Three sets of keys are about for the same features: those of the model that they were taken from, all of them renamed to
those of the segmentation model, and `layer.N`. A tensor may stand alone in a list; several in one are numbered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lamofc_store.sample import Keys
from lamofc_store.sources.families.family import Family

_KEY = re.compile(r"(?:.*\.)?backbone\.blocks\.(\d{1,4})|layer\.(\d{1,4})")


def names(payload: Mapping[Any, Any]) -> dict[Keys, str] | None:
    """`layer.39` for block 39, counted from zero: the fortieth."""
    found: dict[Keys, str] = {}
    for key, value in payload.items():
        match = _KEY.fullmatch(str(key))
        if match is None:
            continue
        name = f"layer.{int(match[1] or match[2])}"
        several = value if isinstance(value, list | tuple) else None
        if several is None:
            found[str(key),] = name
        for number in range(len(several or ())):
            found[str(key), str(number)] = name if len(several or ()) == 1 else f"{name}.{number}"
    return found or None


FAMILY = Family("dinov3", "features after blocks of DINOv3 (or DINOv2), of any number of crops", names)
