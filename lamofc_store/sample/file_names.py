"""Sample ids as relative file names, and back.

An id is any text, and a file name is not: `../../etc/passwd`, `a//b`, `con`, 4000 characters, two that differ in case.
A `/` stays a folder where that is safe, unusual characters are percent-encoded, and a component that is too long is cut
by `%/`, which no encoding makes. So every file lies below its folder, and `id_of` is exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

EXPORT_MARKER = "export.json"
"""The file that makes a folder an export, whose file names are encoded ids."""
STRUCTURE_KEY = "lamofc.structure"
"""The metadata key under which an exported file keeps its nesting."""
SAFE_CHARACTERS = "-_.~+=@,() "
"""Characters besides letters and digits that are not encoded."""
MAX_COMPONENT_CHARACTERS = 120
"""Length of one path component before it is cut; with a suffix it fits all common file systems."""
LETTER_OR_ESCAPE = re.compile(r"(%[0-9A-F]{2})|[A-Za-z]")
"""An escape (group 1), or a letter that is not encoded."""
RESERVED_NAME = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
"""Names of devices on Windows."""


def file_of(sample: str, suffix: str, *, encode_letters: bool = False) -> str:
    """Name the file of a sample, with `/` between folders; with `encode_letters`, letters are encoded, too."""
    parts = sample.split("/")
    if not all(parts):
        parts = [sample]
    encoded = [_component(part, suffix, encode_letters) for part in parts]
    return "/".join(encoded) + suffix


def id_of(file: str, suffix: str) -> str:
    """Decode the sample id in a name that `file_of` made."""
    return unquote(file.removesuffix(suffix).replace("%/", ""), errors="strict")


def files_of(samples: Iterable[str], suffix: str) -> Iterator[tuple[str, str]]:
    """Yield (sample, file) for each sample; the files differ on file systems that ignore case, too."""
    files: set[str] = set()
    for sample in samples:
        file = file_of(sample, suffix)
        if file.casefold() in files:
            file = file_of(sample, suffix, encode_letters=True)
        files.add(file.casefold())
        yield sample, file


def _component(part: str, suffix: str, encode_letters: bool) -> str:
    """One folder or file name: never empty, hidden, `.` or `..`, reserved, or with the suffix of a file."""
    name = quote(part, safe=SAFE_CHARACTERS, errors="strict")
    if name[0] == "." or RESERVED_NAME.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if name[-1] in ". " or name.lower().endswith(suffix):
        name = f"{name[:-1]}%{ord(name[-1]):02X}"
    if encode_letters:
        name = LETTER_OR_ESCAPE.sub(lambda match: match[1] or f"%{ord(match[0]):02X}", name)
    if len(name) <= MAX_COMPONENT_CHARACTERS:
        return name
    name = name.replace(".", "%2E").replace(" ", "%20")
    starts = range(0, len(name), MAX_COMPONENT_CHARACTERS)
    return "%/".join(name[start : start + MAX_COMPONENT_CHARACTERS] for start in starts)
