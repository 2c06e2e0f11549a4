"""Sample ids as relative file names, and back.

An id is any text, a file name is not: `../../etc/passwd`, `a//b`, `con`, 4000 characters, two that differ in case.
A `/` stays a folder where that is safe, everything unusual is percent-encoded, and what is too long is cut by `%/`,
which no encoding makes. So every name lies beneath its folder, and `id_of` is exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

MARKER = "export.json"
"""The file that says that a folder is an export, so that its file names are encoded ids."""
PLAIN = "-_.~+=@,() "
LONGEST = 120
"""Characters of one path component before it is cut; with a suffix all common file systems take that."""
LETTER = re.compile(r"(%[0-9A-F]{2})|[A-Za-z]")
"""An escape, or a letter that stands for itself."""
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def file_of(sample: str, suffix: str, *, bare: bool = True) -> str:
    """The relative name of a sample's file, `/` between folders; without `bare` every letter is encoded too."""
    parts = sample.split("/")
    if not all(parts):
        parts = [sample]
    encoded = [_component(part, suffix, bare) for part in parts]
    return "/".join(encoded) + suffix


def id_of(file: str, suffix: str) -> str:
    """The sample id that `file_of` made this name of."""
    return unquote(file.removesuffix(suffix).replace("%/", ""), errors="strict")


def files_of(samples: Iterable[str], suffix: str) -> Iterator[tuple[str, str]]:
    """(sample, file) for each sample; ids that differ in case only get names that differ on every file system."""
    taken: set[str] = set()
    for sample in samples:
        file = file_of(sample, suffix)
        if file.casefold() in taken:
            file = file_of(sample, suffix, bare=False)
        taken.add(file.casefold())
        yield sample, file


def _component(part: str, suffix: str, bare: bool) -> str:
    """One folder or file name: never empty, hidden, `.` or `..`, reserved, or with the suffix of a file."""
    name = quote(part, safe=PLAIN, errors="strict")
    if name[0] == "." or RESERVED.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if name[-1] in ". " or name.lower().endswith(suffix):
        name = f"{name[:-1]}%{ord(name[-1]):02X}"
    if not bare:
        name = LETTER.sub(lambda found: found[1] or f"%{ord(found[0]):02X}", name)
    if len(name) <= LONGEST:
        return name
    name = name.replace(".", "%2E").replace(" ", "%20")
    return "%/".join(name[at : at + LONGEST] for at in range(0, len(name), LONGEST))


STRUCTURE = "lamofc.structure"
"""The metadata key under which an exported file keeps its nesting."""
