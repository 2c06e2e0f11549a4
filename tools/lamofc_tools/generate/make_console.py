"""Fill the console blocks of pages with what their commands print.

    python -m lamofc_tools.generate.make_console PAGE...

The commands of a page run one after another in a new folder, with this interpreter's programs first on the path. What
must be there before is made by the page's comment `<!-- before: COMMAND -->`, which no reader sees.
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
_WIDTH = "80"


def filled(page: str, folder: Path) -> str:
    """The page with its blocks made anew."""
    for before in _BEFORE.findall(page):
        printed(before, folder)
    return BLOCK.sub(lambda found: f"```console\n{block(found[1], folder)}```", page)


def block(text: str, folder: Path) -> str:
    """A block's commands, each followed by what it prints now."""
    commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    return "\n".join(f"$ {command}\n{printed(command, folder)}" for command in commands)


def printed(command: str, folder: Path) -> str:
    """What a command prints on both streams; an error where it fails."""
    programs = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "COLUMNS": _WIDTH, "NO_COLOR": "1"}
    ran = subprocess.run(  # noqa: S602 - the commands of our own pages, as a reader would type them
        command, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"{command!r} ends with {ran.returncode}: {ran.stdout}{ran.stderr}")
    lines = [line.rstrip() for line in (ran.stdout + ran.stderr).replace(f"{folder}{os.sep}", "").splitlines()]
    return "".join(f"{line}\n" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the pages named."""
    for name in sys.argv[1:] if arguments is None else arguments:
        page = Path(name)
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(filled(page.read_text(), Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
