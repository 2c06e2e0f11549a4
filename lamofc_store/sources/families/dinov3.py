"""DINOv3: features after blocks, of crops or flipped copies, with class and register tokens.

Three sets of keys exist for the same features: those of the model that they were taken from, those of the segmentation
model, and `layer.N`. A list may hold a single tensor; several in one list are numbered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lamofc_store.sample import Keys
from lamofc_store.sources.families.family import IMAGES, Family

_KEY = re.compile(r"(?:.*\.)?backbone\.blocks\.(\d{1,4})|layer\.(\d{1,4})")


def names(payload: Mapping[Any, Any]) -> dict[Keys, str] | None:
    """Name the features of a payload: `layer.39` after block 39, counted from zero."""
    by_path: dict[Keys, str] = {}
    for key, value in payload.items():
        match = _KEY.fullmatch(str(key))
        if match is None:
            continue
        name = f"layer.{int(match[1] or match[2])}"
        several = value if isinstance(value, list | tuple) else None
        if several is None:
            by_path[str(key),] = name
        for number in range(len(several or ())):
            by_path[str(key), str(number)] = name if len(several or ()) == 1 else f"{name}.{number}"
    return by_path or None


FAMILY = Family(
    "dinov3",
    "features after blocks of DINOv3 (or DINOv2), of any number of crops",
    names,
    {"layer.*": IMAGES},
)
