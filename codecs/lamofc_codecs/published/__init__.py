"""Constants of published work: LaMoFC's truncation ranges and LaMoFCBench's level mappings.

In: the name of a task or a mapping file. Out: ranges and levels."""

from lamofc_codecs.published.mappings import published_levels, refuse_unrouted, routed
from lamofc_codecs.published.truncation import BITS, published_range

__all__ = [
    "BITS",
    "published_levels",
    "published_range",
    "refuse_unrouted",
    "routed",
]
