"""The families by their names, and which one an object is of."""

from __future__ import annotations

from collections.abc import Mapping

from lamofc_store.sources.families import dinov3, falconmamba, kimiaudio, qwen3, sd35
from lamofc_store.sources.families.family import Family

FAMILIES: dict[str, Family] = {
    one.name: one for one in (dinov3.FAMILY, qwen3.FAMILY, falconmamba.FAMILY, kimiaudio.FAMILY, sd35.FAMILY)
}


def family_of(payload: object) -> Family | None:
    """The family that an object is of; None where it is of none."""
    if not isinstance(payload, Mapping):
        return None
    return next((family for family in FAMILIES.values() if family.names(payload)), None)
