"""Commands about models, heads and codecs, one file for each command or small family of commands.

In: options. Out: calls of `lamofc_tools.models`, `heads`, `comparison`, `analysis`, `codec_training` and `demo`.
"""

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
