"""Files of published feature sets: each family names its tensors, so that what is ingested goes by one set of names."""

from lamofc_store.sources.families.family import CACHE, Family
from lamofc_store.sources.families.known import FAMILIES, family_of

__all__ = ["CACHE", "FAMILIES", "Family", "family_of"]
