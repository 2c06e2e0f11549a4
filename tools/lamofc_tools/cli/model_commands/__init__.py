"""Commands about models, heads and codecs, one file each."""

from lamofc_tools.cli.model_commands import analyze, bench, codec, demo, evaluate, extract, train

__all__ = [
    "analyze",
    "bench",
    "codec",
    "demo",
    "evaluate",
    "extract",
    "train",
]
