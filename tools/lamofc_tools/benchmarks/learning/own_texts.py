"""Texts of two unlike kinds that every machine has: to fit on, and to measure on. Those of other languages are manual
pages, which some machines have.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from pydoc_data.topics import topics
from unicodedata import normalize

from lamofc_store.errors import NotFound
from lamofc_tools.models import ModelInput

_LENGTH = 4000
"""Characters of a text that are kept."""
_LEAST = 1500
"""Characters that a text must have."""
_SAME_START = 200
"""Characters by which copies of a text are known."""
_MANUALS = (Path("/usr/share/man"), Path("/usr/local/share/man"))
_COMMENT = re.compile(r'\\".*')
_TEXT_REQUEST = re.compile(r"^\.(?:S[HS]|[BIR]{1,2}|SM|SB|IP|Sh|Ss|It|Nm|Fl|Ar|Pa|Cm) +")
"""Requests whose arguments are text."""
_ESCAPE = re.compile(r"\\(?:s[-+]?\d|[fns*](?:\[[^]]*\]|\(..|.)|\((..)|\[([^]]*)\]|(.))")
_MEANT = {"aq": "'", "oq": "'", "cq": "'", "dq": '"', "lq": '"', "rq": '"', "en": "-", "em": "-", "-": "-", "ss": "ß"}
_ACCENTS = {":": "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", ",": "\u0327", "~": "\u0303", "v": "\u030c"}
"""Marks by which names of characters begin, such as `:u`, as combining characters."""


def fit_texts(count: int) -> list[ModelInput]:
    """Return descriptions of installed packages, which are their READMEs."""
    packages = sorted(metadata.distributions(), key=lambda package: package.name.lower())
    return _chosen(((package.name, _readme(package)) for package in packages), count)


def _readme(package: metadata.Distribution) -> str:
    """Return the description of a package: what follows the headers of its metadata."""
    return (package.read_text("METADATA") or "").partition("\n\n")[2]


def measured_texts(count: int) -> list[ModelInput]:
    """Return chapters of Python's reference and licences of installed packages, in turn."""
    chapters = _chosen(sorted(topics.items()), count)
    licences = _chosen(_licences(), count)
    pairs = zip_longest(chapters, licences)
    return [text for pair in pairs for text in pair if text is not None][:count]


def manual_pages(language: str, count: int) -> list[ModelInput]:
    """Return manual pages in a language, such as de, without their markup; Debian's packages bring some of many."""
    globs = [f"{language}{end}/man*/*" for end in ("", "[._@]*")]
    found = (file for folder in _MANUALS for glob in globs for file in folder.glob(glob))
    files = {file.resolve() for file in found if file.is_file()}
    pages = ((file.name.partition(".gz")[0], _page(file)) for file in sorted(files, key=lambda file: file.name))
    chosen = _chosen(pages, count)
    if not chosen:
        raise NotFound(
            f"no manual pages in the language {language!r} of {_LEAST} characters in {', '.join(map(str, _MANUALS))}",
            "install manpages-LANGUAGE, such as manpages-de, or give texts in a file",
        )
    return chosen


def _page(file: Path) -> str:
    """Return the text of a page from its first heading on, without requests and escapes."""
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    lines = _COMMENT.sub("", data.decode("utf-8", errors="replace")).splitlines()
    start = next((number for number, line in enumerate(lines) if line[:3].upper() == ".SH"), len(lines))
    texts = (_TEXT_REQUEST.sub("", line.replace('"', "") if line[0] == "." else line) for line in lines[start:] if line)
    plain = (_ESCAPE.sub(_meant, text).strip() for text in texts)
    return "\n".join(line for line in plain if line and line[0] not in ".'")


def _meant(escape: re.Match[str]) -> str:
    """Return the character that an escape stands for, or nothing."""
    name = escape[1] or escape[2] or escape[3] or ""
    if re.fullmatch(r"u[0-9A-F]{4,5}", name):
        return chr(int(name[1:], 16))
    if len(name) == 2 and name[0] in _ACCENTS and name[1].isalpha():
        return normalize("NFC", name[1] + _ACCENTS[name[0]])
    return _MEANT.get(name, "")


def _licences() -> Iterator[tuple[str, str]]:
    files = {file for folder in sys.path for file in Path(folder).glob("*.dist-info/**/LICENSE*") if file.is_file()}
    for file in sorted(files, key=lambda file: str(file).lower()):
        package = next(part for part in file.parts if part.endswith(".dist-info")).partition("-")[0]
        yield f"{package} {file.name}", file.read_text("utf-8", errors="replace")


def _chosen(texts: Iterable[tuple[str, str]], count: int) -> list[ModelInput]:
    """Return the first texts that are long enough, evenly spread, each once."""
    found: dict[str, ModelInput] = {}
    for name, text in texts:
        plain = " ".join(text.split(" "))
        if len(plain) >= _LEAST:
            found.setdefault(plain[:_SAME_START], ModelInput(name, Path(), plain[:_LENGTH]))
    kept = list({text.id: text for text in found.values()}.values())
    return [kept[place * len(kept) // count] for place in range(count)] if len(kept) > count else kept
