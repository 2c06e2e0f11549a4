"""The families by name, and the family of an object."""

from __future__ import annotations

from collections.abc import Mapping

from lamofc_store.sources.families import dinov3, falconmamba, kimiaudio, qwen3, sd35
from lamofc_store.sources.families.family import Family

FAMILIES: dict[str, Family] = {
    family.name: family for family in (dinov3.FAMILY, qwen3.FAMILY, falconmamba.FAMILY, kimiaudio.FAMILY, sd35.FAMILY)
}


def family_of(payload: object) -> Family | None:
    """Return the family that recognises an object; None if none does."""
    if not isinstance(payload, Mapping):
        return None
    return next((family for family in FAMILIES.values() if family.names(payload)), None)
