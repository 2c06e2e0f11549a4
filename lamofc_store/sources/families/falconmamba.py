"""FalconMamba: hidden states after the last of some layers, and the recurrent states of all, in different dtypes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamofc_store.sample import Keys
from lamofc_store.sources.families.family import Family

_STATES = ("ssm_state", "conv_state")


def names(payload: Mapping[Any, Any]) -> dict[Keys, str] | None:
    """Name the features of a payload: `layer.N.ssm_state`, `layer.N.conv_state`, and `layer.N.output` of the last."""
    if "output" not in payload or not all(isinstance(payload.get(state), list | tuple) for state in _STATES):
        return None
    by_path: dict[Keys, str] = {("output",): f"layer.{max(len(payload[_STATES[0]]) - 1, 0)}.output"}
    for state in _STATES:
        by_path |= {(state, str(layer)): f"layer.{layer}.{state}" for layer in range(len(payload[state]))}
    return by_path


FAMILY = Family("falconmamba", "hidden states, state-space and convolution states of FalconMamba", names)
