"""Results as text for people: each function takes the document that --json prints."""

from lamofc_tools.cli.render import analysis, codec_text, heads, listing, query_output, store_text, text

__all__ = [
    "analysis",
    "codec_text",
    "heads",
    "listing",
    "query_output",
    "store_text",
    "text",
]
