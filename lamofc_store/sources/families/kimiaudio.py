"""Kimi-Audio: keys and values of each layer, in any order, and the hidden states of one layer beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lamofc_store.sample import Keys
from lamofc_store.sources.families.family import CACHE, Family

_KEY = re.compile(r"model\.layers\.(\d{1,4})")
_CACHES = ("k_cache", "v_cache")


def names(payload: Mapping[Any, Any]) -> dict[Keys, str] | None:
    """Name the features of a payload: `layer.N.k_cache`, `layer.N.v_cache`, and `layer.N.output` of one layer."""
    by_path: dict[Keys, str] = {}
    for key, value in payload.items():
        match = _KEY.fullmatch(str(key))
        if match is None or not isinstance(value, list | tuple) or len(value) != 2:
            continue
        path: Keys = (str(key),)
        layer, caches = f"layer.{int(match[1])}", value
        if isinstance(value[1], list | tuple) and len(value[1]) == len(_CACHES):
            by_path[*path, "0"] = f"{layer}.output"
            caches, path = value[1], (*path, "1")
        if not any(isinstance(cache, list | tuple | Mapping) or cache is None for cache in caches):
            by_path |= {(*path, str(number)): f"{layer}.{_CACHES[number]}" for number in range(len(caches))}
    return by_path or None


FAMILY = Family(
    "kimiaudio",
    "key-value caches and hidden states of Kimi-Audio, layer by layer",
    names,
    {"*.k_cache": CACHE, "*.v_cache": CACHE},
)
