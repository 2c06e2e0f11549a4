"""Text for people. In: the document that --json prints. Out: lines and tables.

`listing` and `query_output` write rows while they read them.
"""

from lamofc_tools.cli.render import (
    analysis,
    codec_text,
    curve_points,
    heads,
    listing,
    query_output,
    rest_of_model,
    store_text,
    text,
)

__all__ = [
    "analysis",
    "codec_text",
    "curve_points",
    "heads",
    "listing",
    "query_output",
    "rest_of_model",
    "store_text",
    "text",
]
