"""Families of published feature sets, whose tensors get one set of names whichever script wrote them.

In: an object as its file holds it. Out: the name of each tensor, and patterns by name."""

from lamofc_store.sources.families.family import CACHE, IMAGE, IMAGES, Family
from lamofc_store.sources.families.registry import FAMILIES, family_of

__all__ = [
    "CACHE",
    "FAMILIES",
    "IMAGE",
    "IMAGES",
    "Family",
    "family_of",
]
