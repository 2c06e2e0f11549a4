"""Files of published feature sets: each family names its tensors, so that what is ingested goes by one set of names."""

from lamofc_store.sources.families.family import CACHE, IMAGE, Family
from lamofc_store.sources.families.registry import FAMILIES, family_of

__all__ = [
    "CACHE",
    "FAMILIES",
    "IMAGE",
    "Family",
    "family_of",
]
