"""Qwen3: hidden states after the last of some layers, and the keys and values of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamofc_store.sample import Keys
from lamofc_store.sources.families.family import CACHE, Family


def names(payload: Mapping[Any, Any]) -> dict[Keys, str] | None:
    """Name the features of a payload: `layer.N.k_cache`, `layer.N.v_cache`, and `layer.N.output` of the last."""
    keys, values = payload.get("key"), payload.get("value")
    listed = isinstance(keys, list | tuple) and isinstance(values, list | tuple)
    if "output" not in payload or keys is None or values is None or not listed:
        return None
    by_path: dict[Keys, str] = {("output",): f"layer.{max(len(keys) - 1, 0)}.output"}
    by_path |= {("key", str(layer)): f"layer.{layer}.k_cache" for layer in range(len(keys))}
    return by_path | {("value", str(layer)): f"layer.{layer}.v_cache" for layer in range(len(values))}


FAMILY = Family(
    "qwen3",
    "hidden states and key-value caches of Qwen3, or of any decoder kept that way",
    names,
    {"*.k_cache": CACHE, "*.v_cache": CACHE},
)
