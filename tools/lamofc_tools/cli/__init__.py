"""The command line: `program` assembles `store_commands`, `model_commands` and `paper_commands`.

Each command parses its options, makes one library call and prints once. `console` holds option types, output and
errors; `render` turns documents into text.
"""

from lamofc_tools.cli.program import app, main

__all__ = [
    "app",
    "main",
]
