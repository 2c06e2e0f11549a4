"""The command line: `program` assembles the commands of `store_commands` and `model_commands`.

Each command parses its options, makes one library call and prints once. `console` holds option types, output and
errors; `render` turns documents into text.
"""

from lamofc_tools.cli.program import app, main

__all__ = [
    "app",
    "main",
]
