"""Judges in files of text: an object of JSON that names a model or a head, and a table of performances.

In: the path of a file. Out: the model with its options, the published head, or numbers by setting; BadArgument, which
names the file, for any other content.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from lamofc_store.errors import BadArgument
from lamofc_store.sample import Grid
from lamofc_tools.evaluation import RestOptions

COLUMNS = ("codec", "setting", "origin", "performance")
"""Columns of a table of performances: `origin` is that of `Coder`, empty for `klt` and for original features."""
_REQUIRED = {"figure": str, "model": str}
_OF_HEAD: dict[str, Any] = {"head": str, "target": str, "backbone": str | None, "grid": str | None}
_EXAMPLE = 'write {"model": "Qwen3-8B", "block": 4, "data": "gsm8k.jsonl", "figure": "exact_match"}'
_HEAD_EXAMPLE = 'write {"head": "linear.pth", "target": "label", "backbone": "dinov3-folder", "grid": "5+14x14"}'
_LARGEST = 2**31 - 1
"""Largest whole number in an object."""


@dataclass(frozen=True)
class ModelJudge:
    """The rest of a model, and the figure of it that is the performance."""

    model: str
    figure: str
    options: RestOptions

    @property
    def named(self) -> list[str]:
        """Paths that its answers depend on, of which the model may be one of a hub."""
        return [self.model, *([] if self.options.data is None else [self.options.data])]


@dataclass(frozen=True)
class HeadJudge:
    """A published head of DINOv2 or DINOv3, and the column of samples that it is judged by."""

    head: Path
    target: str
    backbone: str | None = None
    grid: Grid | None = None
    """Layout of the tokens; None where the features have one."""

    @property
    def named(self) -> list[str]:
        """Paths that its answers depend on, of which the backbone may be one of a hub."""
        return [str(self.head), *([] if self.backbone is None else [self.backbone])]


def read_judge(file: Path) -> ModelJudge | HeadJudge:
    """Read an object that names a model or a head; its files lie beside the file."""
    with _reading(file, _EXAMPLE):
        document = json.loads(file.read_text(encoding="utf-8"))
    if isinstance(document, dict) and "head" in document:
        return _head_of(file, document)
    return _model_of(file, document)


def _head_of(file: Path, document: dict[str, Any]) -> HeadJudge:
    if not {"head", "target"} <= set(document) <= set(_OF_HEAD):
        raise BadArgument(f"{file} names a head with {', '.join(document)}", _HEAD_EXAMPLE)
    for name, value in document.items():
        _require_kind(file, name, value, _OF_HEAD[name])
    head, backbone = file.parent / document["head"], document.get("backbone")
    if not head.exists():
        raise BadArgument(f"{file}: there is no {head}", "name a folder of transformers or a file of weights beside it")
    if backbone is not None and (file.parent / backbone).exists():
        backbone = str(file.parent / backbone)
    grid = document.get("grid")
    return HeadJudge(head, document["target"], backbone, None if grid is None else Grid.from_text(grid))


def _model_of(file: Path, document: Any) -> ModelJudge:
    kinds: dict[str, Any] = {**_REQUIRED, **get_type_hints(RestOptions)}
    if not isinstance(document, dict) or not set(_REQUIRED) <= set(document) <= set(kinds):
        optional = ", ".join(sorted(set(kinds) - set(_REQUIRED)))
        raise BadArgument(f"{file} is no object of {', '.join(_REQUIRED)} and {optional}", _EXAMPLE)
    for name, value in document.items():
        _require_kind(file, name, value, kinds[name])
    options = {name: value for name, value in document.items() if name not in _REQUIRED}
    if options.get("data") is not None:
        options["data"] = str(file.parent / options["data"])
    return ModelJudge(document["model"], document["figure"], RestOptions(**options))


def read_table(file: Path, row: str, origin: str) -> dict[float, float]:
    """Read the performances of a codec, by its name in the paper's table and its origin, at its settings."""
    cure = "write finite numbers such as klt,10,,0.97"
    with _reading(file, cure), file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        columns = reader.fieldnames or ()
        rows = [found for found in reader if found.get("codec") == row]
    if not set(COLUMNS) <= set(columns):
        raise BadArgument(f"{file} has the columns {', '.join(columns)}", f"name them {', '.join(COLUMNS)}")
    performances: dict[float, float] = {}
    for found in rows:
        if (found["origin"] or "") != origin:
            continue
        setting = _number(file, found, "setting", cure, empty=0.0)
        if setting in performances:
            raise BadArgument(f"{file} has two rows of {row},{setting:g},{origin}", "leave out one of them")
        performances[setting] = _number(file, found, "performance", cure)
    return performances


@contextmanager
def _reading(file: Path, cure: str) -> Iterator[None]:
    """Turn errors of reading and parsing a file into BadArgument."""
    try:
        yield
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise BadArgument(f"{file} cannot be read as {file.suffix[1:]}: {error}", cure) from error


def _require_kind(file: Path, name: str, value: Any, kind: Any) -> None:
    """Refuse a value of another type than that of an option, and a number that is out of bounds."""
    least = 0 if name == "block" else 1
    if not isinstance(value, kind) or isinstance(value, bool):
        expected = "a text" if kind in (str, str | None) else f"a whole number from {least}"
    elif isinstance(value, int) and not least <= value <= _LARGEST:
        expected = f"a whole number from {least} to {_LARGEST}"
    elif isinstance(value, str) and ("\0" in value or not value):
        expected = "a text that is not empty, without a character of value 0"
    else:
        return
    raise BadArgument(f"{file}: {name} is {str(value)[:50]!r}, expected {expected}", _EXAMPLE)


def _number(file: Path, row: dict[str, str | None], column: str, cure: str, empty: float = math.nan) -> float:
    """Return a finite number of a row; an empty field is `empty`."""
    text = row[column] or ""
    try:
        number = float(text) if text else empty
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadArgument(f"{file}: a row of {row['codec']}: {column} is {text[:50]!r}", cure)
    return number
