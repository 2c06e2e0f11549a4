"""The command line: one file a verb or a small family of verbs, each command a parse, a call and an output."""

from lamofc_tools.cli.app import app, main

__all__ = [
    "app",
    "main",
]
