"""Texts of two unlike kinds that every machine has: to fit on, and to measure on."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from pydoc_data.topics import topics

from lamofc_tools.models import ModelInput

_LENGTH = 4000
"""Characters of a text that are kept."""
_LEAST = 1500
"""Characters that a text must have."""
_SAME_START = 200
"""Characters by which copies of a text are known."""


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
