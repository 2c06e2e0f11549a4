"""Fill the console blocks of pages with the output of their commands.

    python -m lamofc_tools.generate.make_console PAGE...

The commands of a page run one after another in a new folder, with the programs of this interpreter first on the path.
The page's comment `<!-- before: COMMAND -->`, which readers do not see, prepares the files that the commands need.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BEFORE = re.compile(r"<!-- before: (.*?) -->", re.DOTALL)
_TERMINAL_COLUMNS = "80"


def fill_page(page: str, folder: Path) -> str:
    """Run all commands of a page, and replace the content of its blocks."""
    for before in _BEFORE.findall(page):
        run_command(before, folder)
    return BLOCK.sub(lambda match: f"```console\n{fill_block(match[1], folder)}```", page)


def fill_block(text: str, folder: Path) -> str:
    """Run the commands of a block; return each followed by its output."""
    commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    return "\n".join(f"$ {command}\n{run_command(command, folder)}" for command in commands)


def run_command(command: str, folder: Path) -> str:
    """Run a command and return its output on both streams; raise where it fails."""
    programs = str(Path(sys.executable).parent)
    env = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": _TERMINAL_COLUMNS,
        "NO_COLOR": "1",
    }
    ran = subprocess.run(  # noqa: S602 - the commands of our own pages, as a reader types them
        command, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"{command!r} ends with {ran.returncode}: {ran.stdout}{ran.stderr}")
    lines = [line.rstrip() for line in (ran.stdout + ran.stderr).replace(f"{folder}{os.sep}", "").splitlines()]
    return "".join(f"{line}\n" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the pages that are named."""
    for name in sys.argv[1:] if arguments is None else arguments:
        page = Path(name)
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(fill_page(page.read_text(), Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
