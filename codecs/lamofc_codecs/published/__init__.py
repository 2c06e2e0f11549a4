"""Constants of published work: LaMoFC's truncation ranges, LaMoFCBench's level mappings, settings of the papers.

In: the name of a task or a paper, or a mapping file. Out: ranges, settings and levels."""

from lamofc_codecs.published.mappings import published_levels, refuse_unrouted, routed
from lamofc_codecs.published.settings import PUBLISHED, PublishedSettings, PublishedTraining, published_settings
from lamofc_codecs.published.truncation import BITS, published_range, published_ranges

__all__ = [
    "BITS",
    "PUBLISHED",
    "PublishedSettings",
    "PublishedTraining",
    "published_levels",
    "published_range",
    "published_ranges",
    "published_settings",
    "refuse_unrouted",
    "routed",
]
